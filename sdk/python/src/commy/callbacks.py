"""Callbacks: kept alive for as long as the library may call them, and run only inside of dispatch()."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from ctypes import c_uint64
from typing import Any

from ._native import (
    HEALTH_CALLBACK,
    LOG_CALLBACK,
    SERVICE_CALLBACK,
    SLICE_MS,
    check,
    counted,
    lib,
    milliseconds,
    text,
)
from .types import Event, Health

# What callbacks raised in dispatch(), by thread: an exception cannot pass through the library.
_raised: dict[int, BaseException] = {}
# The library may still be in a former callback when a new one is set, so none is dropped; there are few.
_kept_for_log: list[Any] = []


def _guarded(function: Callable[..., None]) -> Callable[..., None]:
    def call(*arguments: Any) -> None:
        try:
            function(*arguments)
        except BaseException as problem:
            _raised.setdefault(threading.get_ident(), problem)

    return call


def _native(kind: Any, function: Callable[..., None] | None, kept: list[Any]) -> Any:
    native = kind() if function is None else kind(_guarded(function))
    kept.append(native)
    return native


class Callbacks:
    """The callbacks of one mesh object, which outlive its handle: they run in its dispatch() alone."""

    def __init__(self, handle: c_uint64) -> None:
        self.handle = handle
        self._kept: list[Any] = []

    def on_service(self, function: Callable[[Event, str, str], None] | None) -> None:
        def call(_: Any, event: int, name: bytes, id: bytes) -> None:
            assert function
            function(Event(event), text(name), text(id))

        check(lib.commy_set_service_callback(self.handle, _native(SERVICE_CALLBACK, function and call, self._kept), None))

    def on_health(self, function: Callable[[str, str, Health, Health], None] | None) -> None:
        def call(_: Any, name: bytes, id: bytes, old: int, new: int) -> None:
            assert function
            function(text(name), text(id), Health(old), Health(new))

        check(lib.commy_set_health_callback(self.handle, _native(HEALTH_CALLBACK, function and call, self._kept), None))

    def dispatch(self, timeout: float | None) -> int:
        whole = left = milliseconds(timeout)
        end = time.monotonic() + left / 1000
        while True:
            slice_ms = SLICE_MS if whole < 0 else min(left, SLICE_MS)
            ran = lib.commy_dispatch(self.handle, slice_ms)
            problem = _raised.pop(threading.get_ident(), None)
            if problem is not None:
                raise problem
            if ran != 0:
                return counted(ran)
            if whole >= 0:
                left = milliseconds(max(0.0, end - time.monotonic()))
                if left == 0:
                    return 0


def set_log_callback(function: Callable[[int, str], None] | None) -> None:
    """Has any mesh's dispatch() call function(level, text) for what the library's own threads meet: 1 error, 2 warning,
    3 information. None: nobody is called any more."""

    def call(_: Any, level: int, line: bytes) -> None:
        assert function
        function(level, text(line))

    check(lib.commy_set_log_callback(_native(LOG_CALLBACK, function and call, _kept_for_log), None))

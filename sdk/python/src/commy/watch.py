"""Watching: a version of the mesh that is waited on, iterated over, or polled."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import AsyncIterator, Iterator
from ctypes import byref, c_uint64
from types import TracebackType
from typing import TYPE_CHECKING

from ._native import SLICE_MS, check, counted, error_of, lib, milliseconds, raw_or_none
from .errors import Interrupted, InvalidHandle, TimedOut
from .types import Change

if TYPE_CHECKING:
    from .mesh import CommyMesh


def _close(watch: int) -> None:
    lib.commy_watch_close(watch)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Watch:
    """Tells when something changed among the instances of a name, or in the mesh.

        for change in mesh.watch("db"): ...
        async for change in mesh.watch("db"): ...

    The first change is the state at the beginning. None is missed: what happens between two looks is one change, and there
    may be one where nothing happened. Iterating ends when the watch is closed or woken, and raises when the mesh is stopped.
    Any number of threads may wait; one task at a time may iterate with `async for`.
    """

    def __init__(self, mesh: CommyMesh, name: str | None) -> None:
        number = c_uint64()
        check(lib.commy_watch_open(mesh._handle, raw_or_none("service name", name), byref(number)))
        self._mesh, self._name, self._number = mesh, name, number.value
        self._wakes = self._wakes_seen = 0
        self._waiter: tuple[asyncio.AbstractEventLoop, asyncio.Future[None], int] | None = None
        self._finalizer = weakref.finalize(self, _close, number.value)

    @property
    def closed(self) -> bool:
        return not self._finalizer.alive

    def fileno(self) -> int:
        """A descriptor for select, poll and event loops: readable when wait(0) would return, and sometimes without need.
        Not to be read or closed."""
        return counted(lib.commy_watch_fd(self._number))

    def wait(self, timeout: float | None = None) -> int:
        """Waits for a change since the last wait; gives the version. The first returns at once.

        timeout: in seconds; None: for ever. Raises TimedOut; Interrupted when wake() or close() was called.
        """
        version, wakes = c_uint64(), self._wakes_seen
        whole = left = milliseconds(timeout)
        end = time.monotonic() + left / 1000
        while True:
            slice_ms = SLICE_MS if whole < 0 else min(left, SLICE_MS)
            code = lib.commy_watch_wait(self._number, slice_ms, byref(version))
            if code == 0:
                return version.value
            if code == Interrupted.code and (self._wakes != wakes or self.closed):
                self._wakes_seen = self._wakes
                raise error_of(code)
            if code == InvalidHandle.code and self.closed:
                raise Interrupted("the watch was closed")
            if code not in (TimedOut.code, Interrupted.code):  # the latter is a signal, whose handler has run by now
                raise error_of(code)
            if whole >= 0:
                left = milliseconds(max(0.0, end - time.monotonic()))
                if left == 0 and code == TimedOut.code:
                    raise TimedOut(f"nothing changed among what is watched within {whole} ms")

    def wake(self) -> None:
        """Ends the waits and iterations that are under way, or the next one; from any thread."""
        self._wakes += 1
        check(lib.commy_watch_wake(self._number))

    def close(self) -> None:
        """Ends what waits and gives the watch back. May be called any number of times, from any thread."""
        waiter = self._waiter
        if waiter is None:
            self._finalizer()
            return
        loop, future, descriptor = waiter
        try:
            here = asyncio.get_running_loop() is loop
        except RuntimeError:
            here = False
        if loop.is_closed():
            self._finalizer()
        elif not here:
            loop.call_soon_threadsafe(self.close)
        else:  # an event loop does not notice by itself that a descriptor is closed
            loop.remove_reader(descriptor)
            self._finalizer()
            _set(future)

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _change(self, version: int) -> Change:
        mesh, name = self._mesh, self._name
        services = mesh.get_all_services() if name is None else mesh.discover_services(name)
        return Change(name, version, tuple(services))

    def __iter__(self) -> Iterator[Change]:
        return self

    def __next__(self) -> Change:
        try:
            return self._change(self.wait())
        except Interrupted:
            raise StopIteration from None

    def __aiter__(self) -> AsyncIterator[Change]:
        return self

    async def __anext__(self) -> Change:
        while True:
            try:
                return self._change(self.wait(0))
            except TimedOut:
                await self._readable()
            except Interrupted:
                raise StopAsyncIteration from None

    async def _readable(self) -> None:
        if self._waiter is not None:
            raise RuntimeError("another task iterates over this watch; open one for each")
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        descriptor = self.fileno()
        self._waiter = (loop, future, descriptor)
        loop.add_reader(descriptor, _set, future)
        try:
            await future
        finally:
            self._waiter = None
            loop.remove_reader(descriptor)

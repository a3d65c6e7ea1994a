"""The language ABI (commy/ffi.h) as ctypes sees it, and what stands between it and Python: arguments that are checked
before ctypes could cut them, and codes that become exceptions."""

from __future__ import annotations

import os
from ctypes import (
    CDLL,
    CFUNCTYPE,
    POINTER,
    PyDLL,
    Structure,
    c_char,
    c_char_p,
    c_double,
    c_int32,
    c_size_t,
    c_uint8,
    c_uint16,
    c_uint32,
    c_uint64,
    c_void_p,
    sizeof,
)
from typing import Any, NoReturn

from .errors import BY_CODE, CommyError, CommyLibraryError, InvalidArgument

INT32_MAX = 2**31 - 1
# How long one call into the library waits: a signal that comes between two sleeps of the library interrupts neither, and its
# handler cannot run before the call is back.
SLICE_MS = 200


class OpenOptions(Structure):
    _fields_ = [
        ("size", c_uint32),
        ("flags", c_uint32),
        ("mesh", c_char_p),
        ("dir", c_char_p),
        ("node_id", c_char_p),
        ("group", c_char_p),
        ("capacity", c_uint32),
        ("mode", c_uint32),
        ("listen_port", c_uint16),
    ]


class ServiceConfig(Structure):
    _fields_ = [
        ("size", c_uint32),
        ("flags", c_uint32),
        ("service_name", c_char_p),
        ("service_id", c_char_p),
        ("endpoint", c_char_p),
        ("metadata", c_char_p),
        ("version", c_char_p),
        ("zone", c_char_p),
        ("tags", POINTER(c_char_p)),
        ("tag_count", c_uint32),
        ("weight", c_uint32),
        ("ttl_ms", c_uint64),
        ("port", c_uint16),
    ]


class NativeStats(Structure):
    _fields_ = [
        ("total_services", c_uint32),
        ("healthy_services", c_uint32),
        ("unhealthy_services", c_uint32),
        ("registered_services", c_uint32),
        ("total_requests", c_uint64),
        ("successful_requests", c_uint64),
        ("failed_requests", c_uint64),
        ("average_response_time_ms", c_double),
    ]


class NativeTarget(Structure):
    _fields_ = [
        ("_reference", c_uint64),
        ("_weight", c_uint32),
        ("_status", c_int32),
        ("_port", c_uint16),
        ("_endpoint", c_char * 256),
    ]


class NativeInfo(Structure):
    _fields_ = [
        ("name", c_char * 64),
        ("id", c_char * 128),
        ("endpoint", c_char * 256),
        ("version", c_char * 32),
        ("zone", c_char * 32),
        ("node_id", c_char * 64),
        ("tags", (c_char * 32) * 16),
        ("tag_count", c_uint32),
        ("weight", c_uint32),
        ("owner_pid", c_uint32),
        ("status", c_int32),
        ("admin", c_int32),
        ("port", c_uint16),
        ("registered_at_ns", c_uint64),
        ("metadata_bytes", c_uint64),
        ("response_time_ms", c_double),
        ("reserved", c_uint8 * 64),
    ]


class NativeBalancer(Structure):
    _fields_ = [
        ("algorithm", c_int32),
        ("enable_circuit_breaker", c_uint32),
        ("circuit_breaker_threshold", c_uint32),
        ("circuit_breaker_timeout_ms", c_uint64),
    ]


class NativeHealth(Structure):
    _fields_ = [
        ("check_interval_ms", c_uint64),
        ("timeout_ms", c_uint64),
        ("max_failures", c_uint32),
        ("recovery_checks", c_uint32),
    ]


SERVICE_CALLBACK = CFUNCTYPE(None, c_void_p, c_int32, c_char_p, c_char_p)
HEALTH_CALLBACK = CFUNCTYPE(None, c_void_p, c_char_p, c_char_p, c_int32, c_int32)
LOG_CALLBACK = CFUNCTYPE(None, c_void_p, c_int32, c_char_p)

# A commy_handle_t is a structure of one 64-bit number, which the machines that the library runs on pass as that number.
_HANDLE = c_uint64

_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "ffi_init": (c_int32,),
    "ffi_cleanup": (c_int32,),
    "ffi_version": (c_char_p,),
    "open_mesh": (c_uint64, POINTER(OpenOptions)),
    "create_mesh": (c_uint64, c_char_p, c_uint16),
    "start_mesh": (c_int32, _HANDLE),
    "stop_mesh": (c_int32, _HANDLE),
    "is_mesh_running": (c_int32, _HANDLE),
    "destroy_mesh": (c_int32, _HANDLE),
    "get_node_id": (c_void_p, _HANDLE),  # not c_char_p: the pointer itself goes back to free_string
    "free_string": (None, c_void_p),
    "get_mesh_stats": (c_int32, _HANDLE, POINTER(NativeStats)),
    "register_service_simple": (c_int32, _HANDLE, c_char_p, c_char_p, c_char_p, c_uint16),
    "register_service": (c_int32, _HANDLE, POINTER(ServiceConfig)),
    "unregister_service": (c_int32, _HANDLE, c_char_p),
    "discover_services_count": (c_int32, _HANDLE, c_char_p),
    "get_active_service_count": (c_int32, _HANDLE),
    "discover_services": (c_int32, _HANDLE, c_char_p, POINTER(NativeInfo), c_size_t, POINTER(c_size_t)),
    "get_all_services": (c_int32, _HANDLE, POINTER(NativeInfo), c_size_t, POINTER(c_size_t)),
    "get_service": (c_int32, _HANDLE, c_char_p, POINTER(NativeInfo)),
    "find": (c_int32, _HANDLE, c_char_p, POINTER(NativeTarget)),
    "find_many": (c_int32, _HANDLE, POINTER(c_char_p), c_size_t, POINTER(NativeTarget), POINTER(c_int32)),
    "get_service_metadata": (c_int32, _HANDLE, c_char_p, c_char_p, c_size_t, POINTER(c_size_t)),
    "update_service_metadata": (c_int32, _HANDLE, c_char_p, c_char_p),
    "set_service_weight": (c_int32, _HANDLE, c_char_p, c_uint32),
    "heartbeat": (c_int32, _HANDLE, c_char_p),
    "report_service_performance": (c_int32, _HANDLE, c_char_p, c_uint64, c_int32),
    "report": (c_int32, _HANDLE, c_uint64, c_uint64, c_int32),
    "begin_request": (c_int32, _HANDLE, c_uint64, POINTER(c_uint64)),
    "end_request": (c_int32, _HANDLE, c_uint64, c_uint64, c_int32),
    "get_latency": (c_int32, _HANDLE, c_char_p, c_double, POINTER(c_uint64)),
    "configure_load_balancer": (c_int32, _HANDLE, POINTER(NativeBalancer)),
    "select_service": (c_int32, _HANDLE, c_char_p, c_char_p, POINTER(NativeTarget)),
    "wait": (c_int32, _HANDLE, c_char_p, c_uint64, c_int32, POINTER(c_uint64)),
    "set_health": (c_int32, _HANDLE, c_char_p, c_int32),
    "set_admin": (c_int32, _HANDLE, c_char_p, c_int32),
    "get_load_balancer_stats": (
        c_int32, _HANDLE, c_char_p, POINTER(c_uint64), POINTER(c_uint64), POINTER(c_uint64), POINTER(c_double),
    ),
    "get_circuit_breaker_status": (c_int32, _HANDLE, c_char_p, POINTER(c_int32), POINTER(c_uint32)),
    "reset_circuit_breaker": (c_int32, _HANDLE, c_char_p),
    "configure_mesh": (c_int32, _HANDLE, POINTER(NativeHealth), POINTER(NativeBalancer)),
    "start_health_monitoring": (c_int32, _HANDLE, c_char_p, POINTER(NativeHealth)),
    "stop_health_monitoring": (c_int32, _HANDLE, c_char_p),
    "get_service_health": (c_int32, _HANDLE, c_char_p, POINTER(c_int32), POINTER(c_double)),
    "manual_health_check": (c_int32, _HANDLE, c_char_p, POINTER(c_int32), POINTER(c_double)),
    "watch_open": (c_int32, _HANDLE, c_char_p, POINTER(c_uint64)),
    "watch_fd": (c_int32, c_uint64),
    "watch_wait": (c_int32, c_uint64, c_int32, POINTER(c_uint64)),
    "watch_wake": (c_int32, c_uint64),
    "watch_close": (c_int32, c_uint64),
    "set_service_callback": (c_int32, _HANDLE, SERVICE_CALLBACK, c_void_p),
    "set_health_callback": (c_int32, _HANDLE, HEALTH_CALLBACK, c_void_p),
    "set_log_callback": (c_int32, LOG_CALLBACK, c_void_p),
    "dispatch": (c_int32, _HANDLE, c_int32),
    "last_error": (c_int32,),
    "last_error_message": (c_char_p,),
    "status_string": (c_char_p, c_int32),
}

_HOW_TO_INSTALL = (
    "install commy (`meson setup build && meson install -C build && ldconfig`), or say where the library is: "
    "COMMY_LIBRARY=/path/to/libcommy.so.1, or its directory in LD_LIBRARY_PATH"
)


def _lacking(name: str, function_name: str) -> Any:
    def call(*_: Any) -> NoReturn:
        raise CommyLibraryError(
            f"{name} has no commy_{function_name}(): it is older than this package; {_HOW_TO_INSTALL}"
        )

    return call


def _load() -> tuple[CDLL, Any]:
    """The library, and commy_find() as a call that keeps the interpreter's lock."""
    name = os.environ.get("COMMY_LIBRARY") or "libcommy.so.1"
    try:
        library, locked = CDLL(name), PyDLL(name)
    except OSError as problem:
        raise CommyLibraryError(f"{name} cannot be loaded ({problem}); {_HOW_TO_INSTALL}") from None
    if not hasattr(library, "commy_ffi_version"):
        raise CommyLibraryError(f"{name} is not commy's: it has no commy_ffi_version(); {_HOW_TO_INSTALL}")
    for function_name, (result, *arguments) in _FUNCTIONS.items():
        try:
            function = getattr(library, f"commy_{function_name}")
        except AttributeError:
            setattr(library, f"commy_{function_name}", _lacking(name, function_name))
            continue
        function.restype = result
        function.argtypes = arguments
    # No argtypes: ctypes then takes bytes, c_uint64 and byref() as they are, which is twice as fast.
    locked.commy_find.restype = c_int32
    return library, locked.commy_find


lib, find_locked = _load()


def error_of(code: int) -> CommyError:
    """The exception for a code that the calling thread's last call came to, with the library's sentence."""
    message: bytes = lib.commy_last_error_message()
    return BY_CODE.get(code, CommyError)(message.decode("utf-8", "replace"), code)


def check(code: int) -> None:
    if code != 0:
        raise error_of(code)


def counted(number: int) -> int:
    """A count or flag, or a negated code."""
    if number < 0:
        raise error_of(-number)
    return number


def raw(what: str, value: str) -> bytes:
    """A string for the library, which would see the end of it in a NUL."""
    if not isinstance(value, str):
        raise InvalidArgument(f"{what} is {value!r}; it is a string")
    try:
        encoded = value.encode()
    except UnicodeEncodeError:
        raise InvalidArgument(f"{what} {value!r} is not Unicode text: it holds half of a surrogate pair") from None
    if b"\0" in encoded:
        raise InvalidArgument(f"{what} {value!r} holds a NUL; take it out")
    return encoded


def raw_or_none(what: str, value: str | None) -> bytes | None:
    return None if value is None else raw(what, value)


def integer(what: str, value: int, low: int, high: int) -> int:
    """A number for the library, of which ctypes would keep the lower bits."""
    if not isinstance(value, int) or not low <= value <= high:
        raise InvalidArgument(f"{what} is {value!r}; it is a whole number from {low} to {high}")
    return value


def int32(what: str, value: int) -> int:
    return integer(what, value, -(2**31), INT32_MAX)


def uint32(what: str, value: int) -> int:
    return integer(what, value, 0, 2**32 - 1)


def uint64(what: str, value: int) -> int:
    return integer(what, value, 0, 2**64 - 1)


def text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def milliseconds(timeout: float | None) -> int:
    """Seconds as the library has them; None: for ever."""
    if timeout is None:
        return -1
    if not 0 <= timeout <= INT32_MAX / 1000:
        raise InvalidArgument(f"timeout is {timeout!r} s; it is 0 to {INT32_MAX // 1000}, or None for ever")
    return int(timeout * 1000 + 0.999999)


def status_string(code: int) -> str:
    """A few words for a code of the library."""
    words: bytes = lib.commy_status_string(int32("code", code))
    return text(words)


# What the contract says of 64-bit machines.
if sizeof(c_void_p) == 8:
    assert [sizeof(s) for s in (OpenOptions, ServiceConfig, NativeStats, NativeTarget, NativeBalancer, NativeHealth, NativeInfo)] == [
        56,
        88,
        48,
        280,
        24,
        24,
        1200,
    ]

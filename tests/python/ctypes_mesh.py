"""commy's language ABI (include/commy/ffi.h) as ctypes sees it: every structure and every function, and nothing on top.

    from ctypes_mesh import lib, OpenOptions, Target
    h = lib.commy_create_mesh(b"node", 8080)

The library is the one that $COMMY_LIBRARY names, else libcommy.so.1 as the system finds it. Strings are bytes in UTF-8.
"""

import os
from ctypes import (CDLL, CFUNCTYPE, POINTER, Structure, c_char, c_char_p, c_double, c_int32, c_size_t, c_uint8, c_uint16,
                    c_uint32, c_uint64, c_void_p, sizeof)

OPEN_READ_ONLY, OPEN_MUST_EXIST, OPEN_MUST_NOT_EXIST = 1, 2, 4
SERVICE_DETACHED = 1
ROUND_ROBIN, LEAST_CONNECTIONS, WEIGHTED_ROUND_ROBIN, PERFORMANCE, RANDOM, CONSISTENT_HASH = range(6)

(SUCCESS, INIT_FAILED, INVALID, NO_HANDLE, NO_MEMORY, NOT_FOUND, EXISTS, FULL, PERMISSION, LAYOUT, CORRUPT, TIMED_OUT,
 NOT_RUNNING, NO_HEALTHY, CIRCUIT_OPEN, FORKED, NO_SPACE, NOT_A_REGION, OTHER_BOOT, LIMIT, KERNEL, READ_ONLY, REMOVED,
 BUSY, INTERRUPTED, MESH_NOT_FOUND) = range(26)
INTERNAL = 99


class Handle(Structure):
    _fields_ = [("instance_id", c_uint64)]


class _Sized(Structure):
    """A structure that begins with its own size, which is filled in here."""

    def __init__(self, **fields):
        super().__init__(size=sizeof(self), **fields)


class OpenOptions(_Sized):
    _fields_ = [("size", c_uint32), ("flags", c_uint32), ("mesh", c_char_p), ("dir", c_char_p), ("node_id", c_char_p),
                ("group", c_char_p), ("capacity", c_uint32), ("mode", c_uint32), ("listen_port", c_uint16)]


class ServiceConfig(_Sized):
    _fields_ = [("size", c_uint32), ("flags", c_uint32), ("service_name", c_char_p), ("service_id", c_char_p),
                ("endpoint", c_char_p), ("metadata", c_char_p), ("version", c_char_p), ("zone", c_char_p),
                ("tags", POINTER(c_char_p)), ("tag_count", c_uint32), ("weight", c_uint32), ("ttl_ms", c_uint64),
                ("port", c_uint16)]


class MeshStats(Structure):
    _fields_ = [("total_services", c_uint32), ("healthy_services", c_uint32), ("unhealthy_services", c_uint32),
                ("registered_services", c_uint32), ("total_requests", c_uint64), ("successful_requests", c_uint64),
                ("failed_requests", c_uint64), ("average_response_time_ms", c_double)]


class Target(Structure):
    _fields_ = [("reference", c_uint64), ("weight", c_uint32), ("status", c_int32), ("port", c_uint16),
                ("endpoint", c_char * 256)]


class LoadBalancerConfig(Structure):
    _fields_ = [("algorithm", c_int32), ("enable_circuit_breaker", c_uint32), ("circuit_breaker_threshold", c_uint32),
                ("circuit_breaker_timeout_ms", c_uint64)]


class HealthConfig(Structure):
    _fields_ = [("check_interval_ms", c_uint64), ("timeout_ms", c_uint64), ("max_failures", c_uint32),
                ("recovery_checks", c_uint32)]


class ServiceInfo(Structure):
    _fields_ = [("name", c_char * 64), ("id", c_char * 128), ("endpoint", c_char * 256), ("version", c_char * 32),
                ("zone", c_char * 32), ("node_id", c_char * 64), ("tags", (c_char * 32) * 16), ("tag_count", c_uint32),
                ("weight", c_uint32), ("owner_pid", c_uint32), ("status", c_int32), ("admin", c_int32),
                ("port", c_uint16), ("registered_at_ns", c_uint64), ("metadata_bytes", c_uint64),
                ("response_time_ms", c_double), ("reserved", c_uint8 * 64)]


# Sizes on 64-bit machines, as the contract has them.
assert [sizeof(s) for s in (Handle, OpenOptions, ServiceConfig, MeshStats, Target, LoadBalancerConfig,
                            HealthConfig, ServiceInfo)] == [8, 56, 88, 48, 280, 24, 24, 1200]

# Callbacks: (user, event, name, id), (user, name, id, before, now), (user, level, text).
ServiceCallback = CFUNCTYPE(None, c_void_p, c_int32, c_char_p, c_char_p)
HealthCallback = CFUNCTYPE(None, c_void_p, c_char_p, c_char_p, c_int32, c_int32)
LogCallback = CFUNCTYPE(None, c_void_p, c_int32, c_char_p)

_FUNCTIONS = {
    "commy_ffi_init": (c_int32,),
    "commy_ffi_cleanup": (c_int32,),
    "commy_ffi_version": (c_char_p,),
    "commy_create_mesh": (Handle, c_char_p, c_uint16),
    "commy_open_mesh": (Handle, POINTER(OpenOptions)),
    "commy_start_mesh": (c_int32, Handle),
    "commy_stop_mesh": (c_int32, Handle),
    "commy_is_mesh_running": (c_int32, Handle),
    "commy_destroy_mesh": (c_int32, Handle),
    "commy_get_node_id": (c_void_p, Handle),  # not c_char_p: the pointer itself goes back to commy_free_string
    "commy_free_string": (None, c_void_p),
    "commy_get_mesh_stats": (c_int32, Handle, POINTER(MeshStats)),
    "commy_register_service_simple": (c_int32, Handle, c_char_p, c_char_p, c_char_p, c_uint16),
    "commy_register_service": (c_int32, Handle, POINTER(ServiceConfig)),
    "commy_unregister_service": (c_int32, Handle, c_char_p),
    "commy_discover_services_count": (c_int32, Handle, c_char_p),
    "commy_get_active_service_count": (c_int32, Handle),
    "commy_discover_services": (c_int32, Handle, c_char_p, POINTER(ServiceInfo), c_size_t, POINTER(c_size_t)),
    "commy_get_all_services": (c_int32, Handle, POINTER(ServiceInfo), c_size_t, POINTER(c_size_t)),
    "commy_get_service": (c_int32, Handle, c_char_p, POINTER(ServiceInfo)),
    "commy_find": (c_int32, Handle, c_char_p, POINTER(Target)),
    "commy_find_many": (c_int32, Handle, POINTER(c_char_p), c_size_t, POINTER(Target), POINTER(c_int32)),
    "commy_get_service_metadata": (c_int32, Handle, c_char_p, c_char_p, c_size_t, POINTER(c_size_t)),
    "commy_update_service_metadata": (c_int32, Handle, c_char_p, c_char_p),
    "commy_set_service_weight": (c_int32, Handle, c_char_p, c_uint32),
    "commy_set_health": (c_int32, Handle, c_char_p, c_int32),
    "commy_set_admin": (c_int32, Handle, c_char_p, c_int32),
    "commy_heartbeat": (c_int32, Handle, c_char_p),
    "commy_report_service_performance": (c_int32, Handle, c_char_p, c_uint64, c_int32),
    "commy_report": (c_int32, Handle, c_uint64, c_uint64, c_int32),
    "commy_begin_request": (c_int32, Handle, c_uint64, POINTER(c_uint64)),
    "commy_end_request": (c_int32, Handle, c_uint64, c_uint64, c_int32),
    "commy_get_latency": (c_int32, Handle, c_char_p, c_double, POINTER(c_uint64)),
    "commy_configure_load_balancer": (c_int32, Handle, POINTER(LoadBalancerConfig)),
    "commy_select_service": (c_int32, Handle, c_char_p, c_char_p, POINTER(Target)),
    "commy_get_circuit_breaker_status": (c_int32, Handle, c_char_p, POINTER(c_int32), POINTER(c_uint32)),
    "commy_reset_circuit_breaker": (c_int32, Handle, c_char_p),
    "commy_get_load_balancer_stats": (c_int32, Handle, c_char_p, POINTER(c_uint64), POINTER(c_uint64),
                                      POINTER(c_uint64), POINTER(c_double)),
    "commy_configure_mesh": (c_int32, Handle, POINTER(HealthConfig), POINTER(LoadBalancerConfig)),
    "commy_start_health_monitoring": (c_int32, Handle, c_char_p, POINTER(HealthConfig)),
    "commy_stop_health_monitoring": (c_int32, Handle, c_char_p),
    "commy_get_service_health": (c_int32, Handle, c_char_p, POINTER(c_int32), POINTER(c_double)),
    "commy_manual_health_check": (c_int32, Handle, c_char_p, POINTER(c_int32), POINTER(c_double)),
    "commy_wait": (c_int32, Handle, c_char_p, c_uint64, c_int32, POINTER(c_uint64)),
    "commy_watch_open": (c_int32, Handle, c_char_p, POINTER(c_uint64)),
    "commy_watch_fd": (c_int32, c_uint64),
    "commy_watch_wait": (c_int32, c_uint64, c_int32, POINTER(c_uint64)),
    "commy_watch_wake": (c_int32, c_uint64),
    "commy_watch_close": (c_int32, c_uint64),
    "commy_set_service_callback": (c_int32, Handle, ServiceCallback, c_void_p),
    "commy_set_health_callback": (c_int32, Handle, HealthCallback, c_void_p),
    "commy_set_log_callback": (c_int32, LogCallback, c_void_p),
    "commy_dispatch": (c_int32, Handle, c_int32),
    "commy_last_error": (c_int32,),
    "commy_last_error_message": (c_char_p,),
    "commy_status_string": (c_char_p, c_int32),
}

lib = CDLL(os.environ.get("COMMY_LIBRARY", "libcommy.so.1"))
for _name, (_result, *_arguments) in _FUNCTIONS.items():
    _function = getattr(lib, _name)
    _function.restype = _result
    _function.argtypes = _arguments

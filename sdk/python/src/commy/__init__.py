"""commy: a service registry and mesh for one host, in shared memory.

    from commy import CommyMesh

    with CommyMesh("orders", 8080) as mesh:
        mesh.register_service("orders", "orders-1", "127.0.0.1", 8080)
        for service in mesh.discover_services("billing"):
            print(service.endpoint, service.port)

Needs libcommy.so.1; where it is missing, importing this package raises CommyLibraryError, which says how to install it.
"""

from ._native import check as _check
from ._native import lib as _lib
from ._native import text as _text
from .errors import (
    AlreadyExists,
    Busy,
    CircuitOpen,
    CommyError,
    CommyLibraryError,
    ForkedChild,
    IncompatibleLayout,
    InitializationError,
    InternalError,
    Interrupted,
    InvalidArgument,
    InvalidHandle,
    KernelUnsupported,
    LimitReached,
    MeshNotFound,
    NoHealthyInstance,
    NoSpace,
    NotARegion,
    NotFound,
    NotRunning,
    OtherBoot,
    OutOfMemory,
    PermissionDenied,
    ReadOnly,
    RegionCorrupt,
    RegionFull,
    RegionRemoved,
    TimedOut,
)
from ._native import status_string
from .callbacks import set_log_callback
from .mesh import CommyMesh
from .types import (
    Admin,
    BalancerStatistics,
    BreakerState,
    BreakerStatus,
    Change,
    Event,
    Health,
    HealthConfig,
    HealthStatus,
    LoadBalancerConfig,
    MeshStatistics,
    OpenFlag,
    Policy,
    ServiceInfo,
    Target,
)
from .watch import Watch


def init() -> None:
    """Sets the library up; optional, and repeatable."""
    _check(_lib.commy_ffi_init())


def cleanup() -> None:
    """Cleans up every CommyMesh of this process."""
    _check(_lib.commy_ffi_cleanup())


def version() -> str:
    """The version of the library."""
    return _text(_lib.commy_ffi_version())


__all__ = [
    "Admin",
    "AlreadyExists",
    "BalancerStatistics",
    "BreakerState",
    "BreakerStatus",
    "Busy",
    "Change",
    "CircuitOpen",
    "CommyError",
    "CommyLibraryError",
    "CommyMesh",
    "Event",
    "ForkedChild",
    "Health",
    "HealthConfig",
    "HealthStatus",
    "IncompatibleLayout",
    "InitializationError",
    "InternalError",
    "Interrupted",
    "InvalidArgument",
    "InvalidHandle",
    "KernelUnsupported",
    "LimitReached",
    "LoadBalancerConfig",
    "MeshNotFound",
    "MeshStatistics",
    "NoHealthyInstance",
    "NoSpace",
    "NotARegion",
    "NotFound",
    "NotRunning",
    "OpenFlag",
    "OtherBoot",
    "OutOfMemory",
    "PermissionDenied",
    "Policy",
    "ReadOnly",
    "RegionCorrupt",
    "RegionFull",
    "RegionRemoved",
    "ServiceInfo",
    "Target",
    "TimedOut",
    "Watch",
    "cleanup",
    "init",
    "set_log_callback",
    "status_string",
    "version",
]

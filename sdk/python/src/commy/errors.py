"""What a call can fail with: one class for each code of the library, all of them CommyError."""

from __future__ import annotations


class CommyError(Exception):
    """A call failed. `code` is the library's number, `message` its sentence: it names the value and the way out."""

    code: int = 99

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code

    def __reduce__(self) -> tuple[type[CommyError], tuple[str, int]]:
        return type(self), (self.message, self.code)


class CommyLibraryError(CommyError, ImportError):
    """libcommy.so.1 could not be loaded; the sentence says how to install it."""

    code = 1


class InitializationError(CommyError):
    """The library could not set itself up."""

    code = 1


class InvalidArgument(CommyError, ValueError):
    """An argument is outside its limits."""

    code = 2


class InvalidHandle(CommyError):
    """The mesh was cleaned up, or its library was."""

    code = 3


class OutOfMemory(CommyError, MemoryError):
    """Private memory ran out."""

    code = 4


class NotFound(CommyError, LookupError):
    """No live service has that id or name."""

    code = 5


class AlreadyExists(CommyError):
    """A live service has that id, or the region is there already."""

    code = 6


class RegionFull(CommyError):
    """The region holds as many as it was made for."""

    code = 7


class PermissionDenied(CommyError):
    """The file system or its owner says no."""

    code = 8


class IncompatibleLayout(CommyError):
    """The region was made by an incompatible library."""

    code = 9


class RegionCorrupt(CommyError):
    """What the region holds makes no sense."""

    code = 10


class TimedOut(CommyError, TimeoutError):
    """The time given has passed."""

    code = 11


class NotRunning(CommyError):
    """The mesh was stopped; start it again."""

    code = 12


class NoHealthyInstance(CommyError):
    """No instance of the name may be selected."""

    code = 13


class CircuitOpen(CommyError):
    """Every instance of the name is ejected by its circuit breaker."""

    code = 14


class ForkedChild(CommyError):
    """The mesh is the parent's: call initialize() in the forked child."""

    code = 15


class NoSpace(CommyError):
    """The file system is full."""

    code = 16


class NotARegion(CommyError):
    """The file is something else."""

    code = 17


class OtherBoot(CommyError):
    """The region was left by an earlier boot."""

    code = 18


class LimitReached(CommyError):
    """Descriptors, participants, requests in flight or a file size limit."""

    code = 19


class KernelUnsupported(CommyError):
    """The kernel lacks what is needed."""

    code = 20


class ReadOnly(CommyError):
    """The mesh is attached read-only."""

    code = 21


class RegionRemoved(CommyError):
    """The region was removed or replaced."""

    code = 22


class Busy(CommyError):
    """The bound of retries was reached, or the region is in use."""

    code = 23


class Interrupted(CommyError, InterruptedError):
    """Somebody interrupted the wait."""

    code = 24


class MeshNotFound(CommyError, LookupError):
    """No region of that name is in that directory."""

    code = 25


class InternalError(CommyError):
    """A defect in the library."""

    code = 99


BY_CODE: dict[int, type[CommyError]] = {
    kind.code: kind
    for kind in (
        InitializationError, InvalidArgument, InvalidHandle, OutOfMemory, NotFound, AlreadyExists, RegionFull,
        PermissionDenied, IncompatibleLayout, RegionCorrupt, TimedOut, NotRunning, NoHealthyInstance, CircuitOpen,
        ForkedChild, NoSpace, NotARegion, OtherBoot, LimitReached, KernelUnsupported, ReadOnly, RegionRemoved, Busy,
        Interrupted, MeshNotFound, InternalError,
    )
}  # fmt: skip

"""What holds a mesh open: attaching, starting, stopping, and giving it back."""

from __future__ import annotations

import weakref
from ctypes import byref, c_char_p, c_uint64, sizeof
from types import TracebackType
from typing import Any, TypeVar

from . import _native
from ._native import check, counted, error_of, integer, lib, raw_or_none, text, uint32
from .errors import InvalidArgument
from .types import MeshStatistics, OpenFlag, statistics_of

Self = TypeVar("Self", bound="Attachment")


def _destroy(handle: int) -> None:
    """For whoever drops a mesh without cleaning up: there is nobody left to be told of a failure."""
    lib.commy_destroy_mesh(handle)


class Attachment:
    """One attachment to a mesh."""

    def __init__(
        self,
        node_id: str,
        listen_port: int,
        *,
        mesh: str | None = None,
        dir: str | None = None,
        group: str | None = None,
        capacity: int = 0,
        mode: int = 0,
        flags: OpenFlag | int = 0,
    ) -> None:
        """Attaches to a mesh, which is made where it is missing.

        node_id, listen_port: how others see this participant: 1-63 of A-Z a-z 0-9 . _ -; 1-65535.
        mesh, dir: which one; None: $COMMY_MESH or "default", $COMMY_DIR or /dev/shm/commy-<euid>.
        group, capacity, mode: what it is made with, where it is made: 16 to 1,048,576 services, 8192 without.
        """
        if not node_id:
            raise InvalidArgument("node id is empty; give 1 to 63 of A-Z a-z 0-9 . _ -")
        integer("listen port", listen_port, 1, 65535)
        self._set_options(node_id, listen_port, mesh, dir, group, capacity, mode, flags)

    @classmethod
    def attach(
        cls: type[Self],
        mesh: str | None = None,
        dir: str | None = None,
        *,
        node_id: str | None = None,
        listen_port: int = 0,
        group: str | None = None,
        capacity: int = 0,
        mode: int = 0,
        flags: OpenFlag | int = 0,
    ) -> Self:
        """Attaches with every choice, as a program does that offers nothing: no name and no port are needed."""
        self = cls.__new__(cls)
        self._set_options(node_id, listen_port, mesh, dir, group, capacity, mode, flags)
        return self

    def _set_options(
        self,
        node_id: str | None,
        listen_port: int,
        mesh: str | None,
        dir: str | None,
        group: str | None,
        capacity: int,
        mode: int,
        flags: int,
    ) -> None:
        self._options: dict[str, Any] = {
            "size": sizeof(_native.OpenOptions),
            "flags": uint32("flags", flags),
            "mesh": raw_or_none("mesh name", mesh),
            "dir": raw_or_none("directory", dir),
            "node_id": raw_or_none("node id", node_id),
            "group": raw_or_none("group", group),
            "capacity": uint32("capacity", capacity),
            "mode": uint32("mode", mode),
            "listen_port": integer("listen port", listen_port, 0, 65535),
        }
        self._open()

    def _open(self) -> None:
        handle: int = lib.commy_open_mesh(byref(_native.OpenOptions(**self._options)))
        if handle == 0:
            raise error_of(lib.commy_last_error())
        self._handle = c_uint64(handle)
        # A lookup that never started the mesh may have to wait for a thread: only later ones keep the interpreter's lock.
        self._find = lib.commy_find
        # Also runs when the interpreter ends. In a forked child the library refuses, and nothing of the parent's changes.
        self._finalizer = weakref.finalize(self, _destroy, handle)

    # ------------------------------------------------------------------------------------------------------ lifecycle

    def initialize(self) -> None:
        """Attaches again after cleanup() and in a forked child; changes nothing elsewhere."""
        code = lib.commy_is_mesh_running(self._handle)
        if code in (-3, -15):
            self._finalizer.detach()
            self._open()
        else:
            counted(code)

    def start(self) -> None:
        """Joins the mesh. Starting twice changes nothing. Raises ReadOnly, LimitReached, KernelUnsupported."""
        check(lib.commy_start_mesh(self._handle))

    def stop(self) -> None:
        """Unregisters what this object registered and leaves. Stopping twice changes nothing."""
        check(lib.commy_stop_mesh(self._handle))

    def cleanup(self) -> None:
        """Stops, and gives the attachment back. May be called any number of times."""
        if self._finalizer.detach() is not None:
            code = lib.commy_destroy_mesh(self._handle)
            if code not in (0, 3, 15):  # gone already, by commy.cleanup(); or the parent's
                raise error_of(code)

    close = cleanup

    def __enter__(self: Self) -> Self:
        if not self._options["flags"] & OpenFlag.READ_ONLY:
            self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cleanup()

    def is_running(self) -> bool:
        return counted(lib.commy_is_mesh_running(self._handle)) == 1

    @property
    def node_id(self) -> str:
        """As others see this participant."""
        pointer = lib.commy_get_node_id(self._handle)
        if not pointer:
            raise error_of(lib.commy_last_error())
        try:
            return text(c_char_p(pointer).value or b"")
        finally:
            lib.commy_free_string(pointer)

    def get_statistics(self) -> MeshStatistics:
        """Sums up the mesh; the cost grows with the number of services."""
        native = _native.NativeStats()
        check(lib.commy_get_mesh_stats(self._handle, byref(native)))
        return statistics_of(native)

"""CommyMesh: one attachment to a mesh, and everything that is done through it."""

from __future__ import annotations

import json
import time
import weakref
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from ctypes import byref, c_char_p, c_int32, c_size_t, c_uint64, c_void_p, cast, create_string_buffer, sizeof
from itertools import accumulate, count
from operator import add
from types import TracebackType
from typing import Any, NoReturn

from . import _native
from ._native import check, counted, error_of, integer, lib, raw, raw_or_none, text, uint32, uint64
from .errors import BY_CODE, CommyError, Interrupted, InvalidArgument, TimedOut
from .types import MeshStatistics, OpenFlag, Policy, ServiceInfo, Target, info_of, statistics_of

_INT32_MAX = 2**31 - 1
_SLICE_MS = 200


def _destroy(handle: int) -> None:
    """For whoever drops a mesh without cleaning up: there is nobody left to be told of a failure."""
    lib.commy_destroy_mesh(handle)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _metadata(value: str | None) -> bytes | None:
    """Metadata is opaque to the library; that it is JSON is checked here."""
    encoded = raw_or_none("metadata", value)
    if value:
        try:
            json.loads(value, parse_constant=_no_constant)
        except (ValueError, RecursionError) as problem:
            raise InvalidArgument(f"metadata is not JSON: {problem}; a bare word needs double quotes") from None
    return encoded


def _reference(target: Target | int) -> int:
    return target.reference if isinstance(target, Target) else uint64("reference", target)


def _milliseconds(timeout: float | None) -> int:
    """Seconds as the library has them; None: for ever."""
    if timeout is None:
        return -1
    if not 0 <= timeout <= _INT32_MAX / 1000:
        raise InvalidArgument(f"timeout is {timeout!r} s; it is 0 to {_INT32_MAX // 1000}, or None for ever")
    return int(timeout * 1000 + 0.999999)


class CommyMesh:
    """One attachment to a mesh: a participant as soon as it started.

        with CommyMesh("orders", 8080) as mesh:
            mesh.register_service("orders", "orders-1", "127.0.0.1", 8080)
            target = mesh.select_service("billing")

    It may be used from any thread. What it registered is gone when it is stopped, cleaned up or collected, or when the
    process ends in whatever way. A forked child calls initialize() before anything else.

    Every method may raise CommyError; what it raises beyond InvalidArgument, InvalidHandle, NotRunning, ForkedChild,
    RegionRemoved and RegionCorrupt, each method names.
    """

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
        cls,
        mesh: str | None = None,
        dir: str | None = None,
        *,
        node_id: str | None = None,
        listen_port: int = 0,
        group: str | None = None,
        capacity: int = 0,
        mode: int = 0,
        flags: OpenFlag | int = 0,
    ) -> CommyMesh:
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

    def __enter__(self) -> CommyMesh:
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

    # ------------------------------------------------------------------------------------------------------- services

    def register_service(
        self,
        name: str,
        id: str,
        endpoint: str,
        port: int,
        *,
        metadata: str | None = None,
        version: str = "",
        zone: str = "",
        tags: Sequence[str] = (),
        weight: int = 0,
        ttl_ms: int = 0,
        detached: bool = False,
    ) -> None:
        """Registers a service, which every process finds from now on, until this object or the process ends.

        name 1-63 bytes, id 1-127, unique in the mesh; endpoint 1-255: a host, an address, or "unix:/path" with port 0;
        metadata: JSON, up to 4096 bytes; version, zone up to 31; up to 16 tags of 1-31; weight up to 65535, 0 for the
        default of 100 (set_service_weight() sets a weight of 0).
        ttl_ms: without a heartbeat for so long, up to a year, the service is unhealthy; 0: no such limit.
        detached: owned by nobody; lives until it misses its TTL, which it then needs.

        Raises AlreadyExists (the sentence names the holder), RegionFull, NoSpace, and what start() raises.
        """
        native_tags = (c_char_p * len(tags))(*(raw("tag", tag) for tag in tags))
        config = _native.ServiceConfig(
            size=sizeof(_native.ServiceConfig),
            flags=int(detached),
            service_name=raw("service name", name),
            service_id=raw("service id", id),
            endpoint=raw("endpoint", endpoint),
            metadata=_metadata(metadata),
            version=raw("version", version),
            zone=raw("zone", zone),
            tags=native_tags,
            tag_count=len(tags),
            weight=uint32("weight", weight),
            ttl_ms=uint64("ttl_ms", ttl_ms),
            port=integer("port", port, 0, 65535),
        )
        check(lib.commy_register_service(self._handle, byref(config)))

    def register_service_simple(self, name: str, id: str, endpoint: str, port: int) -> None:
        """register_service() with what every service has."""
        check(
            lib.commy_register_service_simple(
                self._handle,
                raw("service name", name),
                raw("service id", id),
                raw("endpoint", endpoint),
                integer("port", port, 0, 65535),
            )
        )

    def unregister_service(self, id: str) -> None:
        """Unregisters a service, whoever registered it. Raises NotFound."""
        check(lib.commy_unregister_service(self._handle, raw("service id", id)))

    def update_service_metadata(self, id: str, metadata: str | None) -> None:
        """Replaces a service's metadata: JSON, or None. Raises NotFound, RegionFull, NoSpace."""
        check(lib.commy_update_service_metadata(self._handle, raw("service id", id), _metadata(metadata)))

    def set_service_weight(self, id: str, weight: int) -> None:
        """Sets a service's share of the load, 0 (never selected by weight) to 65535. Raises NotFound."""
        check(lib.commy_set_service_weight(self._handle, raw("service id", id), uint32("weight", weight)))

    def heartbeat(self, id: str) -> None:
        """Renews the lease of a service with a TTL. Raises NotFound (also: it expired before)."""
        check(lib.commy_heartbeat(self._handle, raw("service id", id)))

    # -------------------------------------------------------------------------------------------------------- looking

    def find(self, id: str) -> Target:
        """What a client needs to connect to a service. Raises NotFound."""
        try:
            raw_id = id.encode()
        except (AttributeError, UnicodeEncodeError):
            raw_id = raw("service id", id)  # says what it is
        if "\0" in id:
            raw("service id", id)
        target = Target()
        code = self._find(self._handle, raw_id, byref(target))
        if code:
            raise error_of(code)
        self._find = _native.find_locked
        return target

    def find_many(self, ids: Iterable[str]) -> list[Target | CommyError]:
        """Looks many up in one call: for each id, in its place, its target or why there is none."""
        wanted = list(ids)
        text_of_all = "\0".join(wanted)
        if text_of_all.count("\0") > len(wanted) - 1:  # an id that holds a NUL is refused as an empty one is
            text_of_all = "\0".join("" if "\0" in id else id for id in wanted)
        n, bytes_of_all = len(wanted), text_of_all.encode("utf-8", "surrogatepass")
        # Where each id begins; c_char_p would be made of one at a time.
        lengths = map(len, bytes_of_all.split(b"\0"))
        begins = array("Q", map(add, accumulate(lengths, initial=cast(c_char_p(bytes_of_all), c_void_p).value or 0), count()))
        targets, codes = (Target * n)(), (c_int32 * n)()
        code = lib.commy_find_many(self._handle, (c_char_p * n).from_buffer(begins), n, targets, codes)
        found: list[Target | CommyError] = list(targets)
        if code == 0:
            return found
        if code not in codes:  # not what became of an id, but of the call
            raise error_of(code)
        for i, (code, id) in enumerate(zip(codes, wanted)):
            if code:
                found[i] = BY_CODE.get(code, CommyError)(f"service id {id!r}: {status_string(code)}", code)
        return found

    def get_service(self, id: str) -> ServiceInfo:
        """Everything known about a service. Raises NotFound."""
        native = _native.NativeInfo()
        check(lib.commy_get_service(self._handle, raw("service id", id), byref(native)))
        return info_of(native)

    def get_service_metadata(self, id: str) -> str:
        """A service's metadata, "" where it has none. Raises NotFound, Busy."""
        buffer, length = create_string_buffer(4097), c_size_t()
        check(lib.commy_get_service_metadata(self._handle, raw("service id", id), buffer, 4097, byref(length)))
        return text(buffer.value)

    def discover_services(self, name: str) -> list[ServiceInfo]:
        """All live instances of a name, whatever their health."""
        return self._list(lib.commy_discover_services, raw("service name", name))

    def get_all_services(self) -> list[ServiceInfo]:
        """All live services of the mesh."""
        return self._list(lib.commy_get_all_services)

    def _list(self, function: Any, *name: bytes) -> list[ServiceInfo]:
        count, capacity = c_size_t(), 0
        check(function(self._handle, *name, None, 0, byref(count)))
        while count.value > capacity:
            capacity = count.value + count.value // 8 + 4  # some may come meanwhile
            natives = (_native.NativeInfo * capacity)()
            check(function(self._handle, *name, natives, capacity, byref(count)))
            if count.value <= capacity:
                return [info_of(natives[i]) for i in range(count.value)]
        return []

    def discover_services_count(self, name: str) -> int:
        return counted(lib.commy_discover_services_count(self._handle, raw("service name", name)))

    def get_active_service_count(self) -> int:
        return counted(lib.commy_get_active_service_count(self._handle))

    # ------------------------------------------------------------------------------------------ selecting and requests

    def configure_load_balancer(
        self,
        policy: Policy | int,
        *,
        circuit_breaker: bool = False,
        circuit_breaker_threshold: int = 0,
        circuit_breaker_timeout_ms: int = 0,
    ) -> None:
        """How this object selects from now on; without it, round robin."""
        config = _native.NativeBalancer(
            algorithm=integer("policy", policy, -(2**31), _INT32_MAX),
            enable_circuit_breaker=int(circuit_breaker),
            circuit_breaker_threshold=uint32("circuit breaker threshold", circuit_breaker_threshold),
            circuit_breaker_timeout_ms=uint64("circuit breaker timeout in ms", circuit_breaker_timeout_ms),
        )
        check(lib.commy_configure_load_balancer(self._handle, byref(config)))

    def select_service(self, name: str, client_id: str | None = None) -> Target:
        """One instance of a name that may be sent a request. Raises NotFound, NoHealthyInstance, CircuitOpen, Busy.

        client_id: 1-255 bytes, which Policy.CONSISTENT_HASH needs.
        """
        target = Target()
        check(
            lib.commy_select_service(
                self._handle, raw("service name", name), raw_or_none("client id", client_id), byref(target)
            )
        )
        return target

    @contextmanager
    def request(self, target: Target | int) -> Iterator[None]:
        """A request in flight, timed, which failed where the block raises."""
        token = self.begin_request(target)
        began = time.monotonic_ns()
        try:
            yield
        except BaseException:
            self.end_request(token, time.monotonic_ns() - began, False)
            raise
        self.end_request(token, time.monotonic_ns() - began, True)

    def begin_request(self, target: Target | int) -> int:
        """Begins a request to a target, or to its reference; gives a token to end it with. Raises NotFound, LimitReached,
        RegionFull, NoSpace, Busy."""
        token = c_uint64()
        check(lib.commy_begin_request(self._handle, _reference(target), byref(token)))
        return token.value

    def end_request(self, token: int, latency_ns: int, success: bool = True) -> None:
        """Ends a request and counts it. InvalidArgument: it was ended before, or by stop()."""
        check(lib.commy_end_request(self._handle, uint64("token", token), uint64("latency in ns", latency_ns), success))

    def report(self, target: Target | int, latency_ns: int, success: bool = True) -> None:
        """Counts one request to a target. Raises NotFound (that registration is gone), RegionFull, NoSpace."""
        check(lib.commy_report(self._handle, _reference(target), uint64("latency in ns", latency_ns), success))

    def report_service_performance(self, id: str, response_time_ms: int, success: bool = True) -> None:
        """Counts one request to whatever has an id now. Raises as report() does."""
        check(
            lib.commy_report_service_performance(
                self._handle, raw("service id", id), uint64("response time in ms", response_time_ms), success
            )
        )

    def get_latency(self, id_or_name: str | None = None, quantile: float = 0.5) -> int:
        """The latency in ns that a share (0 to 1) of the requests did not exceed, within 7 %; None: of the whole mesh.
        0 where nothing was reported. Raises NotFound."""
        ns = c_uint64()
        check(lib.commy_get_latency(self._handle, raw_or_none("id or name", id_or_name), quantile, byref(ns)))
        return ns.value

    # -------------------------------------------------------------------------------------------------------- waiting

    def wait(self, name: str | None = None, version: int = 0, timeout: float | None = None) -> int:
        """Waits until something changed since `version`, for a name or (None) in the mesh; gives the version to wait for
        next. 0 gives the current one at once. A change is never missed; a return without one is possible.

        timeout: in seconds; None: for ever. Raises TimedOut. Other threads run meanwhile.
        """
        raw_name, new_version = raw_or_none("service name", name), c_uint64()
        uint64("version", version)
        whole = milliseconds = _milliseconds(timeout)
        end = time.monotonic() + milliseconds / 1000
        while True:
            # In slices: a signal that comes between two sleeps of the library interrupts neither, and its handler could
            # not run before the call is back.
            slice_ms = _SLICE_MS if whole < 0 else min(milliseconds, _SLICE_MS)
            code = lib.commy_wait(self._handle, raw_name, version, slice_ms, byref(new_version))
            if code == 0:
                return new_version.value
            if code not in (TimedOut.code, Interrupted.code):
                raise error_of(code)
            if whole >= 0:
                milliseconds = _milliseconds(max(0.0, end - time.monotonic()))
                if milliseconds == 0 and code == TimedOut.code:
                    what = "in the mesh" if name is None else f"among the instances of {name!r}"
                    raise TimedOut(f"nothing changed {what} within {whole} ms")


def status_string(code: int) -> str:
    """A few words for a code of the library."""
    words: bytes = lib.commy_status_string(integer("code", code, -(2**31), _INT32_MAX))
    return text(words)

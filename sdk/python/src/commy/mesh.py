"""CommyMesh: everything that is done through one attachment to a mesh."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import byref, c_double, c_int32, c_uint32, c_uint64

from . import _native
from ._native import check, error_of, int32, lib, milliseconds, raw, raw_or_none, uint64
from .callbacks import Callbacks
from .errors import Interrupted, TimedOut
from .registry import Registry
from .types import (
    BalancerStatistics,
    BreakerState,
    BreakerStatus,
    Event,
    Health,
    HealthConfig,
    HealthStatus,
    LoadBalancerConfig,
    Policy,
    Target,
)
from .watch import Watch


def _reference(target: Target | int) -> int:
    return target.reference if isinstance(target, Target) else uint64("reference", target)


class CommyMesh(Registry):
    """One attachment to a mesh: a participant as soon as it started.

        with CommyMesh("orders", 8080) as mesh:
            mesh.register_service("orders", "orders-1", "127.0.0.1", 8080)
            target = mesh.select_service("billing")

    It may be used from any thread. What it registered is gone when it is stopped, cleaned up or collected, or when the
    process ends in whatever way. A forked child calls initialize() before anything else.

    Every method may raise CommyError; what it raises beyond InvalidArgument, InvalidHandle, NotRunning, ForkedChild,
    RegionRemoved and RegionCorrupt, each method names.
    """

    # ----------------------------------------------------------------------------------------- selecting and requests

    def configure_load_balancer(
        self,
        policy: Policy | int,
        *,
        circuit_breaker: bool = False,
        circuit_breaker_threshold: int = 0,
        circuit_breaker_timeout_ms: int = 0,
    ) -> None:
        """How this object selects from now on; without it, round robin. Circuit breakers are those of the whole mesh."""
        config = LoadBalancerConfig(
            policy, circuit_breaker, circuit_breaker_threshold, circuit_breaker_timeout_ms
        )
        check(lib.commy_configure_load_balancer(self._handle, byref(config.native())))

    def configure_mesh(
        self, health: HealthConfig | None = None, load_balancer: LoadBalancerConfig | None = None
    ) -> None:
        """How this object has services checked, and how it selects. None: unchanged. All or nothing."""
        check(
            lib.commy_configure_mesh(
                self._handle,
                None if health is None else byref(health.native()),
                None if load_balancer is None else byref(load_balancer.native()),
            )
        )

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

    def get_load_balancer_stats(self, name: str) -> BalancerStatistics:
        """Requests to all live instances of a name. Raises NotFound."""
        total, successful, failed, average = c_uint64(), c_uint64(), c_uint64(), c_double()
        check(
            lib.commy_get_load_balancer_stats(
                self._handle, raw("service name", name), byref(total), byref(successful), byref(failed), byref(average)
            )
        )
        return BalancerStatistics(total.value, successful.value, failed.value, average.value)

    def get_circuit_breaker_status(self, id: str) -> BreakerStatus:
        """How the circuit breaker of a service stands, for all processes. Raises NotFound."""
        state, failures = c_int32(), c_uint32()
        check(
            lib.commy_get_circuit_breaker_status(self._handle, raw("service id", id), byref(state), byref(failures))
        )
        return BreakerStatus(BreakerState(state.value), failures.value)

    def reset_circuit_breaker(self, id: str) -> None:
        """Closes the circuit breaker of a service. Raises NotFound."""
        check(lib.commy_reset_circuit_breaker(self._handle, raw("service id", id)))

    # --------------------------------------------------------------------------------------------------------- health

    def start_health_monitoring(self, id: str, config: HealthConfig | None = None) -> None:
        """Has this process take part in checking a service, of which one process at a time does it. Raises NotFound.

        config: None: what configure_mesh() said, else every 5 s.
        """
        native = None if config is None else byref(config.native())
        check(lib.commy_start_health_monitoring(self._handle, raw("service id", id), native))

    def stop_health_monitoring(self, id: str) -> None:
        """Takes this process out of checking a service. Raises NotFound."""
        check(lib.commy_stop_health_monitoring(self._handle, raw("service id", id)))

    def get_service_health(self, id: str) -> HealthStatus:
        """A service's health as everybody sees it. Raises NotFound."""
        return self._health(lib.commy_get_service_health, id)

    def manual_health_check(self, id: str) -> HealthStatus:
        """Checks a service now, which takes up to the timeout of its configuration; other threads run meanwhile.
        Raises NotFound."""
        return self._health(lib.commy_manual_health_check, id)

    def _health(self, function: Callable[..., int], id: str) -> HealthStatus:
        status, response_time = c_int32(), c_double()
        check(function(self._handle, raw("service id", id), byref(status), byref(response_time)))
        return HealthStatus(Health(status.value), response_time.value)

    # -------------------------------------------------------------------------------------------------------- waiting

    def wait(self, name: str | None = None, version: int = 0, timeout: float | None = None) -> int:
        """Waits until something changed since `version`, for a name or (None) in the mesh; gives the version to wait for
        next. 0 gives the current one at once. A change is never missed; a return without one is possible.

        timeout: in seconds; None: for ever. Raises TimedOut. Other threads run meanwhile.
        """
        raw_name, new_version = raw_or_none("service name", name), c_uint64()
        uint64("version", version)
        whole = left = milliseconds(timeout)
        end = time.monotonic() + left / 1000
        while True:
            # In slices: a signal that comes between two sleeps of the library interrupts neither, and its handler could
            # not run before the call is back.
            slice_ms = _native.SLICE_MS if whole < 0 else min(left, _native.SLICE_MS)
            code = lib.commy_wait(self._handle, raw_name, version, slice_ms, byref(new_version))
            if code == 0:
                return new_version.value
            if code not in (TimedOut.code, Interrupted.code):
                raise error_of(code)
            if whole >= 0:
                left = milliseconds(max(0.0, end - time.monotonic()))
                if left == 0 and code == TimedOut.code:
                    what = "in the mesh" if name is None else f"among the instances of {name!r}"
                    raise TimedOut(f"nothing changed {what} within {whole} ms")

    def watch(self, name: str | None = None) -> Watch:
        """Watches a name or (None) the whole mesh: to iterate over, with `for` or `async for`, or to wait on."""
        return Watch(self, name)

    # ------------------------------------------------------------------------------------------------------ callbacks

    def on_service(self, function: Callable[[Event, str, str], None] | None) -> None:
        """Has dispatch() call function(event, service name, service id) for what becomes of services; first for those that
        are there. None: nobody is called any more."""
        self._callbacks().on_service(function)

    def on_health(self, function: Callable[[str, str, Health, Health], None] | None) -> None:
        """Has dispatch() call function(service name, service id, old, new) when a service's health is another."""
        self._callbacks().on_health(function)

    def dispatch(self, timeout: float | None = None) -> int:
        """Runs callbacks for what has arrived, on this thread; where nothing has, waits for it, in seconds (None: for ever).
        Gives how many ran. What a callback raises comes out of here."""
        return self._callbacks().dispatch(timeout)

    def _callbacks(self) -> Callbacks:
        called: Callbacks | None = self.__dict__.get("_called")
        if called is None or called.handle is not self._handle:  # attached again since
            called = self.__dict__["_called"] = Callbacks(self._handle)
        return called

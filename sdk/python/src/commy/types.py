"""What calls give back: values that do not change, and the numbers of the library with names."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass
from enum import IntEnum, IntFlag
from typing import Any

from ._native import NativeBalancer, NativeHealth, NativeInfo, NativeStats, NativeTarget, int32, text, uint32, uint64


class Health(IntEnum):
    """Health of a service."""

    UNKNOWN = 0
    HEALTHY = 1
    UNHEALTHY = 2
    DEGRADED = 3


class Admin(IntEnum):
    """What its operators want of a service."""

    ENABLED = 0
    DRAINING = 1
    MAINTENANCE = 2


class Policy(IntEnum):
    """How one instance of a name is selected."""

    ROUND_ROBIN = 0
    LEAST_CONNECTIONS = 1
    WEIGHTED_ROUND_ROBIN = 2
    PERFORMANCE = 3
    RANDOM = 4
    CONSISTENT_HASH = 5


class BreakerState(IntEnum):
    """How the circuit breaker of a service stands."""

    CLOSED = 0
    OPEN = 1
    HALF_OPEN = 2


class Event(IntEnum):
    """What became of a service."""

    REGISTERED = 1
    GONE = 2
    CHANGED = 3


class OpenFlag(IntFlag):
    """How a region is opened."""

    READ_ONLY = 1
    MUST_EXIST = 2
    MUST_NOT_EXIST = 4


class Target(NativeTarget):
    """What a client needs to connect to a service and to report on it. Does not change; equal when all of it is.

    It is the library's own structure, read where it lies, so that a lookup costs no more than the call.
    `reference` names this registration and no later one.
    """

    __slots__ = ()

    @property
    def reference(self) -> int:
        return self._reference  # type: ignore[no-any-return]

    @property
    def weight(self) -> int:
        return self._weight  # type: ignore[no-any-return]

    @property
    def status(self) -> Health:
        return Health(self._status)

    @property
    def port(self) -> int:
        return self._port  # type: ignore[no-any-return]

    @property
    def endpoint(self) -> str:
        return text(self._endpoint)

    def _key(self) -> tuple[int, int, int, int, bytes]:
        return self._reference, self._weight, self._status, self._port, self._endpoint

    def __setattr__(self, name: str, value: Any) -> None:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Target) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return (
            f"Target(reference={self.reference}, weight={self.weight}, status={self.status!r}, port={self.port}, "
            f"endpoint={self.endpoint!r})"
        )


@dataclass(frozen=True, slots=True)
class ServiceInfo:
    """Everything known about a service, but for its metadata's text."""

    name: str
    id: str
    endpoint: str
    port: int
    version: str
    zone: str
    node_id: str
    tags: tuple[str, ...]
    weight: int
    status: Health
    admin: Admin
    owner_pid: int
    """In the owner's PID namespace; 0 for a detached service."""
    registered_at_ns: int
    """Unix time."""
    metadata_bytes: int
    response_time_ms: float
    """Average of the reported latencies; 0 before the first."""


@dataclass(frozen=True, slots=True)
class MeshStatistics:
    """The mesh in numbers. total = healthy + unhealthy + unknown; degraded counts as healthy."""

    total_services: int
    healthy_services: int
    unhealthy_services: int
    registered_services: int
    """Those that the calling mesh object owns."""
    total_requests: int
    successful_requests: int
    failed_requests: int
    average_response_time_ms: float


@dataclass(frozen=True, slots=True)
class HealthStatus:
    """A service's health."""

    status: Health
    response_time_ms: float


@dataclass(frozen=True, slots=True)
class BreakerStatus:
    """A service's circuit breaker, and the failures in a row that it has counted."""

    state: BreakerState
    failures: int


@dataclass(frozen=True, slots=True)
class BalancerStatistics:
    """Requests to all live instances of a name, and their mean latency."""

    total: int
    successful: int
    failed: int
    average_ms: float


@dataclass(frozen=True, slots=True)
class HealthConfig:
    """How a service's health is checked; none of it is 0."""

    check_interval_ms: int = 5000
    timeout_ms: int = 1000
    max_failures: int = 3
    """In a row, which make a service unhealthy."""
    recovery_checks: int = 2
    """Successes in a row that make it healthy again."""

    def native(self) -> NativeHealth:
        return NativeHealth(
            uint64("check interval in ms", self.check_interval_ms),
            uint64("timeout in ms", self.timeout_ms),
            uint32("max_failures", self.max_failures),
            uint32("recovery_checks", self.recovery_checks),
        )


@dataclass(frozen=True, slots=True)
class LoadBalancerConfig:
    """How a mesh object selects."""

    policy: Policy | int = Policy.ROUND_ROBIN
    circuit_breaker: bool = False
    circuit_breaker_threshold: int = 0
    circuit_breaker_timeout_ms: int = 0

    def native(self) -> NativeBalancer:
        return NativeBalancer(
            int32("policy", self.policy),
            int(self.circuit_breaker),
            uint32("circuit breaker threshold", self.circuit_breaker_threshold),
            uint64("circuit breaker timeout in ms", self.circuit_breaker_timeout_ms),
        )


@dataclass(frozen=True, slots=True)
class Change:
    """What a watch gives: the state after something changed."""

    name: str | None
    """What is watched; None: the whole mesh."""
    version: int
    services: tuple[ServiceInfo, ...]


def info_of(native: NativeInfo) -> ServiceInfo:
    return ServiceInfo(
        name=text(native.name),
        id=text(native.id),
        endpoint=text(native.endpoint),
        port=native.port,
        version=text(native.version),
        zone=text(native.zone),
        node_id=text(native.node_id),
        tags=tuple(text(native.tags[i].value) for i in range(min(native.tag_count, 16))),
        weight=native.weight,
        status=Health(native.status),
        admin=Admin(native.admin),
        owner_pid=native.owner_pid,
        registered_at_ns=native.registered_at_ns,
        metadata_bytes=native.metadata_bytes,
        response_time_ms=native.response_time_ms,
    )


def statistics_of(native: NativeStats) -> MeshStatistics:
    return MeshStatistics(*(getattr(native, field[0]) for field in NativeStats._fields_))

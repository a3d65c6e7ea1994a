"""Services: registering, changing and looking them up."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Sequence
from ctypes import byref, c_char_p, c_int32, c_size_t, c_void_p, cast, create_string_buffer, sizeof
from itertools import accumulate, count
from operator import add
from typing import Any, NoReturn

from . import _native
from ._native import check, counted, error_of, int32, integer, lib, raw, raw_or_none, status_string, text, uint32, uint64
from .attachment import Attachment
from .errors import BY_CODE, CommyError, InvalidArgument
from .types import Admin, Health, ServiceInfo, Target, info_of


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


class Registry(Attachment):
    """What a mesh knows about services."""

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

    def set_health(self, id: str, status: Health | int) -> None:
        """Sets what lookups report as a service's health. Raises NotFound."""
        check(lib.commy_set_health(self._handle, raw("service id", id), int32("health", status)))

    def set_admin(self, id: str, admin: Admin | int) -> None:
        """Sets what its operators want of a service: one that drains, or is maintained, is not selected. Raises NotFound."""
        check(lib.commy_set_admin(self._handle, raw("service id", id), int32("admin state", admin)))

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

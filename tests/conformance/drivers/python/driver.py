"""The driver of the Python SDK: what it does is in ../../README.md. It calls the package `commy` and nothing below it."""

import asyncio
import dataclasses
import json
import select
import sys

import commy

STRINGS = {"registered_at_ns", "metadata_bytes", "total_requests", "successful_requests", "failed_requests"}
meshes = {}
tokens = {}
watches = {}


def mesh_of(args):
    if args["mesh"] not in meshes:
        raise commy.InvalidHandle(f"no mesh was opened as {args['mesh']!r}")
    return meshes[args["mesh"]]


def number(args, name, default=0):
    """A number of 64 bits, which comes as a string."""
    value = args.get(name)
    return default if value is None else int(value)


def structure(value):
    fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return {name: str(field) if name in STRINGS else field for name, field in fields.items()}


def target(value):
    return {"reference": str(value.reference), "weight": value.weight, "status": value.status, "port": value.port,
            "endpoint": value.endpoint}


def options(args):
    names = ("dir", "node_id", "group", "capacity", "mode", "listen_port", "flags")
    return {name: args[name] for name in names if args.get(name) is not None}


def open_mesh(args):
    meshes[args["mesh"]] = commy.CommyMesh.attach(args.get("name"), **options(args))


def create_mesh(args):
    meshes[args["mesh"]] = commy.CommyMesh(args["node_id"], args["listen_port"])


def register_service(args):
    extra = {name: args[name] for name in ("metadata", "version", "zone", "tags", "weight") if args.get(name) is not None}
    mesh_of(args).register_service(args["service_name"], args["service_id"], args["endpoint"], args["port"],
                                   ttl_ms=number(args, "ttl_ms"), detached=args.get("flags", 0) == 1, **extra)


def find_many(args):
    found = mesh_of(args).find_many(args["ids"])
    return [{"code": one.code} if isinstance(one, commy.CommyError) else {"code": 0, "target": target(one)}
            for one in found]


def begin_request(args):
    tokens[args["token"]] = mesh_of(args).begin_request(number(args, "reference"))


def end_request(args):
    mesh_of(args).end_request(tokens.get(args["token"], 0), number(args, "latency_ns"), args["success"])


def configure_load_balancer(args):
    mesh_of(args).configure_load_balancer(args["algorithm"], circuit_breaker=args["enable_circuit_breaker"],
                                          circuit_breaker_threshold=args["circuit_breaker_threshold"],
                                          circuit_breaker_timeout_ms=number(args, "circuit_breaker_timeout_ms"))


def balancer_of(args):
    return commy.LoadBalancerConfig(args["algorithm"], args["enable_circuit_breaker"], args["circuit_breaker_threshold"],
                                    number(args, "circuit_breaker_timeout_ms"))


def health_of(args):
    return commy.HealthConfig(number(args, "check_interval_ms"), number(args, "timeout_ms"), args["max_failures"],
                              args["recovery_checks"])


def configure_mesh(args):
    health, balancer = args.get("health"), args.get("load_balancer")
    mesh_of(args).configure_mesh(health and health_of(health), balancer and balancer_of(balancer))


def breaker(args):
    status = mesh_of(args).get_circuit_breaker_status(args["id"])
    return {"state": status.state, "failures": status.failures}


def balancer_stats(args):
    stats = dataclasses.asdict(mesh_of(args).get_load_balancer_stats(args["name"]))
    return {name: value if name == "average_ms" else str(value) for name, value in stats.items()}


def watch_of(args):
    if args["watch"] not in watches:
        raise commy.InvalidHandle(f"no watch was opened as {args['watch']!r}")
    return watches[args["watch"]]


def watch_open(args):
    watches[args["watch"]] = mesh_of(args).watch(args.get("name"))


def watch_changes(args):
    async def follow():
        versions = []
        async for change in mesh_of(args).watch(args.get("name")):
            versions.append(str(change.version))
            if len(versions) == args["count"]:
                break
        return versions

    try:
        return asyncio.run(asyncio.wait_for(follow(), seconds(args)))
    except asyncio.TimeoutError:
        raise commy.TimedOut("fewer changes came than were asked for") from None


def seconds(args):
    return None if args["timeout_ms"] < 0 else args["timeout_ms"] / 1000


CALLS = {
    "capabilities": lambda a: [call for call in CALLS if call not in ("capabilities", "bye")],
    "bye": lambda a: None,
    "ffi_init": lambda a: commy.init(),
    "ffi_cleanup": lambda a: commy.cleanup(),
    "ffi_version": lambda a: commy.version(),
    "status_string": lambda a: commy.status_string(a["status"]),
    "create_mesh": create_mesh,
    "open_mesh": open_mesh,
    "start_mesh": lambda a: mesh_of(a).start(),
    "stop_mesh": lambda a: mesh_of(a).stop(),
    "destroy_mesh": lambda a: mesh_of(a).cleanup(),
    "is_mesh_running": lambda a: mesh_of(a).is_running(),
    "get_node_id": lambda a: mesh_of(a).node_id,
    "get_mesh_stats": lambda a: structure(mesh_of(a).get_statistics()),
    "register_service_simple": lambda a: mesh_of(a).register_service_simple(a["name"], a["id"], a["endpoint"], a["port"]),
    "register_service": register_service,
    "unregister_service": lambda a: mesh_of(a).unregister_service(a["id"]),
    "heartbeat": lambda a: mesh_of(a).heartbeat(a["id"]),
    "discover_services_count": lambda a: mesh_of(a).discover_services_count(a["name"]),
    "discover_services": lambda a: [structure(one) for one in mesh_of(a).discover_services(a["name"])],
    "get_active_service_count": lambda a: mesh_of(a).get_active_service_count(),
    "get_all_services": lambda a: [structure(one) for one in mesh_of(a).get_all_services()],
    "get_service": lambda a: structure(mesh_of(a).get_service(a["id"])),
    "find": lambda a: target(mesh_of(a).find(a["id"])),
    "find_many": find_many,
    "get_service_metadata": lambda a: mesh_of(a).get_service_metadata(a["id"]),
    "update_service_metadata": lambda a: mesh_of(a).update_service_metadata(a["id"], a["metadata"]),
    "set_service_weight": lambda a: mesh_of(a).set_service_weight(a["id"], a["weight"]),
    "report_service_performance": lambda a: mesh_of(a).report_service_performance(
        a["id"], number(a, "response_time_ms"), a["success"]),
    "report": lambda a: mesh_of(a).report(number(a, "reference"), number(a, "latency_ns"), a["success"]),
    "begin_request": begin_request,
    "end_request": end_request,
    "get_latency": lambda a: str(mesh_of(a).get_latency(a.get("id"), a["quantile"])),
    "configure_load_balancer": configure_load_balancer,
    "select_service": lambda a: target(mesh_of(a).select_service(a["name"], a.get("client_id"))),
    "set_health": lambda a: mesh_of(a).set_health(a["id"], a["status"]),
    "set_admin": lambda a: mesh_of(a).set_admin(a["id"], a["admin"]),
    "get_load_balancer_stats": balancer_stats,
    "get_circuit_breaker_status": breaker,
    "reset_circuit_breaker": lambda a: mesh_of(a).reset_circuit_breaker(a["id"]),
    "configure_mesh": configure_mesh,
    "start_health_monitoring": lambda a: mesh_of(a).start_health_monitoring(
        a["id"], health_of(a) if "check_interval_ms" in a else None),
    "stop_health_monitoring": lambda a: mesh_of(a).stop_health_monitoring(a["id"]),
    "get_service_health": lambda a: structure(mesh_of(a).get_service_health(a["id"])),
    "manual_health_check": lambda a: structure(mesh_of(a).manual_health_check(a["id"])),
    "watch_open": watch_open,
    "watch_fd": lambda a: bool(select.select([watch_of(a)], [], [], 0)[0]),
    "watch_wait": lambda a: str(watch_of(a).wait(seconds(a))),
    "watch_wake": lambda a: watch_of(a).wake(),
    "watch_close": lambda a: watch_of(a).close(),
    "watch_changes": watch_changes,
    "wait": lambda a: str(mesh_of(a).wait(a.get("name"), number(a, "version"), seconds(a))),
}


def answer(request):
    if request["call"] not in CALLS:
        return {"code": -1, "message": "unknown call"}
    try:
        return {"code": 0, "value": CALLS[request["call"]](request.get("args") or {})}
    except commy.CommyError as problem:
        return {"code": problem.code, "message": problem.message}
    except Exception as problem:  # a defect of the SDK or of this driver, which the suite is to see
        return {"code": -2, "message": f"{type(problem).__name__}: {problem}"}


for line in sys.stdin:
    asked = json.loads(line)
    print(json.dumps({"seq": asked["seq"], **answer(asked)}), flush=True)
    if asked["call"] == "bye":
        break

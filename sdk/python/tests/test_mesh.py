"""The calls of one process: what they give, and what they refuse."""

import dataclasses
import pickle
import threading
import time

import pytest

import commy
from commy import Admin, CommyMesh, Health, OpenFlag, Policy, Target


def test_the_usual_flow() -> None:
    mesh = CommyMesh("test-node", 8080)
    mesh.initialize()
    mesh.start()
    mesh.register_service("auth-service", "auth-1", "127.0.0.1", 3001)
    services = mesh.discover_services("auth-service")
    assert [(s.id, s.endpoint, s.port, s.status, s.admin) for s in services] == [
        ("auth-1", "127.0.0.1", 3001, Health.HEALTHY, Admin.ENABLED)
    ]
    stats = mesh.get_statistics()
    assert (stats.total_services, stats.healthy_services, stats.registered_services) == (1, 1, 1)
    assert mesh.is_running() and mesh.node_id == "test-node"
    mesh.stop()
    assert not mesh.is_running()
    mesh.cleanup()
    mesh.cleanup()


def test_a_block_starts_and_cleans_up() -> None:
    with CommyMesh("one", 1) as mesh:
        assert mesh.is_running()
        mesh.register_service("web", "web-1", "127.0.0.1", 80)
        with CommyMesh.attach() as other:
            assert other.find("web-1").port == 80
    with CommyMesh.attach() as other:
        assert other.get_all_services() == []
    with pytest.raises(commy.InvalidHandle):
        mesh.find("web-1")


def test_initialize_attaches_again_after_cleanup() -> None:
    mesh = CommyMesh("again", 1)
    mesh.cleanup()
    mesh.initialize()
    mesh.register_service("web", "web-1", "127.0.0.1", 80)
    mesh.initialize()
    assert mesh.find("web-1").port == 80


def test_every_field(mesh: CommyMesh) -> None:
    mesh.register_service(
        "web", "w", "unix:/run/w", 0, metadata='{"a": 1}', version="2", zone="z", tags=["x", "y"], weight=5, ttl_ms=60000
    )
    info = mesh.get_service("w")
    assert (info.name, info.endpoint, info.port, info.version, info.zone) == ("web", "unix:/run/w", 0, "2", "z")
    assert (info.tags, info.weight, info.node_id, info.metadata_bytes) == (("x", "y"), 5, "tester", 8)
    assert abs(info.registered_at_ns / 1e9 - time.time()) < 60
    assert mesh.get_service_metadata("w") == '{"a": 1}'
    mesh.update_service_metadata("w", None)
    assert mesh.get_service_metadata("w") == ""


def test_values_do_not_change(mesh: CommyMesh) -> None:
    mesh.register_service("web", "w", "h", 80)
    target, info = mesh.find("w"), mesh.get_service("w")
    with pytest.raises(dataclasses.FrozenInstanceError):
        target.port = 81  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        info.port = 81  # type: ignore[misc]
    assert target == mesh.find("w") and hash(target) == hash(mesh.find("w"))
    mesh.set_service_weight("w", 7)
    assert target != mesh.find("w") and target.weight == 100
    assert "endpoint='h'" in repr(target)


def test_a_target_outlives_its_mesh() -> None:
    with CommyMesh("short", 1) as mesh:
        mesh.register_service("web", "w", "h", 80)
        target = mesh.find("w")
    assert (target.endpoint, target.port, target.status) == ("h", 80, Health.HEALTHY)


def test_many_at_once(mesh: CommyMesh) -> None:
    for i in range(40):
        mesh.register_service("web", f"wéb-{i}", "127.0.0.1", 8000 + i)
    found = mesh.find_many([*(f"wéb-{i}" for i in range(40)), "nobody", "", "wéb-1\0x"])
    assert [one.port for one in found[:40] if isinstance(one, Target)] == list(range(8000, 8040))
    assert [type(one) for one in found[40:]] == [commy.NotFound, commy.InvalidArgument, commy.InvalidArgument]
    assert all(isinstance(one, Target) for one in mesh.find_many(f"wéb-{i}" for i in range(40)))
    assert mesh.find_many([]) == []
    mesh.cleanup()
    with pytest.raises(commy.InvalidHandle):
        mesh.find_many(["wéb-1"])


def test_errors_say_what_and_how(mesh: CommyMesh) -> None:
    with pytest.raises(commy.NotFound) as caught:
        mesh.find("nobody")
    assert caught.value.code == 5 and "nobody" in caught.value.message == str(caught.value)
    assert isinstance(caught.value, LookupError) and isinstance(caught.value, commy.CommyError)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (type(copy), copy.code, copy.message) == (commy.NotFound, 5, caught.value.message)


def test_each_code_has_a_class() -> None:
    codes = [kind.code for kind in commy.CommyError.__subclasses__() if kind is not commy.CommyLibraryError]
    assert sorted(codes) == [*range(1, 26), 99]


@pytest.mark.parametrize("value", [-1, 65536, 2**32 + 80, 80.0, "80", None])
def test_no_number_is_cut(mesh: CommyMesh, value: int) -> None:
    with pytest.raises(commy.InvalidArgument, match="port"):
        mesh.register_service("web", "w", "h", value)
    assert mesh.get_active_service_count() == 0


@pytest.mark.parametrize("value", ["a\0b", b"ab", None, 5, "\ud800"])
def test_no_string_is_cut(mesh: CommyMesh, value: str) -> None:
    mesh.register_service("web", "a", "h", 80)
    for call in (mesh.find, mesh.get_service, mesh.unregister_service, mesh.heartbeat):
        with pytest.raises(commy.InvalidArgument, match="service id"):
            call(value)
    assert mesh.find("a").port == 80


@pytest.mark.parametrize("text", ["bare", "{'a': 1}", "[1,]", "NaN", "{} {}", "[" * 2000, '"\n"'])
def test_metadata_is_json(mesh: CommyMesh, text: str) -> None:
    with pytest.raises(commy.InvalidArgument, match="not JSON"):
        mesh.register_service("web", "w", "h", 80, metadata=text)
    mesh.register_service("web", "w", "h", 80)
    with pytest.raises(commy.InvalidArgument, match="not JSON"):
        mesh.update_service_metadata("w", text)


def test_requests_are_timed(mesh: CommyMesh) -> None:
    mesh.register_service("web", "w", "h", 80)
    target = mesh.select_service("web")
    with mesh.request(target):
        time.sleep(0.01)
    with pytest.raises(ZeroDivisionError), mesh.request(target):
        raise ZeroDivisionError
    mesh.report(target, 1_000_000, False)
    mesh.report(target.reference, 1_000_000)
    stats = mesh.get_statistics()
    assert (stats.total_requests, stats.successful_requests, stats.failed_requests) == (4, 2, 2)
    assert mesh.get_latency("w", 1) > 9_000_000
    mesh.unregister_service("w")
    with pytest.raises(commy.NotFound):
        mesh.report(target, 1)


def test_policies(mesh: CommyMesh) -> None:
    for i in range(3):
        mesh.register_service("web", f"w-{i}", "h", 8000 + i)
    assert sorted(mesh.select_service("web").port for _ in range(9)) == [8000] * 3 + [8001] * 3 + [8002] * 3
    mesh.configure_load_balancer(Policy.CONSISTENT_HASH)
    assert len({mesh.select_service("web", "anna").reference for _ in range(9)}) == 1
    with pytest.raises(commy.InvalidArgument):
        mesh.select_service("web")
    with pytest.raises(commy.InvalidArgument):
        mesh.configure_load_balancer(99)


def test_waiting(mesh: CommyMesh) -> None:
    version = mesh.wait("web")
    with pytest.raises(TimeoutError):
        mesh.wait("web", version, timeout=0.02)
    threading.Timer(0.05, mesh.register_service, ("web", "w", "h", 80)).start()
    assert mesh.wait("web", version, timeout=10) > version
    assert mesh.find("w").port == 80
    for timeout in (-1, 2**31, float("nan")):
        with pytest.raises(commy.InvalidArgument):
            mesh.wait("web", version, timeout)


def test_reading_only(mesh: CommyMesh) -> None:
    mesh.register_service("web", "w", "h", 80)
    with CommyMesh.attach(flags=OpenFlag.READ_ONLY) as reader:
        assert reader.find("w").port == 80
        with pytest.raises(commy.ReadOnly):
            reader.register_service("web", "x", "h", 80)
    with pytest.raises(commy.MeshNotFound):
        CommyMesh.attach("nowhere", flags=OpenFlag.MUST_EXIST)


def test_from_many_threads(mesh: CommyMesh) -> None:
    wrong: list[object] = []

    def work(k: int) -> None:
        try:
            for i in range(100):
                mesh.register_service("web", f"{k}-{i}", "h", 1000 + k)
                if mesh.find(f"{k}-{i}").port != 1000 + k:
                    wrong.append((k, i))
                try:
                    mesh.find(f"nobody-{k}")
                except commy.NotFound as problem:
                    if f"nobody-{k}" not in problem.message:
                        wrong.append(problem.message)
                mesh.unregister_service(f"{k}-{i}")
        except Exception as problem:
            wrong.append(problem)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [] and mesh.get_active_service_count() == 0


def test_the_library_as_a_whole(mesh: CommyMesh) -> None:
    commy.init()
    assert commy.version().count(".") == 2
    assert commy.status_string(5) == commy.status_string(-5) != commy.status_string(12345)
    commy.cleanup()
    with pytest.raises(commy.InvalidHandle):
        mesh.find("w")


def test_health_and_admin_state_are_set(mesh: CommyMesh) -> None:
    mesh.register_service("web", "w", "h", 80)
    mesh.set_health("w", Health.DEGRADED)
    mesh.set_admin("w", Admin.MAINTENANCE)
    info = mesh.get_service("w")
    assert (info.status, info.admin) == (Health.DEGRADED, Admin.MAINTENANCE)
    with pytest.raises(commy.NoHealthyInstance):
        mesh.select_service("web")
    for value in (7, -1, 2**32):
        with pytest.raises(commy.InvalidArgument):
            mesh.set_health("w", value)
        with pytest.raises(commy.InvalidArgument):
            mesh.set_admin("w", value)


def test_what_came_of_a_name(mesh: CommyMesh) -> None:
    for i in range(3):
        mesh.register_service("web", f"w-{i}", "h", 80)
        mesh.report_service_performance(f"w-{i}", 2, i != 0)
    stats = mesh.get_load_balancer_stats("web")
    assert (stats.total, stats.successful, stats.failed) == (3, 2, 1) and abs(stats.average_ms - 2) < 0.1

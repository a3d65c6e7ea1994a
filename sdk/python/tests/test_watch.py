"""Watching, by iteration, by descriptor and in event loops; callbacks."""

import asyncio
import gc
import os
import select
import threading
import time
from collections.abc import Callable

import pytest

import commy
from commy import Change, CommyMesh, Event, Health


def later(delay: float, function: object, *arguments: object) -> None:
    threading.Timer(delay, function, arguments).start()  # type: ignore[arg-type]


def test_a_watch_begins_with_what_is_there_and_tells_each_change(mesh: CommyMesh) -> None:
    mesh.register_service("db", "db-1", "h", 1)
    with mesh.watch("db") as watch:
        changes = iter(watch)
        assert [s.id for s in next(changes).services] == ["db-1"]
        later(0.05, mesh.register_service, "db", "db-2", "h", 2)
        change = next(changes)
        assert sorted(s.id for s in change.services) == ["db-1", "db-2"] and change.name == "db"
        mesh.unregister_service("db-1")
        mesh.unregister_service("db-2")
        later_change = next(changes)
        assert later_change.services == () and later_change.version > change.version
        with pytest.raises(commy.TimedOut):
            watch.wait(0.05)


def test_the_whole_mesh_is_watched(mesh: CommyMesh) -> None:
    with mesh.watch() as watch:
        next(watch)
        mesh.register_service("anything", "x", "h", 1)
        assert [s.id for s in next(watch).services] == ["x"]


def test_closing_and_waking_end_an_iteration(mesh: CommyMesh) -> None:
    watch = mesh.watch("db")
    later(0.1, watch.wake)
    assert len(list(watch)) == 1
    later(0.1, mesh.register_service, "db", "db-1", "h", 1)
    later(0.3, watch.close)
    assert len(list(watch)) == 1 and watch.closed
    watch.close()
    assert list(watch) == []


def test_a_wake_ends_every_wait(mesh: CommyMesh) -> None:
    watch = mesh.watch("db")
    watch.wait()
    ended: list[type[Exception]] = []

    def wait() -> None:
        try:
            watch.wait(10)
        except commy.CommyError as problem:
            ended.append(type(problem))

    threads = [threading.Thread(target=wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    watch.wake()
    for thread in threads:
        thread.join(10)
    assert ended == [commy.Interrupted] * 3


def test_a_stopped_mesh_ends_an_iteration_with_an_error(mesh: CommyMesh) -> None:
    watch = mesh.watch("db")
    next(watch)
    later(0.1, mesh.stop)
    with pytest.raises(commy.NotRunning):
        next(watch)


def test_the_descriptor_can_be_polled(mesh: CommyMesh) -> None:
    with mesh.watch("db") as watch:
        watch.wait()
        with pytest.raises(commy.TimedOut):
            watch.wait(0)
        assert select.select([watch], [], [], 0)[0] == []
        mesh.register_service("db", "db-1", "h", 1)
        assert select.select([watch], [], [], 10)[0] == [watch]
        watch.wait(0)


def test_a_dropped_watch_gives_its_descriptor_back(mesh: CommyMesh) -> None:
    for _ in range(20):
        mesh.watch("db").fileno()
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(1100):
        mesh.watch("db").fileno()
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


def test_async_for(mesh: CommyMesh) -> None:
    async def follow() -> list[Change]:
        changes = []
        async for change in mesh.watch("db"):
            changes.append(change)
            if len(change.services) < 3:
                asyncio.get_running_loop().call_later(
                    0.02, mesh.register_service, "db", f"db-{len(change.services)}", "h", 1
                )
            else:
                break
        return changes

    changes = asyncio.run(asyncio.wait_for(follow(), 10))
    assert len(changes[0].services) == 0 and len(changes[-1].services) == 3


def test_async_watches_share_a_loop_with_other_tasks(mesh: CommyMesh) -> None:
    async def follow(name: str) -> int:
        async for change in mesh.watch(name):
            if len(change.services) == 5:
                return 5
        return 0

    async def register() -> int:
        for i in range(5):
            for name in "abc":
                mesh.register_service(name, f"{name}-{i}", "h", 1)
            await asyncio.sleep(0.01)
        return 1

    async def all_of_it() -> list[int]:
        return await asyncio.wait_for(asyncio.gather(*map(follow, "abc"), register()), 10)

    assert asyncio.run(all_of_it()) == [5, 5, 5, 1]


@pytest.mark.parametrize("from_thread", [False, True])
def test_closing_ends_an_async_iteration(mesh: CommyMesh, from_thread: bool) -> None:
    async def follow() -> int:
        watch = mesh.watch("db")
        if from_thread:
            later(0.1, watch.close)
        else:
            asyncio.get_running_loop().call_later(0.1, watch.close)
        return len([change async for change in watch])

    assert asyncio.run(asyncio.wait_for(follow(), 10)) == 1


def test_waking_ends_an_async_iteration(mesh: CommyMesh) -> None:
    async def follow() -> int:
        watch = mesh.watch("db")
        later(0.1, watch.wake)
        return len([change async for change in watch])

    assert asyncio.run(asyncio.wait_for(follow(), 10)) == 1


def test_a_cancelled_task_leaves_the_watch_good(mesh: CommyMesh) -> None:
    async def follow() -> str:
        watch = mesh.watch("db")
        await watch.__anext__()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(watch.__anext__(), 0.05)
        mesh.register_service("db", "db-1", "h", 1)
        return (await asyncio.wait_for(watch.__anext__(), 10)).services[0].id

    assert asyncio.run(follow()) == "db-1"


def test_a_forked_child_is_told(mesh: CommyMesh) -> None:
    watch = mesh.watch("db")
    watch.wait()
    pid = os.fork()
    if pid == 0:
        try:
            watch.wait(0)
        except commy.CommyError as problem:
            os._exit(problem.code)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == commy.ForkedChild.code
    mesh.register_service("db", "db-1", "h", 1)
    assert watch.wait(10) > 0


def test_callbacks_run_in_dispatch(mesh: CommyMesh) -> None:
    seen: list[object] = []
    mesh.register_service("db", "db-1", "h", 1)
    mesh.on_service(lambda event, name, id: seen.append((threading.get_ident(), event, name, id)))
    mesh.on_health(lambda name, id, old, new: seen.append((id, old, new)))

    def dispatch_until(expected: object, again: Callable[[], None] = lambda: None) -> None:
        end = time.monotonic() + 10
        while expected not in seen and time.monotonic() < end:
            again()
            mesh.dispatch(0.1)
        assert expected in seen, seen

    def fall_ill() -> None:  # what health is told from is what it was when the callback's thread first looked
        mesh.set_health("db-1", Health.HEALTHY)
        mesh.dispatch(0.1)
        mesh.set_health("db-1", Health.UNHEALTHY)

    me = threading.get_ident()
    dispatch_until((me, Event.REGISTERED, "db", "db-1"))
    dispatch_until(("db-1", Health.HEALTHY, Health.UNHEALTHY), fall_ill)
    mesh.unregister_service("db-1")
    dispatch_until((me, Event.GONE, "db", "db-1"))
    mesh.on_service(None)
    mesh.register_service("db", "db-2", "h", 1)
    mesh.dispatch(0.1)
    assert (me, Event.REGISTERED, "db", "db-2") not in seen


def test_what_a_callback_raises_comes_out_of_dispatch(mesh: CommyMesh) -> None:
    def fail(event: Event, name: str, id: str) -> None:
        raise ZeroDivisionError(id)

    mesh.on_service(fail)
    mesh.register_service("db", "db-1", "h", 1)
    with pytest.raises(ZeroDivisionError, match="db-1"):
        mesh.dispatch(10)


def test_a_callback_may_unregister_and_clean_up(mesh: CommyMesh) -> None:
    def end(event: Event, name: str, id: str) -> None:
        mesh.unregister_service(id)
        mesh.cleanup()

    mesh.on_service(end)
    mesh.register_service("db", "db-1", "h", 1)
    mesh.dispatch(10)
    with pytest.raises(commy.InvalidHandle):
        mesh.find("db-1")


def test_log_callbacks_are_set_and_taken_away() -> None:
    commy.set_log_callback(lambda level, line: None)
    commy.set_log_callback(None)

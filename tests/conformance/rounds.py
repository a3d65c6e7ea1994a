"""Rounds between languages: one process of each in one mesh. Each registers, every other discovers, counts, watches and
selects; then one after the other is killed, and all that are left see it go."""

import collections
import shutil
import tempfile
import time

from case import agree
from driver import DriverError

EVENTUALLY_S = 10
METADATA = '{"löwe":"🦁"}'


class Round:
    def __init__(self, languages, log):
        self.log = log
        self.directory = tempfile.mkdtemp(prefix="commy-conformance-", dir="/dev/shm")
        # Alone, a language meets itself.
        names = [one.name for one in languages] if len(languages) > 1 else [languages[0].name, languages[0].name]
        by_name = {one.name: one for one in languages}
        self.people = {f"{name}-{i}": by_name[name].start(self.directory) for i, name in enumerate(names)}

    def close(self):
        for driver in self.people.values():
            driver.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def check(self, driver, what, ok, detail):
        self.log.add("round", driver.language, name=what, ok=bool(ok), wrong=None if ok else str(detail)[:2000])
        if not ok:
            print(f"  FAILED  {driver.language}: {what}\n    {str(detail)[:1000]}")

    def ask(self, driver, call, **args):
        answer = driver.ask(call, {"mesh": "m", **args})
        self.log.add("call", driver.language, call=call, code=answer["code"], ok=answer["code"] in (0, 5))
        return answer

    def value(self, driver, call, **args):
        answer = self.ask(driver, call, **args)
        if answer["code"] != 0:
            raise DriverError(f"{driver.language}: {call} {args}: {answer}")
        return answer["value"]

    # --------------------------------------------------------------------------------------------------------- steps

    def meet(self):
        """Each registers, while all others wait for it."""
        for name, driver in self.people.items():
            self.value(driver, "open_mesh", node_id=name, capacity=256)
            self.value(driver, "start_mesh")
        for name, driver in self.people.items():
            others = [other for other in self.people.values() if other is not driver]
            versions = {other: self.value(other, "wait", name="polyglot", version="0", timeout_ms=0) for other in others}
            for other in others:
                other.send("wait", {"mesh": "m", "name": "polyglot", "version": versions[other], "timeout_ms": 10000})
            port = 9000 + list(self.people).index(name)
            self.value(driver, "register_service", service_name="polyglot", service_id=name, endpoint="127.0.0.1", port=port,
                       version="1.0", zone="Zürich", tags=["a", driver.language], weight=100, ttl_ms="600000",
                       metadata=METADATA)
            for other in others:
                answer = other.receive()
                self.log.add("call", other.language, call="wait", code=answer["code"], ok=answer["code"] == 0)
                self.check(other, f"is woken when {driver.language} registers",
                           answer["code"] == 0 and int(answer["value"]) > int(versions[other]), answer)

    def look(self):
        """Everybody sees the same."""
        ids = sorted(self.people)
        first = None
        for driver in self.people.values():
            services = sorted(self.value(driver, "discover_services", name="polyglot"), key=lambda one: one["id"])
            self.check(driver, "discovers what every language registered", [s["id"] for s in services] == ids, services)
            first = first or services
            self.check(driver, "reads every field as the first language does", services == first, (services, first))
            for name, other in self.people.items():
                found = self.value(driver, "get_service", id=name)
                self.check(driver, f"gets what {other.language} registered",
                           agree({"node_id": name, "owner_pid": other.process.pid, "zone": "Zürich",
                                  "tags": ["a", other.language]}, found), found)
                self.check(driver, f"reads the metadata of {other.language}",
                           self.value(driver, "get_service_metadata", id=name) == METADATA, name)
            counts = [self.value(driver, "discover_services_count", name="polyglot"),
                      self.value(driver, "get_active_service_count")]
            self.check(driver, "counts what every language registered", counts == [len(ids), len(ids)], counts)

    def count(self):
        """Each reports on the services of all; all read the same sums."""
        for driver in self.people.values():
            for name in self.people:
                reference = self.value(driver, "find", id=name)["reference"]
                self.value(driver, "report", reference=reference, latency_ns="3000000", success=True)
                self.value(driver, "begin_request", reference=reference, token="t")
                self.value(driver, "end_request", token="t", latency_ns="3000000", success=False)
        n = len(self.people) ** 2
        expected = {"total_requests": str(2 * n), "successful_requests": str(n), "failed_requests": str(n),
                    "total_services": len(self.people), "registered_services": 1}
        for driver in self.people.values():
            stats = self.value(driver, "get_mesh_stats")
            self.check(driver, "counts the requests of every language", agree(expected, stats), stats)

    def select(self):
        """One rotation, and one choice for a client, for all languages together."""
        ports = [self.value(driver, "select_service", name="polyglot")["port"]
                 for _ in range(3 * len(self.people)) for driver in self.people.values()]
        tally = collections.Counter(ports)
        for driver in self.people.values():
            self.check(driver, "takes turns with the others", set(tally.values()) == {3 * len(self.people)}, tally)
        chosen = []
        for driver in self.people.values():
            self.value(driver, "configure_load_balancer", algorithm=5, enable_circuit_breaker=False,
                       circuit_breaker_threshold=0, circuit_breaker_timeout_ms="0")
            chosen.append(self.value(driver, "select_service", name="polyglot", client_id="anna")["port"])
            self.check(driver, "chooses for a client as the others do", chosen[-1] == chosen[0], chosen)

    def die(self):
        """One is killed; the others, who wait, see it go. Until one is left, who takes over an id of the dead."""
        while len(self.people) > 1:
            name, victim = next(iter(self.people.items()))
            del self.people[name]
            versions = {}
            for driver in self.people.values():
                versions[driver] = self.value(driver, "wait", name="polyglot", version="0", timeout_ms=0)
            for driver in self.people.values():
                driver.send("wait", {"mesh": "m", "name": "polyglot", "version": versions[driver], "timeout_ms": 10000})
            victim.kill()
            for driver in self.people.values():
                answer = driver.receive()
                self.check(driver, f"is woken when {victim.language} is killed",
                           answer["code"] == 0 and int(answer["value"]) > int(versions[driver]), answer)
                self.check(driver, f"does not find what {victim.language} registered any more",
                           self.goes(driver, name), name)
                left = sorted(s["id"] for s in self.value(driver, "get_all_services"))
                self.check(driver, f"finds the rest after {victim.language} is killed", left == sorted(self.people), left)
        (name, driver), = self.people.items()
        answer = self.ask(driver, "register_service_simple", name="polyglot", id=name + "x", endpoint="h", port=1)
        self.check(driver, "goes on alone", answer["code"] == 0, answer)
        self.check(driver, "ends well", driver.end() == 0, driver.complaints)

    def goes(self, driver, name):
        end = time.monotonic() + EVENTUALLY_S
        while self.ask(driver, "find", id=name)["code"] != 5:
            if time.monotonic() > end:
                return False
        return True


def run(languages, log):
    began = time.monotonic()
    round_of_all = Round(languages, log)
    try:
        for step in (round_of_all.meet, round_of_all.look, round_of_all.count, round_of_all.select, round_of_all.die):
            step()
    except DriverError as problem:
        log.add("round", "all", name="the rounds come to their end", ok=False, wrong=str(problem))
        print(f"  FAILED  rounds between languages\n    {problem}")
    finally:
        round_of_all.close()
    checks = log.of("round")
    print(f"  between languages: {sum(c['ok'] for c in checks)} of {len(checks)} checks, {time.monotonic() - began:.1f} s",
          flush=True)

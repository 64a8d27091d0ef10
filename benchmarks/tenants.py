"""How much one tenant who does the worst that the API allows slows another one.

    python benchmarks/tenants.py [--seconds N] [--attackers N] [--processes N] [--database NAME] [--json]

API and worker run in processes of their own, as many as deploy/uwsgi.ini has, on a PostgreSQL server that
is started here (or SQLite) and a bank in a temporary folder; only the identity service and the cloud are
left out. One client makes, reads and deletes plans and protects them, one request after the other: alone,
then while the other tenant's clients do their worst as fast as they are answered, then alone again. What is
printed: the median and the 95th percentile of each call, how many times as long it took beside the other
tenant, and the most memory of a process.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import os
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from itertools import cycle
from pathlib import Path
from typing import Any

import waitress
from engine import postgresql

from refloat.api import config
from refloat.api.app import make_application
from refloat.api.deployment import Deployment
from refloat.api.server import make_runner, make_worker
from refloat.cloud.authority import Caller, SessionCloud

NOOP = "8d0c3f0e-6f3b-4f0e-9a53-0d5d3c1a7b03"
CHECKPOINTS = f"providers/{NOOP}/checkpoints"
QUIET, LOUD = "a" * 32, "b" * 32


class Nowhere:
    """An authority without a cloud."""

    def caller(self, caller: Caller) -> SessionCloud:
        return SessionCloud(None, caller.project_id)

    def login(self, _target: str, _auth: Any) -> Caller:
        raise NotImplementedError

    def grant(self, caller: Caller, until: Any = None) -> dict[str, Any]:
        return {"project_id": caller.project_id}

    def stray(self, _granting: Any) -> None:
        return

    def cloud(self, granted: Any) -> SessionCloud:
        return SessionCloud(None, granted["project_id"])

    def revoke(self, _granted: Any) -> None:
        return

    def check(self, _granted: Any) -> None:
        return


def deployment(folder: Path, database: str) -> Deployment:
    overrides = [
        ("database", "connection", database),
        ("bank", "url", str(folder / "bank")),
        ("bank", "key_file", str(folder / "bank.key")),
        ("providers", "folder", str(folder / "none")),
        ("providers", "noop", True),
    ]
    return Deployment(config.load([], overrides), Nowhere())


def believe(application: Any) -> Any:
    """In the place of keystonemiddleware."""

    def answer(environ: dict[str, Any], start_response: Any) -> Any:
        environ["HTTP_X_IDENTITY_STATUS"] = "Confirmed"
        return application(environ, start_response)

    return answer


def serve(folder: Path, database: str, listening: socket.socket, ready: Any) -> None:
    application = make_application(deployment(folder, database), believe)
    server = waitress.create_server(application, sockets=[listening], threads=8)
    ready.put(True)
    server.run()


def work(folder: Path, database: str) -> None:
    os.nice(10)  # as deploy/systemd has it
    place = deployment(folder, database)
    worker = make_worker(place)
    worker.start()
    make_runner(place, wake=worker.wake).start()
    threading.Event().wait()


class Client:
    """One tenant's."""

    def __init__(self, port: int, project: str) -> None:
        self.port, self.project = port, project
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def __call__(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        headers = {"X-Project-Id": self.project, "X-User-Id": "u", "X-Roles": "member"}
        headers["Connection"] = "close"  # as deploy/uwsgi.ini: each request goes to whichever process is free
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        if data is not None:
            headers["Content-Type"] = "application/json"
        self.connection.request(method, f"/v1/{self.project}/{path}", data, headers)
        answer = self.connection.getresponse()
        found = answer.read()
        return answer.status, json.loads(found) if found else None


def plan(name: str, size: int) -> dict[str, Any]:
    resources = [{"type": "Refloat::Noop", "id": f"tree-{size}", "name": "x"}]
    return {"plan": {"name": name, "provider_id": NOOP, "resources": resources, "parameters": {}}}


def quiet(client: Client, seconds: float) -> dict[str, list[float]]:
    """The usual calls; how long each took."""
    took: dict[str, list[float]] = {}

    def timed(name: str, *call: Any) -> Any:
        begun = time.perf_counter()
        status, found = client(*call)
        took.setdefault(name, []).append(time.perf_counter() - begun)
        if status >= 400:
            raise SystemExit(f"{name}: {status} {found}")
        return found

    until = time.monotonic() + seconds
    while time.monotonic() < until:
        made = timed("plan create", "POST", "plans", plan("shop", 5))["plan"]
        timed("plan show", "GET", f"plans/{made['id']}")
        timed("plan list", "GET", "plans?limit=20")
        point = timed("checkpoint create", "POST", CHECKPOINTS, {"checkpoint": {"plan_id": made["id"]}})
        timed("checkpoint show", "GET", f"{CHECKPOINTS}/{point['checkpoint']['id']}")
        timed("checkpoint list", "GET", f"{CHECKPOINTS}?limit=20")
        timed("plan delete", "DELETE", f"plans/{made['id']}")
        time.sleep(0.3)
    return took


def rule(text: str) -> dict[str, Any]:
    pattern = f"BEGIN:VEVENT\\nRRULE:{text}\\nEND:VEVENT"
    properties = {"format": "calendar", "pattern": pattern, "start_time": "1970-01-01 00:00:00"}
    return {"trigger_info": {"name": "t", "type": "time", "properties": properties}}


def worst(client: Client) -> Iterator[Callable[[], Any]]:
    """What costs the most, in turn."""
    large = client("POST", "plans", plan("large", 1000))[1]["plan"]["id"]
    for number in range(100):
        client("POST", "triggers", rule(f"FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYHOUR={number % 24}"))
    first = client("POST", CHECKPOINTS, {"checkpoint": {"plan_id": large}})[1]["checkpoint"]["id"]
    run = {"provider_id": NOOP, "checkpoint_id": first, "parameters": {}}
    full = json.dumps({"plan": {"name": "x" * 1_000_000}}).encode()
    calls: list[tuple[str, str, Any]] = [
        ("POST", "triggers", rule("FREQ=MONTHLY;BYDAY=6MO")),
        ("POST", "triggers", rule("FREQ=MONTHLY;BYMONTHDAY=1;BYDAY=2MO")),
        ("POST", "triggers", rule("FREQ=MINUTELY;COUNT=99999999")),
        ("POST", "triggers", rule("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30,31")),
        ("POST", "triggers", rule("FREQ=MONTHLY;BYMONTHDAY=1;BYDAY=" + ",".join(["2MO"] * 900))),
        ("GET", "triggers", None),
        ("POST", CHECKPOINTS, {"checkpoint": {"plan_id": large}}),
        ("POST", CHECKPOINTS, {"checkpoint": {"plan_id": large, "extra-info": {"x": "y" * 60_000}}}),
        ("POST", "restores", {"restore": run}),
        ("POST", "operations", {"operation": {**run, "type": "restore", "dry_run": True}}),
        ("POST", "operations", {"operation": {**run, "type": "delete", "dry_run": True}}),
        ("POST", "verifications", {"verification": run}),
        ("GET", "operations?limit=1000", None),
        ("GET", f"{CHECKPOINTS}?limit=1000", None),
        ("POST", "plans", full),
        ("POST", "plans", b"[" * 500_000),
        ("POST", "plans", plan("more", 1000)),
    ]
    for call in cycle(calls):
        yield lambda call=call: client(*call)


def loud(port: int, stop: Any, answers: Any, ready: Any) -> None:
    counts: dict[int, int] = {}
    calls = worst(Client(port, LOUD))
    next(calls)
    ready.put(True)
    for call in calls:
        if stop.is_set():
            break
        status, _ = call()
        counts[status] = counts.get(status, 0) + 1
    answers.put(counts)


def memory(pid: int, what: str) -> int:
    """In MiB: VmRSS, now, or VmHWM, the most."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(what)).split()[1]) // 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="of each of the three parts")
    parser.add_argument("--attackers", type=int, default=1, help="clients of the other tenant at once")
    parser.add_argument("--processes", type=int, default=2, help="of the API")
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    server = postgresql() if chosen.database == "postgresql" else nullcontext()
    with server as create, tempfile.TemporaryDirectory(prefix="refloat-bench-") as name:
        folder = Path(name)
        database = create() if create is not None else f"sqlite:///{folder}/refloat.sqlite"
        place = deployment(folder, database)  # makes the tables
        place.banks.make(place.settings.bank)
        place.close()
        listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        port = listening.getsockname()[1]
        ready, answers, stop = spawn.Queue(), spawn.Queue(), spawn.Event()
        given = (folder, database, listening, ready)
        apis = [spawn.Process(target=serve, args=given, daemon=True) for _ in range(chosen.processes)]
        worker = spawn.Process(target=work, args=(folder, database), daemon=True)
        for each in (*apis, worker):
            each.start()
        for _ in apis:
            ready.get(timeout=120)
        victim = Client(port, QUIET)
        quiet(victim, 3.0)

        def used(what: str) -> dict[str, int]:
            return {
                "api": max(memory(each.pid or 0, what) for each in apis),
                "worker": memory(worker.pid or 0, what),
            }

        before = used("VmRSS")
        alone = quiet(victim, chosen.seconds)
        given = (port, stop, answers, ready)
        attackers = [spawn.Process(target=loud, args=given, daemon=True) for _ in range(chosen.attackers)]
        for each in attackers:
            each.start()
        for _ in attackers:
            ready.get(timeout=120)
        beside = quiet(victim, chosen.seconds)
        stop.set()
        counts = [answers.get(timeout=300) for _ in attackers]
        again = quiet(victim, chosen.seconds)
        after = used("VmHWM")
        for each in (*apis, worker):
            each.terminate()
            each.join(30)
    rows = []
    for call, times in beside.items():
        base = sorted([*alone[call], *again[call]])
        rows.append(
            {
                "call": call,
                "alone_ms": round(1000 * statistics.median(base), 1),
                "beside_ms": round(1000 * statistics.median(times), 1),
                "times": round(statistics.median(times) / statistics.median(base), 2),
                "p95_alone_ms": round(1000 * base[int(len(base) * 0.95)], 1),
                "p95_beside_ms": round(1000 * sorted(times)[int(len(times) * 0.95)], 1),
            }
        )
    report = {"calls": rows, "memory_before_mib": before, "memory_most_mib": after, "answers": counts}
    if chosen.json:
        print(json.dumps(report, indent=2))
        return
    print("| " + " | ".join(rows[0]) + " |\n|--" + "|--:" * (len(rows[0]) - 1) + "|")
    for row in rows:
        print("| " + " | ".join(map(str, row.values())) + " |")
    print(f"memory, MiB: before {before}, at most {after}; answers to the other tenant, by status: {counts}")


if __name__ == "__main__":
    main()

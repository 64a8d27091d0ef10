"""What DBOS does by itself: its queues, steps and recovery, without any of ours. See docs/decisions.

    python benchmarks/dbos_alone.py [--database sqlite postgresql] [--json]

* *step*: one result recorded in a DBOS step of its own, and a hundred in one.
* *start*: from enqueueing until the workflow runs, in a process that has nothing else to do, with the queue's
  interval of polling as DBOS has it (1 s) and at 0.1 s; and a thousand no-op workflows until all have ended.
* *turns*: one party has enqueued a hundred workflows, another one then enqueues one: how many of the first
  party begin before it; on a plain queue, on one with priorities, and on one with partitions.
* *take-over*: a process is killed in the middle of a workflow. When does its second step run elsewhere: in a
  process of the same executor id, of another one, and of another one that cancels and resumes it (DBOS's own
  public calls). And does a queue with a limit give the dead process's place to others?
* *memory*, and what idling costs: of a process that has launched DBOS, and after those thousand workflows.

PostgreSQL is Debian's package, started here with its defaults (fsync on). Each figure is of its own process.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine import postgresql

STARTS, MANY, STEPS, TURNS = 20, 1000, 300, 100
IDLE = 5.0
NEVER = 30.0
"""Seconds after which it is taken for granted that a process takes nothing over."""


def launch(url: str, executor: str, *, listen: bool = True) -> Any:
    """DBOS in this process, as the engine launches it."""
    from dbos import DBOS, DBOSPortableJSONSerializer

    DBOS(
        config={
            "name": "refloat",
            "system_database_url": url,
            "serializer": DBOSPortableJSONSerializer(),
            "application_version": "1",
            "executor_id": executor,
            "log_level": "CRITICAL",
            "enable_otlp": False,
        }
    )
    if not listen:
        DBOS.listen_queues([])
    define(DBOS)
    DBOS.launch()
    return DBOS


STARTED: dict[str, float] = {}
ORDER: list[str] = []
DEFINED: dict[str, Any] = {}


def define(dbos: Any) -> None:
    """The workflows."""

    @dbos.workflow(name="noop")
    def noop(name: str) -> None:
        STARTED[name] = time.perf_counter()
        ORDER.append(name.partition("-")[0])

    @dbos.workflow(name="short")
    def short(name: str) -> None:
        ORDER.append(name.partition("-")[0])
        time.sleep(0.02)

    @dbos.workflow(name="steps")
    def steps(count: int, together: int) -> None:
        for _ in range(count):
            dbos.run_step({"name": "results"}, lambda: [["a step", {"status": "done"}]] * together)

    @dbos.workflow(name="two")
    def two(folder: str) -> None:
        dbos.run_step({"name": "first"}, lambda: (Path(folder) / "first").write_text("ran"))
        dbos.run_step({"name": "second"}, lambda: _second(Path(folder)))

    DEFINED.update(noop=noop, short=short, steps=steps, two=two)


def _second(folder: Path) -> None:
    if os.environ.get("HANG"):
        (folder / "hangs").touch()
        time.sleep(600)
    (folder / "second").write_text("ran")


def memory() -> float:
    """MiB that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def until(done: Callable[[], Any], seconds: float = 120.0) -> bool:
    """Whether it came."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        if done():
            return True
        time.sleep(0.002)
    return False


def measure_steps(url: str) -> dict[str, float]:
    """Milliseconds for each step, of one result and of a hundred."""
    dbos = launch(url, "one")
    DEFINED["steps"](5, 1)
    found = {}
    for name, together in (("step_ms", 1), ("hundred_in_one_ms", 100)):
        began, cpu = time.perf_counter(), time.process_time()
        DEFINED["steps"](STEPS, together)
        found[name] = (time.perf_counter() - began) / STEPS * 1000
        found[f"{name.removesuffix('_ms')}_cpu_ms"] = (time.process_time() - cpu) / STEPS * 1000
    dbos.destroy()
    return found


def measure_start(url: str) -> dict[str, float]:
    """Seconds from enqueueing to running, and of a thousand."""
    dbos = launch(url, "one")
    found: dict[str, float] = {"launched_mib": memory()}
    for interval in (1.0, 0.1):
        queue = f"every-{interval}"
        dbos.register_queue(queue, worker_concurrency=8, polling_interval_sec=interval)
        assert until(lambda queue=queue: _runs(dbos, queue))
        taken = []
        for number in range(STARTS):
            name = f"{queue}-{number}"
            time.sleep(interval * 0.37)  # not always at the same distance from the next look
            began = time.perf_counter()
            dbos.enqueue_workflow(queue, DEFINED["noop"], name)
            assert until(lambda name=name: name in STARTED)
            taken.append(STARTED[name] - began)
        found[f"start_{interval}_median_s"] = statistics.median(taken)
        found[f"start_{interval}_worst_s"] = max(taken)
        STARTED.clear()
    cpu = time.process_time()
    time.sleep(IDLE)
    found["idle_cpu_ms_per_s"] = (time.process_time() - cpu) / IDLE * 1000
    began = time.perf_counter()
    for number in range(MANY):
        dbos.enqueue_workflow("every-0.1", DEFINED["noop"], f"many-{number}")
    found["enqueue_ms"] = (time.perf_counter() - began) / MANY * 1000
    until(lambda: len(STARTED) == MANY, 300)
    found["thousand_s"] = time.perf_counter() - began
    found["after_thousand_mib"] = memory()
    dbos.destroy()
    return found


def _runs(dbos: Any, queue: str) -> bool:
    name = f"first-{time.perf_counter()}"
    dbos.enqueue_workflow(queue, DEFINED["noop"], name)
    return until(lambda: name in STARTED, 5)


def measure_turns(url: str) -> dict[str, float]:
    """How many of the first party begin before the one of the second."""
    from dbos import SetEnqueueOptions

    dbos = launch(url, "one")
    kinds: dict[str, tuple[dict[str, Any], Callable[[str], dict[str, Any]]]] = {
        "plain": ({"worker_concurrency": 4}, lambda party: {}),
        "priority": ({"worker_concurrency": 4}, lambda party: {"priority": 1 if party == "b" else 2}),
        "partition": (
            {"worker_concurrency": 4, "partition_worker_concurrency": 2},
            lambda party: {"queue_partition_key": party},
        ),
    }
    found: dict[str, float] = {}
    for kind, (limits, options) in kinds.items():
        ORDER.clear()
        dbos.register_queue(kind, polling_interval_sec=0.1, **limits)
        for number in range(TURNS):
            with SetEnqueueOptions(**options("a")):
                dbos.enqueue_workflow(kind, DEFINED["short"], f"a-{number}")
        with SetEnqueueOptions(**options("b")):
            dbos.enqueue_workflow(kind, DEFINED["short"], "b-0")
        before = len(ORDER)
        assert until(lambda: "b" in ORDER, 120)
        found[f"{kind}_before"] = ORDER.index("b") - before
        began = time.perf_counter()
        until(lambda: len(ORDER) == TURNS + 1, 240)
        found[f"{kind}_rest_s"] = time.perf_counter() - began
    dbos.destroy()
    return found


def be_owner(url: str, folder: str) -> None:
    """Hang in the second step, in a queue that lets one run at a time."""
    os.environ["HANG"] = "1"
    dbos = launch(url, "dead")
    dbos.register_queue("limited", global_concurrency=1, polling_interval_sec=0.1)
    dbos.enqueue_workflow("limited", DEFINED["two"], folder)
    time.sleep(600)


def be_heir(url: str, folder: str, how: str) -> None:
    """Take it over: ``same`` executor id, ``other``, or ``asked`` to by public calls."""
    began = time.perf_counter()
    dbos = launch(url, "dead" if how == "same" else "heir")
    launched = time.perf_counter() - began
    dbos.register_queue("limited", global_concurrency=1, polling_interval_sec=0.1)
    if how == "asked":
        (stuck,) = dbos.list_workflows(executor_id="dead", status="PENDING", name="two")
        dbos.cancel_workflow(stuck.workflow_id)
        dbos.resume_workflow(stuck.workflow_id)
    dbos.enqueue_workflow("limited", DEFINED["noop"], "behind")
    second = Path(folder) / "second"
    came = until(second.exists, NEVER)
    taken = time.perf_counter() - began if came else None
    behind = until(lambda: "behind" in STARTED, 5)
    print(json.dumps({"launch_s": launched, "taken_over_s": taken, "who_waits_behind_begins": behind}))
    dbos.destroy()


def measure_take_over(url: str, how: str) -> dict[str, Any]:
    """Kill the owner, start an heir."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--url", url, "--folder", folder]
        owner = subprocess.Popen([*command, "--child", "owner"])
        assert until((Path(folder) / "hangs").exists)
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        (Path(folder) / "first").unlink()
        done = subprocess.run(
            [*command, "--child", how], capture_output=True, text=True, check=True, timeout=120
        )
        again = (Path(folder) / "first").exists()
        return {**json.loads(done.stdout.splitlines()[-1]), "first_step_again": again}


MEASURES = {"steps": measure_steps, "start": measure_start, "turns": measure_turns}


def measure(create: Callable[[], str]) -> dict[str, Any]:
    """All of it, on new databases."""
    found: dict[str, Any] = {}
    for name in MEASURES:
        command = [sys.executable, __file__, "--url", create(), "--child", name]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        if done.returncode:
            sys.exit(done.stderr)
        found[name] = json.loads(done.stdout.splitlines()[-1])
    for how in ("same", "other", "asked"):
        found[f"take-over, {how}"] = measure_take_over(create(), how)
    return found


def main() -> None:
    """Measure, or be one of the processes that are measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database", nargs="+", default=["sqlite", "postgresql"])
    parser.add_argument("--json", action="store_true")
    for hidden in ("--url", "--child", "--folder"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child == "owner":
        be_owner(given.url, given.folder)
    elif given.child in MEASURES:
        print(json.dumps(MEASURES[given.child](given.url)))
    elif given.child:
        be_heir(given.url, given.folder, given.child)
    else:
        with tempfile.TemporaryDirectory() as folder:
            numbers = iter(range(1000))
            found = {}
            if "sqlite" in given.database:
                found["sqlite"] = measure(lambda: f"sqlite:///{folder}/{next(numbers)}.sqlite")
            if "postgresql" in given.database:
                with postgresql() as create:
                    found["postgresql"] = measure(create)
        show(found, as_json=given.json)


def show(found: dict[str, Any], *, as_json: bool) -> None:
    """As JSON or as lines."""
    if as_json:
        print(json.dumps(found, indent=1))
        return
    print(f"load {os.getloadavg()[0]:.1f}")
    for database, blocks in found.items():
        for block, values in blocks.items():
            for name, value in values.items():
                shown = round(value, 3) if isinstance(value, float) else value
                print(f"{database:12}{block:22}{name:28}{shown}")


if __name__ == "__main__":
    main()

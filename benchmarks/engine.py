"""What the engine itself costs: protect and restore of resources that are nowhere.

    python benchmarks/engine.py [--count N ...] [--database sqlite postgresql] [--workers 1 3] [--repeat N]
                                [--compare CHECKOUT]

Every resource has all four hooks in every operation, so N resources are 4 x N durable steps, each recorded
before its successors start. Every measurement is a process of its own; of several workers, each runs one
operation of N resources, at the same time, on one database. The yardstick, measured in the same run, is the
number of smallest durable transactions per second on the same disk: what recording each step by itself would
cost at the very least. PostgreSQL is Debian's package, started here with its defaults (fsync on).

With ``--compare`` every measurement is also made with the code, the benchmark and the ``.venv`` of another
checkout, by turns, so that both meet the same noise.

Karbor's own figures for a thousand no-op resources were 189 s (protect) and 233 s (restore).
"""

from __future__ import annotations

import argparse
import json
import os
import pwd
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path

from refloat.bank import Bank, create_key
from refloat.cli.embedded import Embedded
from refloat.cloud import Cloud
from refloat.control.settings import Settings
from refloat.resources import noop

KARBOR = {"protect": 189.0, "restore": 233.0}
"""Seconds for 1000 resources."""


noop.LARGEST = max(noop.LARGEST, 10_000)  # what tenants may ask for is less


class NoCloud(Cloud):
    """A user without a cloud: no-op resources need none."""

    project_id = user_id = "benchmark"
    auth_url = region = ""


def commits_per_second(folder: Path, seconds: float = 1.0) -> float:
    """How many smallest transactions SQLite makes durable per second here."""
    connection = sqlite3.connect(folder / "yardstick.sqlite", isolation_level=None)
    for statement in (
        "PRAGMA journal_mode=WAL",
        "PRAGMA synchronous=FULL",
        "CREATE TABLE steps (number INTEGER PRIMARY KEY, result TEXT)",
    ):
        connection.execute(statement)
    count, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        connection.execute("INSERT INTO steps (result) VALUES ('{}')")
        count += 1
    connection.close()
    return count / seconds


@contextmanager
def postgresql() -> Iterator[Callable[[], str]]:
    """A server of its own; a function that makes a database and tells its URL."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
    with tempfile.TemporaryDirectory(prefix="refloat-pg-") as home:
        become: list[str] = []
        if os.geteuid() == 0:  # the server refuses to run as root
            user = pwd.getpwnam("postgres")
            os.chown(home, user.pw_uid, user.pw_gid)
            become = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]

        def run(program: str, *arguments: str) -> None:
            command = [*become, str(programs / program), *arguments]
            subprocess.run(command, cwd=home, check=True, stdout=subprocess.DEVNULL, timeout=120)

        data, names = f"{home}/data", iter(range(1000))
        run("initdb", "-D", data, "-U", "refloat", "-A", "trust", "-E", "UTF8")
        options = f"-k {home} -c listen_addresses="
        run("pg_ctl", "-D", data, "-w", "-l", f"{home}/log", "-o", options, "start")

        def create() -> str:
            name = f"b{next(names)}"
            run("createdb", "-h", home, "-U", "refloat", name)
            return f"postgresql://refloat@/{name}?host={home}"

        try:
            yield create
        finally:
            run("pg_ctl", "-D", data, "-m", "immediate", "stop")


def work(kind: str, plan: str, url: str, folder: Path) -> None:
    """Run one operation in this process; print seconds and MiB."""
    with Embedded(Settings(url, str(folder / "bank"), folder / "bank.key", noop=True)) as app:
        app.cloud = NoCloud()
        app.worker.prepare()
        checkpoint = ""
        if kind == "restore":
            checkpoint = next(c.id for c in app.checkpoints() if c.plan["name"] == plan)
        print("ready", flush=True)
        sys.stdin.readline()
        started = time.perf_counter()
        operation = app.protect(plan) if kind == "protect" else app.restore(checkpoint)
        ended = app.wait(app.begin(operation).id)
        seconds = time.perf_counter() - started
        if ended.state != "succeeded":
            raise SystemExit(f"{kind}: {ended.error}")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "memory": memory}), flush=True)


def measure(count: int, workers: int, url: str, folder: Path, rate: float) -> None:
    """Protect and restore with so many workers at once, and print a line for each."""
    settings = Settings(url, str(folder / "bank"), folder / "bank.key", noop=True)
    Bank.open(settings.bank_url, create_key(settings.key_file), create=True)
    plans = [f"tree {number}" for number in range(workers)]
    with Embedded(settings) as app:
        app.cloud = NoCloud()
        for plan in plans:
            app.create_plan(plan, [("Refloat::Noop", f"tree:{count}")], provider="noop")
    for kind in ("protect", "restore"):
        children = [
            subprocess.Popen(
                [sys.executable, __file__, "--child", kind, plan, url, str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for plan in plans
        ]
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        found = [json.loads(child.communicate(timeout=3600)[0]) for child in children]
        seconds = max(each["seconds"] for each in found)
        steps = 4 * count * workers
        beside = f"  Karbor: {KARBOR[kind]:.0f} s" if count == 1000 and workers == 1 else ""
        print(
            f"{url.partition(':')[0]:10s} {workers} x {count:5d} resources  {kind:7s} {seconds:7.2f} s  "
            f"{1000 * seconds / steps:6.2f} ms/hook  {seconds * rate / steps:5.2f} x yardstick  "
            f"{max(each['memory'] for each in found):4.0f} MiB  load {os.getloadavg()[0]:2.0f}{beside}",
            flush=True,
        )


def measure_other(checkout: Path, database: str, workers: int, count: int) -> None:
    """The same with the code of another checkout."""
    program, python = checkout / "benchmarks" / "engine.py", checkout / ".venv" / "bin" / "python"
    chosen = ("--database", database, "--workers", str(workers), "--count", str(count))
    done = subprocess.run(
        [python, program, *chosen], cwd=checkout, check=True, capture_output=True, text=True, timeout=3600
    )
    for line in done.stdout.splitlines():
        if "resources" in line:
            print(f"{line}  in {checkout}", flush=True)


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", nargs="+", type=int, default=[10, 100, 1000, 10000], metavar="N")
    parser.add_argument("--database", nargs="+", default=["sqlite", "postgresql"], metavar="NAME")
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 3], metavar="N")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="so often, on new databases")
    parser.add_argument("--compare", type=Path, metavar="CHECKOUT", help="measure that, too, by turns")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        kind, plan, url, folder = chosen.child
        work(kind, plan, url, Path(folder))
        return
    with postgresql() as create, tempfile.TemporaryDirectory() as name:
        rate = commits_per_second(Path(name))
        print(f"yardstick: {rate:.0f} durable transactions per second")
        for database in chosen.database:
            for workers in chosen.workers:
                for count, run in product(chosen.count, range(chosen.repeat)):
                    folder = Path(name) / f"{database}-{workers}-{count}-{run}"
                    folder.mkdir()
                    url = create() if database == "postgresql" else f"sqlite:///{folder}/refloat.sqlite"
                    measure(count, workers, url, folder, rate)
                    if chosen.compare is not None:
                        measure_other(chosen.compare.absolute(), database, workers, count)


if __name__ == "__main__":
    main()

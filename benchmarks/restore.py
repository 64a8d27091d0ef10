"""An application of servers with volumes and ports, restored by Refloat, by Heat and by a bare script.

    devcloud --name bench up --isolated --nova-driver fake
    python benchmarks/restore.py --name bench [--servers 50] [--rounds 3] [-f json]

Each server boots from one volume, has another, and a port with fixed MAC and IP addresses; all are on one
network behind a router, with one security group. They are built, protected (volumes as Cinder snapshots) and
deleted. Then each way makes them again, in turns, from the same snapshots, and it is checked that all of them
made the same. Servers and volumes are only records in such a cloud: what is measured is the making, not the
copying of data.

* ``bare``: `restore_bare.py`, the lower bound
* ``refloat``: the command ``refloat restore``
* ``heat``: a stack of the same resources; Heat is installed for this, in a folder of its own (--heat)

Time counts from the command to the last server's being active. CPU seconds are those of everything in the
cloud: on a machine that has other work to do, they say more than the time.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import openstack
import restore_heat
from restore_app import App, describe, forget, lose
from restore_bare import Bare
from restore_counts import Cost, Meter

from devcloud.cloud import DEFAULT_BASE, PORTS, load

WAYS = ("bare", "refloat", "heat")
BARE_GOAL = 1.15
API_SECONDS = 300
COMMAND_SECONDS = 3600
HERE = Path(__file__).parent
SERVICES = ("keystone", "nova-api", "cinder-api", "neutron-api", "glance-api", "placement")


class Refloat:
    """The command, with a memory and a bank of its own."""

    def __init__(self, folder: Path) -> None:
        self._environment = {
            **os.environ,
            "REFLOAT_DATABASE_URL": f"sqlite:///{folder}/refloat.sqlite",
            "REFLOAT_BANK": f"{folder}/bank",
            "REFLOAT_BANK_KEY": f"{folder}/bank.key",
            "REFLOAT_PROVIDERS": f"{folder}/providers.d",
        }

        self.run("bank", "create")

    def run(self, *words: str) -> Any:
        """Run the command; what it prints as JSON."""
        command = [str(Path(sys.executable).parent / "refloat"), *words, "-f", "json"]
        done = subprocess.run(
            command,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"refloat {words[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
        return json.loads(done.stdout)

    def protect(self, cloud: Any) -> str:
        """Protect all servers of the project; the checkpoint's id."""
        servers = [f"server={server.id}" for server in cloud.compute.servers(details=False)]
        named = [word for server in servers for word in ("--resource", server)]
        self.run("plan", "create", "benchmark", "--provider", "snapshot", *named)
        return str(self.run("protect", "benchmark")["id"])


class Benchmark:
    """The application and the ways to restore it."""

    def __init__(self, cloud: Any, folder: Path, count: int) -> None:
        self._cloud = cloud
        self._folder = folder
        self._refloat = Refloat(folder)
        self._app = App.of(cloud, count)
        self._checkpoint = ""
        self._original: dict[str, Any] = {}

    def build(self) -> None:
        """Build it, protect it, lose it."""
        say(f"building {len(self._app.servers)} servers")
        Bare(self._cloud, self._app).run()
        self._original = describe(self._cloud)
        say("protecting them")
        self._checkpoint = self._refloat.protect(self._cloud)
        self._app = self._app.from_snapshots(self._cloud)
        (self._folder / "app.json").write_text(json.dumps(self._app.to_json()))
        lose(self._cloud, volumes=False)

    def restore(self, way: str, meter: Meter) -> Cost:
        """Restore it one way, check it, and lose it again."""
        stack = ""
        with meter.measured() as cost:
            if way == "heat":
                stack = restore_heat.create_stack(self._cloud, self._app)
            elif way == "refloat":
                self._refloat.run("restore", self._checkpoint)
            else:
                command = [sys.executable, HERE / "restore_bare.py", self._folder / "app.json"]
                subprocess.run(command, check=True, timeout=COMMAND_SECONDS)
        say(f"{way}: {cost.wall:.1f} s, {cost.cpu:.1f} CPU s, {sum(cost.requests.values())} requests")
        self._compare(way)
        if stack:
            restore_heat.delete_stack(self._cloud, stack)
        lose(self._cloud, volumes=True)
        return cost

    def _compare(self, way: str) -> None:
        made = describe(self._cloud)
        different = [name for name in self._original | made if self._original.get(name) != made.get(name)]
        for name in different[:3]:
            say(f"{name}: {self._original.get(name)} became {made.get(name)}")
        if different:
            raise RuntimeError(f"what {way} restored is not what was there: {', '.join(different)}")


def say(text: str) -> None:
    """Tell how far it is."""
    print(text, file=sys.stderr, flush=True)


def connect(name: str) -> Any:
    """Log in."""
    return openstack.connect(cloud=name, api_timeout=API_SECONDS)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All rounds, in the cloud's namespaces."""
    ways = [way for way in WAYS if way in options.ways.split(",")]
    place = load(options.name)
    costs: dict[str, list[Cost]] = {way: [] for way in ways}
    ports = {name: PORTS[name] for name in SERVICES} | {"heat-api": restore_heat.PORT}
    folder = Path(tempfile.mkdtemp(prefix="refloat-benchmark-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        if "heat" in ways:
            say("starting Heat")
            workers = os.cpu_count() or 1
            stack.enter_context(restore_heat.running(place, connect, options.heat, workers))
        cloud = connect("demo")
        meter = stack.enter_context(Meter(ports))
        benchmark = Benchmark(cloud, folder, options.servers)
        stack.callback(_clean, cloud)
        benchmark.build()
        for turn in range(options.rounds):
            shift = turn % len(ways)
            for way in ways[shift:] + ways[:shift]:
                costs[way].append(benchmark.restore(way, meter))
    return summary(costs, options.servers)


def _clean(cloud: Any) -> None:
    lose(cloud, volumes=False)
    forget(cloud)


def summary(costs: dict[str, list[Cost]], servers: int) -> dict[str, Any]:
    """The medians of each way, and ratios to the bare script's."""

    def median(way: str, what: Callable[[Cost], float]) -> float:
        return statistics.median(what(cost) for cost in costs[way])

    rows = []
    for way, found in costs.items():
        wall, cpu = median(way, lambda cost: cost.wall), median(way, lambda cost: cost.cpu)
        row: dict[str, Any] = {
            "way": way,
            "seconds": round(wall, 1),
            "each_round": [round(cost.wall, 1) for cost in found],
            "cpu_seconds": round(cpu, 1),
            "requests": {
                name: round(median(way, lambda c, n=name: c.requests[n])) for name in found[0].requests
            },  # type: ignore[misc]
        }
        if "bare" in costs:
            row["of_bare"] = round(wall / median("bare", lambda cost: cost.wall), 2)
            row["cpu_of_bare"] = round(cpu / median("bare", lambda cost: cost.cpu), 2)
        rows.append(row)
    return {"servers": servers, "ways": rows, "load": round(os.getloadavg()[0], 1)}


def table(result: dict[str, Any]) -> str:
    """The result for people."""
    lines = ["| way | s | of bare | CPU s | of bare | requests | " + " | ".join(SERVICES) + " |"]
    lines.append("|--|" + "--:|" * (5 + len(SERVICES)))
    rows = {row["way"]: row for row in result["ways"]}
    for row in result["ways"]:
        counts = row["requests"]
        figures = [row["seconds"], row.get("of_bare", ""), row["cpu_seconds"], row.get("cpu_of_bare", "")]
        figures += [sum(counts.values()), *(counts[name] for name in SERVICES)]
        lines.append(f"| {row['way']} | " + " | ".join(str(figure) for figure in figures) + " |")
    if {"bare", "refloat"} <= rows.keys():
        reached = "reached" if rows["refloat"]["of_bare"] <= BARE_GOAL else "missed"
        lines.append(f"\nGoal: at most {BARE_GOAL} of the bare script's time: {reached}.")
    if {"heat", "refloat"} <= rows.keys():
        reached = "reached" if rows["refloat"]["seconds"] < rows["heat"]["seconds"] else "missed"
        lines.append(f"Goal: faster than Heat: {reached}.")
    lines.append(f"The machine's load at the end: {result['load']}.")
    return "\n".join(lines)


def main() -> int:
    """Install Heat where there is a network, then measure inside the cloud."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--name", default=os.environ.get("DEVCLOUD_NAME", "main"), help="of the devcloud")
    parser.add_argument("--servers", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ways", default=",".join(WAYS), help="some of " + ", ".join(WAYS))
    parser.add_argument("--heat", type=Path, default=DEFAULT_BASE.parent / "restore-benchmark-heat",
                        help="where Heat is installed")  # fmt: skip
    parser.add_argument("-f", "--format", choices=("table", "json"), default="table")
    options = parser.parse_args()
    if load(options.name).options.libvirt:
        parser.error("its servers would be real ones: make the cloud with --nova-driver fake")
    if not os.environ.get("DEVCLOUD_INSIDE"):
        if "heat" in options.ways:
            restore_heat.install(options.heat)
        devcloud = [str(Path(sys.executable).parent / "devcloud"), "--name", options.name, "exec", "--"]
        return subprocess.run([*devcloud, sys.executable, *sys.argv], check=False).returncode
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # and clean up
    result = measure(options)
    print(json.dumps(result, indent=1) if options.format == "json" else table(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())

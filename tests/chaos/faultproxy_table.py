"""The table of each call and each fault: runs what is missing of it, and shows it.

``python -m tests.chaos.faultproxy_table run protect`` (and ``restore``) in an environment with a devcloud;
results are added to the folder ``--results``, and what is there and clean is not run again. ``show`` prints
the table, ``document`` writes its summary into ``docs/faults.md``. Several may run at a time, each with a
``--project`` of its own: none takes what another is at.

Two kinds of runs:

* **once**: all calls of an operation are spoilt in the same way in one run, each once (those that change
  something every time that they are made for the first time). All are then known to be survived, together.
* **stays**: calls stay spoilt to the end, as those of a service that is down. What does not depend on each
  other is spoilt in one run. Of the reads before an operation begins, all that were not tried yet are spoilt
  in one run; those that were reached before it gave up count, and the others come again.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import itertools
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import openstack

from tests.chaos.faultproxy import FAULTS, Call, Fault
from tests.chaos.faultproxy_app import SIZES
from tests.chaos.faultproxy_bench import OUTCOMES, Bench, Row, member_of, remove_member

OPERATIONS = ("protect", "restore")
STAYING = ("503", "lost", "hang")
DOCUMENT = Path(__file__).parents[2] / "docs" / "faults.md"
MARKS = ("<!-- table -->", "<!-- end of table -->")

WAVES = {
    "protect": (
        ("POST compute /v2.1/servers/{id}/action createImage", "POST volume /v3/snapshots"),
        ("POST volume /v3/backups", "DELETE image /v2/images/{id}"),
        ("DELETE volume /v3/snapshots/{id}",),
    ),
    "restore": (
        (
            "POST network /v2.0/networks",
            "POST network /v2.0/security-groups",
            "POST network /v2.0/floatingips",
            "POST volume /v3/volumes",
            "POST image /v2/images",
        ),
        (
            "POST network /v2.0/subnets",
            "POST network /v2.0/routers",
            "POST volume /v3/backups/{id}/restore",
            "PUT image /v2/images/{id}/file",
            "PUT network /v2.0/security-groups/{id}",
        ),
        (
            "PUT network /v2.0/subnets/{id}",
            "PUT network /v2.0/routers/{id}",
            "POST network /v2.0/security-group-rules",
            "PUT volume /v3/volumes/{id}/metadata",
            "PATCH image /v2/images/{id}",
        ),
        ("PUT network /v2.0/networks/{id}", "PUT network /v2.0/floatingips/{id}"),
        ("POST network /v2.0/ports", "POST compute /v2.1/servers"),
        ("PUT network /v2.0/routers/{id}/add_router_interface", "PUT compute /v2.1/servers/{id}"),
        ("PUT network /v2.0/ports/{id}",),
    ),
}
"""What may be spoilt to the end in one run: no call of a wave waits for another of it."""

READS = {
    "protect": (
        (
            "GET volume /v3/snapshots/{id}",
            "GET image /v2/images/{id}/file",
            "GET network /v2.0/subnets?network_id",
            "GET network /v2.0/rbac-policies?object_id&object_type",
            "GET network /v2.0/ports?network_id",
        ),
    ),
    "restore": (
        (
            "GET volume /v3/volumes/{id}",
            "GET network /v2.0/security-groups/{id}",
            "GET network /v2.0/floatingips/{id}",
            "GET network /v2.0/ports?network_id",
        ),
        ("GET volume /v3/volumes/{id}/metadata", "GET network /v2.0/routers/{id}"),
    ),
}
"""The same of reads after the operation has begun."""


@dataclass(frozen=True)
class Case:
    """One run that the table needs."""

    operation: str
    calls: tuple[Call, ...]
    fault: Fault

    @property
    def key(self) -> str:
        """What tells it from others."""
        return json.dumps([self.operation, sorted(_named(self.calls)), str(self.fault)])


def _named(calls: Iterable[Call]) -> list[str]:
    return [str(call) for call in calls]


def cases(operation: str, recorded: Iterable[str]) -> Iterator[Case]:
    """All runs, the most telling first.

    :param recorded: the calls of an undisturbed run.
    """
    order = list(recorded)
    counts = Counter(order)
    for kind in ("lost", "503", "500", "closed", "429", "torn", "hang"):
        yield Case(operation, tuple(_each_once(counts, kind)), Fault(kind))
    changing = [what for what in sorted(counts) if not Call(what, 1).reads]
    for kind in STAYING:
        yield from _staying(operation, WAVES[operation], changing, kind)
    reads = [what for what in counts if Call(what, 1).reads]
    before = [what for what in itertools.takewhile(_begins_nothing, order) if what in reads]
    yield from _staying(operation, [before, *READS[operation]], reads, "503")


def _each_once(counts: Mapping[str, int], kind: str) -> Iterator[Call]:
    """All calls that are made for the first time; of those that read, the first of all."""
    for what, count in sorted(counts.items()):
        call = Call(what, 1)
        # A spoilt call is made again, so the next new one is the second next; but what was created without an
        # answer is found.
        again = kind not in {"lost", "torn"} or not what.startswith("POST ") or _begins_nothing(what)
        for place in range(1 if call.reads else count):
            yield replace(call, nth=place * (2 if again else 1) + 1)


def _staying(
    operation: str, waves: Iterable[Sequence[str]], whats: Sequence[str], kind: str
) -> Iterator[Case]:
    """Runs in which calls stay spoilt: a wave in each, then what is in none of them."""
    told: set[str] = set()
    for wave in [*waves, *((what,) for what in whats)]:
        calls = [Call(what, 1) for what in dict.fromkeys(wave) if what in whats and what not in told]
        told |= set(wave)
        if calls:
            yield Case(operation, tuple(calls), Fault(kind, stays=True))


def _begins_nothing(what: str) -> bool:
    """Whether a call only reads or logs in."""
    return Call(what, 1).reads or what.endswith("/auth/tokens")


def untried(rows: Iterable[Row], case: Case, size: str) -> Case:
    """What of a case was not run yet, or left something that should not be there."""
    told = {key for key, row in cells(rows).items() if row.clean}
    fault = str(case.fault)
    calls = (call for call in case.calls if (case.operation, size, str(call), fault) not in told)
    return replace(case, calls=tuple(calls))


def results(folder: Path) -> list[Row]:
    """The rows so far."""
    rows = []
    for file in sorted(folder.glob("*.jsonl")):
        for line in file.read_text().splitlines():
            data = json.loads(line)
            rows.append(Row(**{k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}))
    return rows


@contextmanager
def _claimed(folder: Path, case: Case) -> Iterator[bool]:
    """Whether nobody else is at this run."""
    name = hashlib.sha256(case.key.encode()).hexdigest()[:16]
    with (folder / f"{name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def run(operation: str, folder: Path, until: float, only: str, name: str, size: str) -> None:
    """Run what is missing, until it is this time."""
    folder.mkdir(parents=True, exist_ok=True)
    admin = openstack.connect(cloud="admin", api_timeout=180)
    entry = member_of(admin, name)
    try:
        with Bench(entry, folder / f"home-{name}-{int(time.time())}") as bench:
            bench.ready_to_protect(size)
            if operation == "restore":
                bench.ready_to_restore()
            _run_all(bench, operation, folder, until, only)
    finally:
        remove_member(admin, name)


def _run_all(bench: Bench, operation: str, folder: Path, until: float, only: str) -> None:
    recorded = _record(folder, operation, bench.size)
    if operation == "restore" or not recorded.exists():  # it is also what restores are compared with
        first = bench.run_with(operation)
        _say(first)
        if first.outcome != "succeeded":
            raise SystemExit("the undisturbed run did not succeed")
        if not recorded.exists():
            recorded.write_text(json.dumps([call.what for call in bench.calls]))
    for case in cases(operation, json.loads(recorded.read_text())):
        text = f"{case.fault} {' '.join(_named(case.calls))}"
        if only not in text:
            continue
        with _claimed(folder, case) as mine:
            while mine and (rest := untried(results(folder), case, bench.size)).calls:
                if time.time() > until:
                    return
                row = bench.run(operation, rest.calls, rest.fault)
                _say(row)
                with (folder / f"{operation}-{bench.size}.jsonl").open("a") as file:
                    file.write(json.dumps(row.to_json()) + "\n")
                if not row.clean or not set(row.reached) & set(row.calls):
                    break


def _say(row: Row) -> None:
    calls = (
        row.calls[0]
        if len(row.calls) == 1
        else f"{len({*row.calls} & {*row.reached})} of {len(row.calls)} calls"
    )
    print(f"{row.operation:8} {row.fault:12} {row.seconds:4} s {row.outcome:14} {calls}", flush=True)
    for line in (*row.left, *([row.said] if row.said else [])):
        print(f"    {line}", flush=True)


def _record(folder: Path, operation: str, size: str) -> Path:
    return folder / f"{operation}-{size}.calls.json"


def cells(rows: Iterable[Row]) -> dict[tuple[str, str, str, str], Row]:
    """The last row of each operation, size, call and fault."""
    return {
        (row.operation, row.size, call, row.fault): row
        for row in rows
        for call in row.reached
        if call in row.calls
    }


def show(rows: list[Row]) -> Iterator[str]:
    """The table."""
    for (operation, size, call, fault), row in sorted(cells(rows).items()):
        left = "; ".join(row.left) or "nothing"
        together = f" (with {len(row.reached) - 1} others)" if len(row.reached) > 1 else ""
        yield f"{operation:8} {size:10} {call:70} {fault:12} {row.outcome:14} left: {left}{together}"


def summary(rows: list[Row], folder: Path) -> Iterator[str]:
    """The summary, as Markdown."""
    found = cells(rows)
    yield f"| operation | application | fault | calls spoilt | runs | {' | '.join(OUTCOMES)} | not clean |"
    yield f"| --- | --- | --- |{' ---: |' * (len(OUTCOMES) + 3)}"
    faults = [str(Fault(kind, stays)) for stays in (False, True) for kind in FAULTS]
    for operation, size, fault in itertools.product(OPERATIONS, SIZES, faults):
        mine = [
            row for (op, of, _call, kind), row in found.items() if (op, of, kind) == (operation, size, fault)
        ]
        if not mine:
            continue
        counts = Counter(row.outcome for row in mine)
        bad = sum(1 for row in mine if not row.clean)
        runs = len({id(row) for row in mine})
        how = " | ".join(str(counts[name]) for name in OUTCOMES)
        yield f"| {operation} | {size} | {fault} | {len(mine)} | {runs} | {how} | {bad} |"
    yield ""
    lacks = missing(rows, folder)
    end = ":" if lacks else "."
    yield f"{len(found)} cells in {len(rows)} runs; {len(lacks)} cells of the whole table are missing{end}"
    if lacks:
        yield ""
        yield "| operation | fault | calls that have not been spoilt so |"
        yield "| --- | --- | --- |"
    for (operation, fault), those in itertools.groupby(
        sorted(lacks, key=lambda cell: (_place(cell), cell)), key=_place
    ):
        calls = ", ".join(f"`{call}`" for _operation, call, _fault in those)
        yield f"| {operation} | {fault} | {calls} |"


Cell: TypeAlias = tuple[str, str, str]
"""Operation, call and fault."""


def _place(cell: Cell) -> tuple[str, str]:
    return cell[0], cell[2]


def missing(rows: list[Row], folder: Path) -> set[Cell]:
    """The cells that were not run with any size of the application, or whose call was not reached."""
    told = {(operation, call, fault) for operation, _size, call, fault in cells(rows)}
    wanted = set()
    for operation in OPERATIONS:
        recorded = _record(folder, operation, "all")
        if recorded.exists():
            for case in cases(operation, json.loads(recorded.read_text())):
                wanted |= {(operation, call, str(case.fault)) for call in _named(case.calls)}
    return wanted - told


def document(lines: Iterable[str]) -> None:
    """Write the summary into the document."""
    text = DOCUMENT.read_text()
    before, _, rest = text.partition(MARKS[0])
    after = rest.partition(MARKS[1])[2]
    DOCUMENT.write_text(f"{before}{MARKS[0]}\n" + "\n".join(lines) + f"\n{MARKS[1]}{after}")


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="faultproxy_table", description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("fault-results"), help="folder of the results")
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run", help="run what is missing")
    running.add_argument("operation", choices=OPERATIONS)
    running.add_argument("--minutes", type=float, default=600.0, help="begin no run after so many")
    running.add_argument("--only", default="", help="only runs in whose fault and calls this text is")
    running.add_argument("--size", choices=SIZES, default="all", help="how much of the application there is")
    running.add_argument("--project", default="", help="the project to make, and to remove at the end")
    commands.add_parser("show", help="print the table")
    commands.add_parser("document", help="write the summary into docs/faults.md")
    options = parser.parse_args()
    if options.command == "run":
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the project is removed
        name = options.project or f"faults-{options.operation}"
        until = time.time() + options.minutes * 60
        run(options.operation, options.results, until, options.only, name, options.size)
        return 0
    rows = results(options.results)
    if options.command == "show":
        print("\n".join(show(rows)))
    else:
        document(summary(rows, options.results))
    return 0 if all(row.clean for row in cells(rows).values()) else 1


if __name__ == "__main__":
    sys.exit(main())

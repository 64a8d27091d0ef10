"""The bank's speed beside its peers', on the same image in the same run.

    python benchmarks/bank.py [--size GIB] [--rounds N] [--tools NAME,...] [--folder FOLDER] [--json]

Every step is a process of its own and its whole wall time counts, the start of Python included. In every
round each tool backs up an image (see ``image.py``) into a new repository, backs it up again with 2 %
changed, restores that, and reads everything back. The tools take turns step by step, so that a busy moment
of the machine hits all of them alike, and begin in another order every round. What was written before is
flushed to the disk before a step begins, and free memory is touched: on a virtual machine the first to use a
page waits for the hypervisor. Restored images are compared with the original, byte by byte.

Peers are taken if they are installed: on Debian, ``apt-get install restic borgbackup zstd``. All encrypt and
compress: restic with its repository version 2 and its defaults; borg with ``repokey-blake2``, ``zstd,1``,
fixed pieces of 4 MiB and no cache of files (it would not help: there is one file, and it changed). Nobody
flushes a restored file to the disk. ``cp``, ``cat`` and ``zstd -1 -T2`` show what the machine can do.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
MIB = 1 << 20
GIB = 1 << 30
TOUCH = """
import mmap, re, sys
free = int(re.search(r"MemFree: *([0-9]+)", open("/proc/meminfo").read())[1]) << 10
memory = mmap.mmap(-1, max(1 << 20, min(int(sys.argv[1]), free - (256 << 20))), mmap.MAP_PRIVATE)
for _ in range(len(memory) >> 20):
    memory.write(bytes([1]) * (1 << 20))
"""
STEPS = ("first", "second", "restore", "verify")
SECRET = "benchmark"
GOALS = {
    ("first", "restic"): 5.5,
    ("first", "borg"): 4.0,
    ("second", "restic"): 10.0,
    ("restore", "restic"): 6.0,
    ("restore", "cp"): 1.0,
    ("verify", "restic"): 8.0,
}
MOST_MEMORY = 150


@dataclass
class Run:
    """One process: wall and CPU seconds, the largest it was in bytes."""

    wall: float
    cpu: float
    rss: int


@dataclass(frozen=True)
class Case:
    """Where a tool works in one round."""

    repository: Path
    images: Mapping[str, Path]
    target: Path


@dataclass(frozen=True)
class Tool:
    """How a program does the steps. A command is a list; one that begins with a folder runs there."""

    name: str
    commands: Mapping[str, Callable[[Case], Sequence[str | Path]]]
    init: Callable[[Case], Sequence[str | Path]] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    needs: str = ""


def refloat(python: str) -> Tool:
    """Refloat's bank."""
    run = [python, HERE / "bankrun.py"]
    return Tool(
        "refloat",
        {
            "first": lambda c: [*run, "backup", c.repository, "first", c.images["first"]],
            "second": lambda c: [*run, "backup", c.repository, "second", c.images["second"]],
            "restore": lambda c: [*run, "restore", c.repository, "second", c.target],
            "verify": lambda c: [*run, "verify", c.repository, "second"],
        },
        lambda c: [*run, "init", c.repository],
    )


def restic(cache: Path) -> Tool:
    """restic, with a cache of its own."""

    def run(c: Case) -> list[str | Path]:
        return ["restic", "-q", "-r", c.repository]

    return Tool(
        "restic",
        {
            "first": lambda c: [c.images["first"].parent, *run(c), "backup", "image"],
            "second": lambda c: [c.images["second"].parent, *run(c), "backup", "image"],
            "restore": lambda c: [*run(c), "restore", "latest", "--target", c.target],
            "verify": lambda c: [*run(c), "check", "--read-data"],
        },
        lambda c: [*run(c), "init", "--repository-version", "2"],
        {"RESTIC_PASSWORD": SECRET, "RESTIC_CACHE_DIR": str(cache)},
        "restic",
    )


def borg(home: Path) -> Tool:
    """borg, with a cache of its own."""
    create = ["borg", "create", "--compression", "zstd,1", "--chunker-params", "fixed,4194304"]
    create += ["--files-cache", "disabled"]
    return Tool(
        "borg",
        {
            "first": lambda c: [c.images["first"].parent, *create, f"{c.repository}::first", "image"],
            "second": lambda c: [c.images["second"].parent, *create, f"{c.repository}::second", "image"],
            "restore": lambda c: [c.target, "borg", "extract", "--sparse", f"{c.repository}::second"],
            "verify": lambda c: ["borg", "check", "--verify-data", c.repository],
        },
        lambda c: ["borg", "init", "-e", "repokey-blake2", c.repository],
        {"BORG_PASSPHRASE": SECRET, "BORG_BASE_DIR": str(home)},
        "borg",
    )


MACHINE = (
    Tool("cat", {"second": lambda c: ["sh", "-c", f"cat {c.images['second']} > /dev/null"]}),
    Tool("cp", {"restore": lambda c: ["cp", c.images["second"], c.target]}),
    Tool(
        "zstd",
        {"first": lambda c: ["zstd", "-q", "-1", "-T2", c.images["first"], "-o", c.target]},
        needs="zstd",
    ),
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", type=float, default=2, help="of the image, in GiB (2)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tools", default="", help="only these, separated by commas")
    parser.add_argument("--folder", default="/var/tmp", help="where to work, on a disk (/var/tmp)")
    parser.add_argument("--json", action="store_true", help="print every single run as JSON")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bank-", dir=given.folder) as name:
        folder = Path(name)
        tools = [refloat(sys.executable), restic(folder / "cache"), borg(folder / "home"), *MACHINE]
        if given.tools:
            tools = [t for t in tools if t.name in given.tools.split(",")]
        missing = [t.name for t in tools if t.needs and not shutil.which(t.needs)]
        tools = [t for t in tools if t.name not in missing]
        images = make_images(folder, given.size)
        runs: dict[tuple[str, str], list[Run]] = {}
        stored: dict[tuple[str, str], int] = {}
        loads: list[float] = []
        try:
            for number in range(given.rounds):
                loads.append(os.getloadavg()[0])
                tell(f"round {number + 1} of {given.rounds}, at a load of {loads[-1]:.1f}")
                order = random.Random(number).sample(tools, len(tools))
                one_round(folder, order, images, runs, stored)
        except KeyboardInterrupt:
            tell("interrupted: this is what was measured until now")
    if given.json:
        print(as_json(runs, stored))
    else:
        print_tables(given.size, runs, stored)
        print(f"\nThe machine's load when the rounds began: {', '.join(f'{each:.1f}' for each in loads)}.")
    if missing:
        tell(f"not installed: {', '.join(missing)}")


def make_images(folder: Path, size: float) -> dict[str, Path]:
    """The image, and the image changed."""
    tell("making the images")
    images = {step: folder / step / "image" for step in ("first", "second")}
    for image in images.values():
        image.parent.mkdir()
    command = [sys.executable, str(HERE / "image.py")]
    subprocess.run([*command, "make", str(images["first"]), "--size", str(size)], check=True)
    subprocess.run([*command, "change", str(images["second"]), str(images["first"])], check=True)
    return {**images, "restore": images["second"], "verify": images["second"]}


def one_round(
    folder: Path,
    tools: Sequence[Tool],
    images: Mapping[str, Path],
    runs: dict[tuple[str, str], list[Run]],
    stored: dict[tuple[str, str], int],
) -> None:
    """All steps of all tools, step by step."""
    cases = {tool.name: Case(folder / f"repository-{tool.name}", images, folder / "target") for tool in tools}
    for tool in tools:
        if tool.init is not None:
            execute(tool, tool.init(cases[tool.name]))
    for step in STEPS:
        for tool in tools:
            if step not in tool.commands:
                continue
            case = cases[tool.name]
            if step == "restore" and tool.name == "borg":
                case.target.mkdir()
            run = execute(tool, tool.commands[step](case))
            runs.setdefault((step, tool.name), []).append(run)
            tell(f"{step:8} {tool.name:8} {run.wall:7.2f} s  {run.cpu:7.2f} CPU-s  {run.rss / MIB:6.0f} MiB")
            if step == "restore":
                compare(case.target, images["second"], tool.name)
            remove(case.target)
            if case.repository.exists():
                stored[step, tool.name] = size_of(case.repository)
    for case in cases.values():
        remove(case.repository)
        case.repository.with_suffix(".key").unlink(missing_ok=True)


def execute(tool: Tool, command: Sequence[str | Path]) -> Run:
    """Run one process and measure it."""
    folder = None
    if isinstance(command[0], Path) and command[0].is_dir():
        folder, command = command[0], command[1:]
    environment = {**os.environ, **tool.environment}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # as installed, Python does not compile at every start
    os.sync()
    subprocess.run([sys.executable, "-c", TOUCH, str(3 * GIB)], check=True)
    begin = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise SystemExit(f"{' '.join(map(str, command))} failed: {said.read().decode(errors='replace')}")
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def compare(target: Path, image: Path, tool: str) -> None:
    """What was restored is what was backed up."""
    found = next(p for p in target.rglob("image")) if target.is_dir() else target
    if subprocess.run(["cmp", "--silent", str(found), str(image)], check=False).returncode:
        raise SystemExit(f"{tool} restored something else")


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def size_of(folder: Path) -> int:
    """Bytes in the files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def as_json(runs: Mapping[tuple[str, str], list[Run]], stored: Mapping[tuple[str, str], int]) -> str:
    """Everything that was measured."""
    return json.dumps(
        [
            {
                "step": step,
                "tool": tool,
                "runs": [vars(run) for run in each],
                "stored": stored.get((step, tool)),
            }
            for (step, tool), each in runs.items()
        ],
        indent=1,
    )


def print_tables(
    size: float, runs: Mapping[tuple[str, str], list[Run]], stored: Mapping[tuple[str, str], int]
) -> None:
    """The tables of ``docs/performance.md``."""
    print(f"\n{size:g} GiB; the three last columns: so many times Refloat's\n")
    print("| step | tool | runs | min s | median s | CPU s | peak MiB | stored MB | median | min | CPU |")
    print("|--|--|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    for step in STEPS:
        ours = runs.get((step, "refloat"))
        for (s, tool), each in runs.items():
            if s != step:
                continue
            walls = [run.wall for run in each]
            cpu = statistics.median(run.cpu for run in each)
            ratios = ["", "", ""]
            if ours and tool != "refloat":
                mine = [run.wall for run in ours]
                ratios = [
                    f"{statistics.median(walls) / statistics.median(mine):.1f}",
                    f"{min(walls) / min(mine):.1f}",
                    f"{cpu / statistics.median(run.cpu for run in ours):.1f}",
                ]
            cells = [
                step,
                tool,
                str(len(walls)),
                f"{min(walls):.2f}",
                f"{statistics.median(walls):.2f}",
                f"{cpu:.2f}",
                f"{max(run.rss for run in each) / MIB:.0f}",
                f"{stored[step, tool] / 1e6:.0f}" if (step, tool) in stored else "",
                *ratios,
            ]
            print(f"| {' | '.join(cells)} |")
    print_goals(runs, stored)


def print_goals(runs: Mapping[tuple[str, str], list[Run]], stored: Mapping[tuple[str, str], int]) -> None:
    """What was wanted, and what was reached."""
    print("\n| goal | wanted | median | best | |\n|--|--:|--:|--:|--|")
    for (step, tool), wanted in GOALS.items():
        if (step, tool) in runs and (step, "refloat") in runs:
            theirs = [run.wall for run in runs[step, tool]]
            mine = [run.wall for run in runs[step, "refloat"]]
            reached = statistics.median(theirs) / statistics.median(mine)
            best = min(theirs) / min(mine)
            says = "reached in the best runs" if reached < wanted <= best else _met(reached >= wanted)
            print(f"| {step}, times faster than {tool} | {wanted:g} | {reached:.1f} | {best:.1f} | {says} |")
    ours, borgs = stored.get(("second", "refloat")), stored.get(("second", "borg"))
    if ours and borgs:
        print(f"| stored after both, part of borg's | 1 | {ours / borgs:.2f} | | {_met(ours <= borgs)} |")
    largest = max(
        (run.rss / MIB for (_, t), each in runs.items() if t == "refloat" for run in each), default=0
    )
    print(f"| peak MiB of memory | {MOST_MEMORY} | {largest:.0f} | | {_met(largest <= MOST_MEMORY)} |")


def _met(reached: bool) -> str:
    return "reached" if reached else "missed"


def tell(text: str) -> None:
    """Progress, for whoever waits."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

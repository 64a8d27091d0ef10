"""How long Refloat itself takes: protect, verify, restore and delete of resources that are nowhere.

    python benchmarks/noop_graph.py [COUNT ...] [--database-url URL]

Every resource has all four hooks in every operation, so COUNT resources are 4 x COUNT durable steps. The
yardstick, measured in the same run, is the same number of smallest durable transactions on the same disk, one
after the other: what recording each step by itself costs at the very least.
"""

from __future__ import annotations

import argparse
import resource
import sqlite3
import tempfile
import time
from pathlib import Path

from refloat.cloud import Cloud
from refloat.operations.app import Refloat
from refloat.operations.settings import Settings
from refloat.records.operations import Operation


class NoCloud(Cloud):
    """A user without a cloud: no-op resources need none."""

    project_id = "benchmark"
    auth_url = ""


def commits_per_second(folder: Path, seconds: float = 1.0) -> float:
    """How many smallest transactions SQLite makes durable per second here."""
    connection = sqlite3.connect(folder / "yardstick.sqlite", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE steps (number INTEGER PRIMARY KEY, result TEXT)")
    count, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        connection.execute("INSERT INTO steps (result) VALUES ('{}')")
        count += 1
    connection.close()
    return count / seconds


def start(app: Refloat, kind: str, checkpoint: str) -> Operation:
    """Start one kind of operation."""
    if kind == "protect":
        return app.protect("tree")
    return {"verify": app.verify, "restore": app.restore, "delete": app.delete_checkpoint}[kind](checkpoint)


def measure(count: int, database_url: str | None) -> None:
    """Run the four operations on a tree of ``count`` resources and print a line for each."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rate = commits_per_second(folder)
        url = database_url or f"sqlite:///{folder}/refloat.sqlite"
        with Refloat(Settings(url, str(folder / "bank"), folder / "bank.key")) as app:
            app.cloud = NoCloud()
            app.create_plan("tree", [("Refloat::Noop", f"tree:{count}")], provider="noop")
            checkpoint = ""
            for kind in ("protect", "verify", "restore", "delete"):
                started = time.perf_counter()
                operation = start(app, kind, checkpoint)
                ended = app.wait(operation.id)
                seconds = time.perf_counter() - started
                if ended.state != "succeeded":
                    raise SystemExit(f"{kind}: {ended.error}")
                checkpoint = checkpoint or ended.checkpoint_id
                steps = 4 * count
                memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
                print(
                    f"{count:6d} resources  {kind:8s} {seconds:7.2f} s  "
                    f"{1000 * seconds / steps:6.2f} ms/step  "
                    f"{seconds * rate / steps:5.1f} x yardstick  {memory:4.0f} MiB"
                )


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "count", nargs="*", type=int, default=[10, 100, 1000], help="resources (default: 10 100 1000)"
    )
    parser.add_argument("--database-url", help="default: SQLite in a temporary folder")
    arguments = parser.parse_args()
    for count in arguments.count:
        measure(count, arguments.database_url)


if __name__ == "__main__":
    main()

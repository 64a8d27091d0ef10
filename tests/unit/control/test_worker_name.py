"""What workers are called, and how long they are remembered."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from refloat.control.worker_name import WorkerName
from refloat.records.database import Database
from refloat.records.services import ServiceRecords

TAKE = """
import sys
from refloat.control.worker_name import WorkerName
seat = WorkerName("node", "db")
print(seat.name, flush=True)
sys.stdin.read()
"""


def test_workers_of_a_host_have_names_of_their_own_and_keep_them_when_killed() -> None:
    first, second = WorkerName("node", "db"), WorkerName("node", "db")
    assert (first.name, second.name) == ("node", "node@2")
    elsewhere = WorkerName("node", "another database")
    assert elsewhere.name == "node"
    third = subprocess.Popen(
        [sys.executable, "-c", TAKE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert third.stdout is not None
    assert third.stdout.readline() == "node@3\n"
    third.kill()
    third.wait(60)
    again = WorkerName("node", "db")
    assert again.name == "node@3"
    first.close()
    assert WorkerName("node", "db").name == "node"
    for seat in (second, elsewhere, again):
        seat.close()


def test_workers_that_are_long_dead_are_forgotten_unless_somebody_disabled_them(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/refloat.sqlite")
    records = ServiceRecords(database)
    records.alive("refloat-worker", "dead")
    kept = records.alive("refloat-worker", "disabled")
    records.set_disabled(kept.id, True, "new disks")
    records.forget_dead(timedelta(days=1))
    assert len(records.list()) == 2
    records.forget_dead(timedelta(seconds=-1))  # as if all were long ago
    assert [record.host for record in records.list()] == ["disabled"]
    database.close()

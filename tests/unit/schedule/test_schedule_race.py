"""Several workers on one database: each firing runs once."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from refloat.records.schedules import SUCCEEDED
from refloat.records.tables import CheckpointRow, OperationRow
from tests.unit.support.schedule_rig import Rig

START = datetime(2027, 1, 1)
HOURLY = {"format": "crontab", "pattern": "0 * * * *", "misfire": "run_all"}
SCHEDULES, HOURS, WORKERS = 3, 4, 3

CHILD = """
import sys
from datetime import datetime
sys.path[:0] = [{folder!r}]
from tests.unit.support.schedule_rig import Rig
rig = Rig({url!r}, datetime.fromisoformat({now!r}))
runner = rig.runner()
print("ready", flush=True)
sys.stdin.readline()
for _ in range({rounds}):
    runner.look()
    rig.finish()
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/r.sqlite"
    create: Callable[[], str] = request.getfixturevalue("postgresql")
    return create()


def check(rig: Rig, schedules: list[object]) -> None:
    """Every hour of every schedule has run, once."""
    wanted = [START + timedelta(hours=n + 1) for n in range(HOURS)]
    ran = []
    for schedule in schedules:
        firings = rig.firings(schedule)  # type: ignore[arg-type]
        assert [firing.due_at for firing in firings] == wanted
        assert {firing.state for firing in firings} == {SUCCEEDED}
        ran += firings
    with rig.database.session() as session:
        operations = list(session.scalars(select(OperationRow.id)))
        checkpoints = list(session.scalars(select(CheckpointRow.id)))
    assert sorted(operations) == sorted(firing.operation_id for firing in ran)
    assert sorted(checkpoints) == sorted(firing.checkpoint_id for firing in ran)


@pytest.mark.postgresql
def test_threads(url: str) -> None:
    rig = Rig(url, START)
    schedules = [rig.schedule(HOURLY) for _ in range(SCHEDULES)]
    gate = threading.Barrier(WORKERS + 1)
    stop = threading.Event()

    def work() -> None:
        runner = rig.runner()
        gate.wait()
        while not stop.is_set():
            runner.look()

    threads = [threading.Thread(target=work) for _ in range(WORKERS)]
    for thread in threads:
        thread.start()
    gate.wait()
    for n in range(HOURS):
        rig.now = START + timedelta(hours=n + 1, minutes=5)
        deadline = datetime.now() + timedelta(seconds=120)
        while len(done(rig, schedules)) < SCHEDULES * (n + 1):
            assert datetime.now() < deadline
            rig.finish()
    stop.set()
    for thread in threads:
        thread.join()
    check(rig, schedules)


def done(rig: Rig, schedules: list[object]) -> list[object]:
    return [
        firing
        for schedule in schedules
        for firing in rig.firings(schedule)  # type: ignore[arg-type]
        if firing.ended_at
    ]


@pytest.mark.postgresql
def test_processes(url: str) -> None:
    """All were down, and come up at the same moment."""
    rig = Rig(url, START)
    schedules: list[object] = [rig.schedule(HOURLY) for _ in range(SCHEDULES)]
    now = START + timedelta(hours=HOURS, minutes=5)
    code = CHILD.format(folder=str(Path(__file__).parents[3]), url=url, now=now.isoformat(), rounds=HOURS)
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(WORKERS)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        child.communicate(timeout=120)
    rig.now = now
    runner = rig.runner()
    while rig.busy():  # what the last of them left
        runner.look()
        rig.finish()
    check(rig, schedules)

"""Two years of schedules, with workers that die at every step, nights without workers, clocks that jump.

What must have happened is found out by watching a clock and by buckets of checkpoints, not with the code
under test: see ``test_schedule_timetable.py`` and ``test_schedule_retention.py``.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from refloat.records.checkpoints import AVAILABLE
from refloat.records.schedules import DROPPED, SUCCEEDED, Firing
from refloat.records.tables import CheckpointRow, OperationRow
from tests.unit.support.schedule_rig import Death, Rig

START, END = datetime(2027, 1, 1), datetime(2029, 1, 1)
WINDOW = timedelta(seconds=900)
BERLIN = ZoneInfo("Europe/Berlin")


def nights(start: datetime, end: datetime) -> list[datetime]:
    """02:30 of Berlin, Sundays (when clocks are set) and Tuesdays (as 29 February 2028 is).

    Where the clock leaves it out, at 03:30; where it comes twice, the first.
    """
    found = []
    day = start.date() - timedelta(days=1)
    while day <= end.date():
        for hours, minutes in ((0, 30), (1, 30)):  # in UTC: in summer, and in winter
            moment = datetime(day.year, day.month, day.day, hours, minutes)
            shown = moment.replace(tzinfo=UTC).astimezone(BERLIN)
            gap = (
                shown.hour == 3
                and (moment - timedelta(hours=1)).replace(tzinfo=UTC).astimezone(BERLIN).hour == 1
            )
            fits = (shown.hour, shown.minute, shown.fold) == (2, 30, 0) or gap
            if fits and shown.weekday() in (1, 6):
                found.append(moment)
        day += timedelta(days=1)
    return [moment for moment in found if start < moment < end]


def looks(dues: Sequence[datetime], chance: random.Random) -> list[datetime]:
    """When somebody looks: soon after most firings, late after some; the clock may be wrong."""
    found = []
    off_until = START
    for due in dues:
        if chance.random() < 0.06:  # nobody works for some days
            off_until = due + timedelta(hours=chance.randrange(1, 24 * 16))
        if due >= off_until:
            found.append(due + timedelta(seconds=chance.randrange(0, 800)))
            if chance.random() < 0.1:
                found.append(due + timedelta(hours=chance.randrange(1, 12)))
            if chance.random() < 0.05:  # set forward, then right again
                found.append(due + timedelta(hours=chance.randrange(20, 60)))
            if chance.random() < 0.05:  # set back
                found.append(due - timedelta(hours=chance.randrange(1, 60)))
    return [*found, END]


def expected(dues: Sequence[datetime], seen: Sequence[datetime], misfire: str) -> dict[datetime, str]:
    """What each firing must have come to, when somebody looks at these times."""
    found: dict[datetime, str] = {}
    done = 0
    for now in seen:
        new = dues[done : max(done, bisect_right(dues, now))]
        done += len(new)
        on_time = [due for due in new if now <= due + WINDOW]
        if misfire == "run_all":
            run = list(new)
        elif misfire == "run_once":
            run = on_time or new[-1:]
        else:
            run = on_time
        found |= {due: SUCCEEDED if due in run else DROPPED for due in new}
    return found


def settle(rig: Rig, chance: random.Random) -> None:
    """Workers look until one comes through and nothing is left to do; meanwhile any may die."""
    runner = rig.runner()
    while True:
        rig.database.chance = chance
        try:
            runner.look()
        except Death:
            runner = rig.runner()
            continue
        finally:
            rig.database.chance = None
        rig.finish()
        if not rig.busy():
            return


def told(firings: Sequence[Firing]) -> dict[datetime, str]:
    return {firing.due_at: firing.state for firing in firings}


@pytest.mark.parametrize("misfire", ["skip", "run_once", "run_all"])
def test_two_years_of_nights(tmp_path: Path, misfire: str) -> None:
    chance = random.Random(misfire)
    rig = Rig(f"sqlite:///{tmp_path}/r.sqlite", START)
    properties = {"format": "crontab", "pattern": "30 2 * * 0,2", "timezone": "Europe/Berlin"}
    schedule = rig.schedule(properties | {"misfire": misfire})
    dues = nights(START, END)
    assert len(dues) == 209
    seen = looks(dues, chance)
    for moment in seen:
        rig.now = moment
        settle(rig, chance)
    firings = rig.firings(schedule)
    assert told(firings) == expected(dues, seen, misfire)
    assert len(firings) == len(dues)
    assert all(firing.reason for firing in firings if firing.state == DROPPED)
    assert DROPPED in told(firings).values() or misfire == "run_all"
    # One operation and one checkpoint for each that ran, and no other.
    with rig.database.session() as session:
        operations = set(session.scalars(select(OperationRow.id)))
        checkpoints = set(session.scalars(select(CheckpointRow.id)))
    ran = [firing for firing in firings if firing.state == SUCCEEDED]
    assert {firing.operation_id for firing in ran} == operations
    assert {firing.checkpoint_id for firing in ran} == checkpoints
    assert len(operations) == len(checkpoints) == len(ran)


def test_two_years_of_retention(tmp_path: Path) -> None:
    """Every night, what is there is what buckets of days, weeks and months say."""
    chance = random.Random(7)
    rig = Rig(f"sqlite:///{tmp_path}/r.sqlite", START)
    properties = {"format": "crontab", "pattern": "30 2 * * 0,2", "timezone": "Europe/Berlin"}
    schedule = rig.schedule(
        properties | {"misfire": "run_once"},
        "retention_protect",
        keep_daily=7,
        keep_weekly=4,
        keep_monthly=12,
    )
    dues = nights(START, END)
    seen = sorted(looks(dues, chance))
    made: list[tuple[datetime, str]] = []
    there: list[tuple[datetime, str]] = []
    for moment in seen:
        rig.now = moment
        settle(rig, chance)
        with rig.database.session() as session:
            query = select(CheckpointRow.created_at, CheckpointRow.id, CheckpointRow.status)
            rows = session.execute(query.order_by(CheckpointRow.created_at)).all()
        new = [(row.created_at, row.id) for row in rows[len(made) :]]
        made += new
        if new:
            there = buckets([*there, *new])
        assert [row.id for row in rows if row.status == AVAILABLE] == [identity for _time, identity in there]
    ran = [firing for firing in rig.firings(schedule) if firing.state == SUCCEEDED]
    assert [firing.checkpoint_id for firing in ran] == [identity for _time, identity in made]
    assert sum(len(firing.deletions) for firing in ran) == len(made) - len(there)
    assert len(there) > 12


def buckets(some: Sequence[tuple[datetime, str]]) -> list[tuple[datetime, str]]:
    """The newest of each of the last 7 days, 4 weeks, 12 months of Berlin's calendar that have any."""
    found: set[tuple[datetime, str]] = set()
    for form, count in (("%Y %j", 7), ("%G %V", 4), ("%Y %m", 12)):
        newest: dict[str, tuple[datetime, str]] = {}
        for item in some:
            newest[item[0].replace(tzinfo=UTC).astimezone(BERLIN).strftime(form)] = item
        found |= set(list(newest.values())[-count:])
    return sorted(found)

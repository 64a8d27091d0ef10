"""M1: what schedules act with lasts a year or so, its owner renews it, and its end is told a month before."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from refloat.cloud.authority import Caller
from refloat.errors import CloudError
from refloat.notify.events import PREFIX, Notices
from refloat.records.outbox import Outbox
from refloat.records.schedules import Schedule, Schedules
from refloat.schedule.scheduled_operations import ScheduledOperations
from refloat.schedule.view import ending
from tests.unit.support.schedule_rig import CALLER, PROJECT, Granted, Rig

NIGHTLY = {"format": "crontab", "pattern": "0 2 * * *", "misfire": "skip"}
DAY = timedelta(days=1)


class Trusting(Granted):
    """Makes trusts, and keeps what is given back."""

    def __init__(self) -> None:
        self.numbers = count()
        self.back: list[str] = []

    def grant(self, caller: Caller, until: Any = None) -> dict[str, Any]:
        return {"kind": "trust", "trust_id": f"{next(self.numbers)}", "project_id": caller.project_id}

    def revoke(self, granted: Any) -> None:
        self.back.append(granted["trust_id"])


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    # Trusts end by the real clock.
    rig = Rig(f"sqlite:///{tmp_path}/refloat.sqlite", datetime.now().replace(microsecond=0))
    rig.authority = Trusting()  # type: ignore[attr-defined]
    told = Notices({"somebody": ["*"]})
    rig.desk = ScheduledOperations(
        rig.database,
        rig.providers,
        rig.authority,  # type: ignore[attr-defined]
        rig.quotas,
        notices=told,
        clock=rig.clock,
    )
    yield rig
    rig.database.close()


def now_of(rig: Rig, schedule: Schedule) -> Schedule:
    return Schedules(rig.database, PROJECT).get(schedule.id)


def test_m1_a_trust_of_a_schedule_ends_within_fourteen_months(rig: Rig) -> None:
    made = rig.schedule(NIGHTLY)
    assert made.authority_ends is not None
    assert 365 * DAY < made.authority_ends - rig.now < 425 * DAY


def test_m1_its_owner_renews_it_by_any_change_others_by_enabling_only(rig: Rig) -> None:
    made = rig.schedule(NIGHTLY)
    assert rig.desk.change(CALLER, made, name="new").authority == made.authority  # it is new anyway
    rig.now += 100 * DAY
    other = Caller("u2", PROJECT)
    assert rig.desk.change(other, made, name="by another").authority == made.authority
    disabled = rig.desk.change(CALLER, made, enabled=False)
    assert disabled.authority == made.authority
    assert rig.desk.change(CALLER, disabled, name="still disabled").authority == made.authority
    theirs = rig.desk.change(other, disabled, enabled=True)
    assert (theirs.user_id, theirs.authority != made.authority) == ("u2", True)
    rig.now += 100 * DAY
    renewed = rig.desk.change(other, theirs, name="mine now")
    assert renewed.authority != theirs.authority
    assert rig.authority.back == ["0", "1"]  # type: ignore[attr-defined]
    assert renewed.enabled


def test_m1_trusts_of_before_that_never_ended_are_renewed_too(rig: Rig) -> None:
    made = rig.schedule(NIGHTLY)
    with rig.database.session() as session:
        row = Schedules(rig.database, PROJECT).row(session, made.id)
        row.authority = {"kind": "trust", "trust_id": "of old", "project_id": PROJECT}
    old = now_of(rig, made)
    assert old.authority_ends is None
    assert ending(old, rig.now)[0] == ""
    assert rig.desk.change(CALLER, old, description="touched").authority_ends is not None
    assert rig.authority.back == ["of old"]  # type: ignore[attr-defined]


def test_m1_the_end_is_told_once_a_month_before(rig: Rig) -> None:
    made = rig.schedule(NIGHTLY)
    assert made.authority_ends is not None
    runner = rig.runner(Notices({"somebody": ["*"]}))
    told = Outbox(rig.database)

    def events() -> list[str]:
        return [item.event_type.removeprefix(f"{PREFIX}.") for item in told.left()]

    rig.now = made.authority_ends - 31 * DAY
    runner._check(now_of(rig, made))
    assert "schedule.authority_ending" not in events()
    rig.now += 2 * DAY
    for _ in range(3):
        runner._check(now_of(rig, made))
        rig.now += DAY
    assert events().count("schedule.authority_ending") == 1
    words = ending(now_of(rig, made), rig.now)[0]
    assert f"{made.authority_ends:%Y-%m-%d}" in words
    assert "enable it again" in words
    assert now_of(rig, made).reason == ""  # it still runs


def test_h5_what_cannot_be_given_back_keeps_no_trust_of_another_waiting(rig: Rig) -> None:
    schedules = sorted((rig.schedule(NIGHTLY) for _ in range(15)), key=lambda each: each.id)
    with rig.database.session() as session:
        for schedule in schedules:
            row = Schedules(rig.database, PROJECT).row(session, schedule.id)
            name = "another's" if schedule is schedules[-1] else "stuck"
            row.retired = [{"kind": "trust", "trust_id": name, "project_id": PROJECT}]
    given = rig.authority.back  # type: ignore[attr-defined]

    def revoke(granted: Any) -> None:
        if granted["trust_id"] == "stuck":
            raise CloudError("the identity service fails")
        given.append(granted["trust_id"])

    rig.authority.revoke = revoke  # type: ignore[attr-defined]
    runner = rig.runner()
    for _ in range(100):
        runner.look()
        if given:
            break
    assert given == ["another's"]

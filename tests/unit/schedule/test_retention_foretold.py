"""What is said of a schedule's retention is what its run does (1.1), to what it made alone (1.2)."""

from __future__ import annotations

import random
import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from refloat.cloud.authority import Caller
from refloat.database import now
from refloat.records.checkpoints import CheckpointRecord, CheckpointRecords
from refloat.records.plans import Plan, Plans
from refloat.records.schedule_tables import HoldRow, ScheduleRow
from refloat.records.schedules import Schedule, Schedules
from refloat.records.tables import CheckpointRow, OperationRow
from refloat.schedule.definition import checked
from refloat.schedule.retention import PERIODS
from refloat.schedule.scheduled_operations import What
from tests.unit.support.schedule_rig import CALLER, PROJECT, Rig

START = datetime(2027, 6, 1, 12)
YEARLY = {"format": "crontab", "pattern": "30 2 1 1 *", "timezone": "Europe/Berlin"}


def rules_of(chance: random.Random) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: chance.randrange(1, 6)
        for name in ("max_backups", "retention_duration", *PERIODS)
        if chance.random() < 0.4
    }
    if chance.random() < 0.5:
        found["include_manual"] = True
    return found


def history(rig: Rig, chance: random.Random, makers: list[str]) -> dict[str, str]:
    """Checkpoints of forty days, in all states that there are; by id, who made each."""
    provider = rig.providers.find("noop").id
    made: dict[str, str] = {}
    for _ in range(chance.randrange(1, 25)):
        maker = chance.choice(makers)
        record = CheckpointRecord(
            id=str(uuid.UUID(int=chance.getrandbits(128), version=4)),
            project_id=PROJECT,
            provider_id=chance.choice([provider] * 9 + ["another"]),
            plan_id=rig.plan.id,
            plan={"id": rig.plan.id, "name": "p"},
            status=chance.choice(["available"] * 8 + ["missing", "error-deleting", "error", "deleted"]),
            reason="",
            extra_info={"scheduled_operation_id": maker} if maker else {"created_by": "manual"},
            graph={"nodes": [], "edges": []},
            created_at=START
            - timedelta(seconds=chance.choice([-9000, *[chance.randrange(40 * 86400)] * 15])),
            verified=chance.choice(["never"] * 5 + ["good", "bad"]),
        )
        made[record.id] = maker
        with rig.database.session() as session:
            CheckpointRecords(rig.database).add(session, record)
            if chance.random() < 0.1:
                session.add(
                    HoldRow(
                        checkpoint_id=record.id,
                        project_id=PROJECT,
                        user_id="u",
                        reason="court",
                        created_at=START,
                    )
                )
    return made


def run(rig: Rig, schedule: Schedule) -> Any:
    rig.desk.run(schedule)
    runner = rig.runner()
    runner.look()
    while rig.busy():
        rig.finish()
        runner.look()
    return rig.firings(schedule)[-1]


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    """One for all: each test has a plan of its own."""
    return Rig(f"sqlite:///{tmp_path_factory.mktemp('rig')}/r.sqlite", START)


@pytest.fixture(autouse=True)
def _new(rig: Rig) -> None:
    new_plan(rig)


def new_plan(rig: Rig) -> None:
    rig.now = START
    rig.plan = Plans(rig.database, PROJECT).create("p", "noop", [], {})


@pytest.mark.parametrize("seeds", [range(6), range(6, 12)])
def test_a_run_does_what_its_preview_says(rig: Rig, seeds: range) -> None:
    """Whatever is there, whoever made it, whatever the rules; twice: the second finds the first's.

    What was there before the run and is of other schedules or, unless they are included, made by hand or by
    nobody knows whom, is there afterwards.
    """
    for seed in seeds:
        chance = random.Random(seed)
        new_plan(rig)
        mine, other, gone = (
            rig.schedule(YEARLY, "retention_protect", **(rules_of(chance) if n == 0 else {}))
            for n in range(3)
        )
        rig.desk.delete(gone)
        made = history(rig, chance, [mine.id, mine.id, other.id, gone.id, ""])
        for _ in range(2):
            rig.now += timedelta(minutes=chance.randrange(1, 3000))
            preview = rig.desk.retention.preview(mine)
            firing = run(rig, mine)
            foretold = {verdict.id: (verdict.keep, verdict.rule) for verdict in preview.verdicts}
            done = {item["checkpoint_id"]: (False, item["rule"]) for item in firing.deletions}
            done |= {item["checkpoint_id"]: (True, item["rule"]) for item in firing.kept}
            assert done.pop(firing.checkpoint_id)[0] is True
            assert done == foretold
            deleted = {item["checkpoint_id"] for item in firing.deletions if item["state"] == "deleted"}
            assert deleted == {identity for identity, (keep, _rule) in foretold.items() if not keep}
            allowed = {mine.id, gone.id, ""} if mine.definition.get("include_manual") else {mine.id}
            assert {made[identity] for identity in deleted & made.keys()} <= allowed
            made[firing.checkpoint_id] = mine.id


def test_1_2_what_was_made_by_hand_is_left_alone(rig: Rig) -> None:
    """And counts for nobody: with ``max_backups`` of 2 the schedule has two of its own."""
    schedule = rig.schedule(YEARLY, "retention_protect", max_backups=2)
    by_hand = []
    for _ in range(4):
        rig.now += timedelta(days=1)
        # A client may say what it likes of a checkpoint, but not that a schedule made it.
        said = {"scheduled_operation_id": schedule.id, "words": "before the upgrade"}
        record, _operation = rig.submitter.protect(Caller("u1", PROJECT), rig.plan, said)
        by_hand.append(record.id)
        rig.finish()
        rig.now += timedelta(hours=1)
        firing = run(rig, schedule)
        assert {
            "checkpoint_id": record.id,
            "rule": "made by hand: not this schedule's to delete",
        } in firing.kept
    with rig.database.session() as session:
        there = select(CheckpointRow.id).where(
            CheckpointRow.status == "available", CheckpointRow.plan_id == rig.plan.id
        )
        left = set(session.scalars(there))
        assert session.get_one(CheckpointRow, by_hand[0]).extra_info["words"] == "before the upgrade"
    assert left > set(by_hand)
    assert len(left) == 4 + 2
    # The same schedule, when its owner says so.
    given = checked("retention_protect", {**schedule.definition, "include_manual": "yes"})
    with rig.database.session() as session:
        session.get_one(ScheduleRow, schedule.id).definition = given
    firing = run(rig, Schedules(rig.database, None).get(schedule.id))
    assert {item["state"] for item in firing.deletions} == {"deleted"}
    assert len(firing.deletions) == 5
    assert [item["rule"] for item in firing.kept] == ["the last good checkpoint", "within the rules"]


def test_1_2_what_older_versions_made_is_known_by_its_operation(rig: Rig) -> None:
    """Where neither record nor bank says who made it; what nobody knows of counts as made by hand."""
    schedule = rig.schedule(YEARLY, "retention_protect", max_backups=1)
    firings = []
    for _ in range(2):
        rig.now += timedelta(days=1)
        with rig.database.session() as session:
            session.get_one(ScheduleRow, schedule.id).operation_type = "protect"
        firings.append(run(rig, Schedules(rig.database, None).get(schedule.id)))
    with rig.database.session() as session:
        for firing in firings:
            session.get_one(CheckpointRow, firing.checkpoint_id).extra_info = {
                "created_by": "operation-engine"
            }
        operation = session.get_one(OperationRow, firings[0].operation_id)
        operation.scheduled_operation_id = ""
    verdicts = {verdict.id: verdict.rule for verdict in rig.desk.retention.preview(schedule).verdicts}
    assert verdicts == {
        firings[0].checkpoint_id: "made by hand: not this schedule's to delete",
        firings[1].checkpoint_id: "max_backups: 1 newer ones",
    }


def test_what_the_next_one_will_build_on_is_said_to_stay(rig: Rig) -> None:
    schedule = rig.schedule(YEARLY, "retention_protect", max_backups=1)
    for number in range(3):
        rig.now += timedelta(days=1)
        with rig.database.session() as session:
            session.get_one(ScheduleRow, schedule.id).operation_type = "protect"
        firing = run(rig, Schedules(rig.database, None).get(schedule.id))
        with rig.database.session() as session:
            row = session.get_one(OperationRow, firing.operation_id)
            row.result = {**(row.result or {}), "chain": [[f"b{number}", f"b{number - 1}"]]}
    rules = [verdict.rule for verdict in rig.desk.retention.preview(schedule).verdicts]
    assert rules[0] == "the next builds on it"
    assert all(rule.endswith("builds on it") for rule in rules)


def test_a_plan_that_is_changed_during_a_run_loses_nothing(rig: Rig) -> None:
    """What was protected was another plan: nothing was shown of this one."""
    schedule = rig.schedule(YEARLY, "retention_protect", max_backups=1)
    first = run(rig, schedule)
    before, provider = rig.plan, rig.providers.find("noop").id
    new_plan(rig)
    rig.now += timedelta(days=1)

    def give(plan: Plan) -> None:
        given = checked("retention_protect", {"provider_id": provider, "plan_id": plan.id, "max_backups": 1})
        rig.desk.change(CALLER, schedule, what=What("retention_protect", given, plan))

    give(rig.plan)
    now_of_another = Schedules(rig.database, None).get(schedule.id)
    rig.desk.run(now_of_another)
    runner = rig.runner()
    runner.look()
    give(before)
    while rig.busy():
        rig.finish()
        runner.look()
    last = rig.firings(schedule)[-1]
    assert (last.state, last.deletions) == ("succeeded", [])
    assert last.reason == "nothing was deleted, for the schedule has got another plan meanwhile"
    assert [v.id for v in rig.desk.retention.preview(schedule).verdicts] == [first.checkpoint_id]


def test_what_has_expired_goes_but_the_last_good_one_and_what_is_kept(rig: Rig) -> None:
    """Also by hand: its maker has said so. It counts for no rule any more."""
    schedule = rig.schedule(YEARLY, "retention_protect", max_backups=2)
    said: list[dict[str, Any]] = [
        {"expires_at": "2d"},
        {"expires_at": "90d"},
        {"expires_at": "2d", "keep": True},
        {},
    ]
    made = []
    for words in said:
        rig.now = now() + timedelta(minutes=len(made))
        record, _operation = rig.submitter.protect(Caller("u1", PROJECT), rig.plan, said=words)
        rig.finish()
        made.append(record.id)
    own = [run(rig, schedule).checkpoint_id for _ in range(2) if rig_later(rig)]
    CheckpointRecords(rig.database).describe(own[0], {"expires_at": "1d", "name": "soon"})
    rig.now = now() + timedelta(days=3)
    preview = {verdict.id: verdict.rule for verdict in rig.desk.retention.preview(schedule).verdicts}
    last = run(rig, schedule)
    gone = {item["checkpoint_id"] for item in last.deletions if item["state"] == "deleted"}
    assert gone == {made[0], own[0]}
    assert all(preview[identity].startswith("it expired on ") for identity in gone)
    assert preview[made[2]] == "it is to be kept: it neither counts nor goes by itself"
    assert {preview[made[1]], preview[made[3]]} == {"made by hand: not this schedule's to delete"}
    assert preview[own[1]] == "within the rules"


def rig_later(rig: Rig) -> bool:
    rig.now += timedelta(hours=1)
    return True

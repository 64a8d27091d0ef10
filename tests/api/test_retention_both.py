"""Retention, here and behind the service: said beforehand, done, and told (1.1, 1.2, 5.22, 5.23)."""

from __future__ import annotations

import random
from typing import Any

from tests.unit.support.cli_helpers import Command, set_up_schedule


def rows(refloat: Command) -> list[Any]:
    found: list[Any] = refloat("checkpoint", "list", "-f", "json").json
    return found


def foretold(refloat: Command) -> dict[str, tuple[bool, str]]:
    found = refloat("schedule", "preview", "shop", "-f", "json").json
    return {row["checkpoint"]: (row["keep"], row["rule"]) for row in found}


def ran(refloat: Command) -> tuple[Any, str]:
    """The last run, and what was told of it."""
    told = refloat("schedule", "run", "shop")
    assert told.status == 0, told.err
    return refloat("schedule", "show", "shop", "-f", "json").json["last_runs"][0], told.err


def test_1_1_a_run_does_what_was_said_before_and_says_what_it_did(refloat: Command) -> None:
    """A random history: by hand, on hold, by the schedule; each run is held against its preview."""
    chance = random.Random(11)
    set_up_schedule(refloat, "--keep-daily", "1", "--include-manual")
    for number in range(2):
        for _ in range(chance.randrange(1, 3)):
            assert refloat("protect", "app").status == 0
        if number == 0:
            assert refloat("checkpoint", "hold", "set", rows(refloat)[0]["id"], "court").status == 0
        said, there = foretold(refloat), {row["id"] for row in rows(refloat)}
        assert said.keys() == there
        run, told = ran(refloat)
        done = {item["checkpoint_id"]: (False, item["rule"]) for item in run["deletions"]}
        done |= {item["checkpoint_id"]: (True, item["rule"]) for item in run["kept"]}
        assert done.pop(run["checkpoint_id"]) == (True, "the last good checkpoint")
        assert done == said
        gone = {identity for identity, (keep, _rule) in said.items() if not keep}
        assert {row["id"] for row in rows(refloat)} == there - gone | {run["checkpoint_id"]}
        assert f"kept {len(run['kept'])} (" in told
        assert f"deleted {len(gone)}" in told
        assert all(f"deleted {identity} (none of keep_daily keeps it)" in told for identity in gone)
    assert any(rule == "legal hold: court" for _keep, rule in said.values())
    shown = refloat("schedule", "show", "shop").out
    assert "legal hold: court: 1" in " ".join(shown.replace("|", " ").split())


def test_1_2_what_was_made_by_hand_stays_unless_its_owner_says_so(refloat: Command) -> None:
    set_up_schedule(refloat, "--max-backups", "1")
    by_hand = [refloat("protect", "app", "-f", "json").json["id"] for _ in range(2)]
    made = []
    for _ in range(2):
        run, _told = ran(refloat)
        made.append(run["checkpoint_id"])
    assert [item["checkpoint_id"] for item in run["deletions"]] == made[:1]
    assert {row["id"] for row in rows(refloat)} == {*by_hand, made[1]}
    # A schedule of that name, but another: what the first has made is not its own.
    assert refloat("schedule", "delete", "shop").status == 0
    create = ("schedule", "create", "shop", "--trigger", "nightly", "--plan", "app", "--max-backups", "1")
    assert refloat(*create).status == 0
    said = foretold(refloat)
    assert said[made[1]] == (True, "made by a schedule that is gone: not this schedule's to delete")
    assert {said[identity] for identity in by_hand} == {(True, "made by hand: not this schedule's to delete")}


def test_5_22_rules_plan_and_trigger_are_changed_and_the_history_stays(refloat: Command) -> None:
    set_up_schedule(refloat, "--keep-daily", "7", "--max-backups", "9")
    ran(refloat)
    assert refloat("trigger", "create", "hourly", "--cron", "5 * * * *").status == 0
    other = ("plan", "create", "db", "--resource", "noop=tree:4", "--provider", "noop", "-f", "json")
    plan = refloat(*other).json["id"]

    def changed(*words: str) -> Any:
        done = refloat("schedule", "set", "shop", *words, "-f", "json")
        assert done.status == 0, done.err
        return done.json

    found = changed("--max-backups", "1", "--keep-daily", "0", "--include-manual")
    assert (found["rules"], found["operation"]) == (
        {"max_backups": 1, "include_manual": True},
        "retention_protect",
    )
    found = changed("--trigger", "hourly", "--plan", "db", "--no-include-manual", "--name", "nightly")
    assert (found["trigger"], found["plan_id"], found["name"]) == ("hourly", plan, "nightly")
    assert found["next_run_at"].endswith(":05:00Z")
    assert len(found["last_runs"]) == 1
    assert refloat("schedule", "set", "nightly", "--name", "shop").status == 0
    found = changed("--max-backups", "0")
    assert (found["rules"], found["operation"]) == ({"include_manual": False}, "protect")
    for words, status, message in (
        (("--keep-daily", "-5"), 2, "keep_daily"),
        (("--trigger", "none"), 1, "there is no trigger 'none'"),
        (("--plan", "none"), 1, "there is no plan 'none'"),
    ):
        refused = refloat("schedule", "set", "shop", *words)
        assert (refused.status, message in refused.err) == (status, True), refused.err
    after = refloat("schedule", "show", "shop", "-f", "json").json
    assert after == found
    run, _told = ran(refloat)
    (made,) = (row for row in rows(refloat) if row["id"] == run["checkpoint_id"])
    assert made["plan"] == "db"
    # The trigger that it had can go, the one that it has cannot.
    assert refloat("trigger", "delete", "nightly").status == 0
    assert refloat("trigger", "delete", "hourly").status == 1

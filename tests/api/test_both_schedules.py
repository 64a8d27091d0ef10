"""Triggers and schedules: the same on this machine and behind the service."""

from __future__ import annotations

from tests.unit.support.cli_helpers import Command, set_up_schedule


def test_triggers(refloat: Command) -> None:
    made = refloat("trigger", "create", "weekly", "--rule", "FREQ=WEEKLY;BYDAY=MO;BYHOUR=2", "-f", "json")
    assert made.json["format"] == "calendar"
    assert made.json["misfire"] == "run_once"
    changed = refloat("trigger", "set", "weekly", "--cron", "0 3 * * 1", "--name", "mondays", "-f", "json")
    assert (changed.json["format"], changed.json["start_time"]) == ("crontab", made.json["start_time"])
    (listed,) = refloat("trigger", "list", "-f", "json").json
    assert listed["name"] == "mondays"
    assert listed["next_run_at"].endswith("T03:00:00Z")
    shown = refloat("trigger", "show", listed["id"], "-f", "json").json
    assert list(shown) == [
        "id", "name", "format", "pattern", "timezone", "start_time", "end_time", "window", "misfire",
        "next_run_at", "created_at",
    ]  # fmt: skip
    assert {name: shown[name] for name in listed} == listed
    assert shown["created_at"].startswith("20")
    assert shown["created_at"].endswith("Z")
    assert refloat("trigger", "set", "mondays").status == 0  # nothing to change
    assert refloat("trigger", "delete", "mondays").status == 0
    assert refloat("trigger", "show", "mondays").status == 1


def test_a_schedule_from_beginning_to_end(refloat: Command) -> None:
    set_up_schedule(refloat, "--max-backups", "1")
    in_use = refloat("trigger", "delete", "nightly")
    assert (in_use.status, "in use by scheduled operations" in in_use.err) == (1, True)
    assert "Delete these first" in in_use.err
    (listed,) = refloat("schedule", "list", "-f", "json").json
    assert (listed["name"], listed["trigger"], listed["enabled"]) == ("shop", "nightly", True)
    for count in (1, 2):
        ran = refloat("schedule", "run", "shop")
        assert ran.status == 0, ran.err
        assert "shop: " in ran.err
        shown = refloat("schedule", "show", "shop", "-f", "json").json
        assert (shown["rules"], shown["last_run"]) == ({"max_backups": 1}, "succeeded")
        assert len(shown["last_runs"]) == count
    # The second run has deleted what the first had made.
    (checkpoint,) = refloat("checkpoint", "list", "-f", "json").json
    assert shown["last_runs"][0]["checkpoint_id"] == checkpoint["id"]
    (kept,) = refloat("schedule", "preview", "shop", "-f", "json").json
    assert kept["checkpoint"] == checkpoint["id"]
    assert (kept["keep"], kept["rule"]) == (False, "max_backups: 1 newer ones")
    assert kept["created_at"].endswith("Z")
    off = refloat("schedule", "set", "shop", "--disable", "--description", "words", "-f", "json").json
    assert (off["enabled"], off["next_run_at"], off["description"]) == (False, "", "words")
    assert list(off) == [
        "id", "name", "description", "operation", "trigger", "plan_id", "provider_id", "rules", "enabled",
        "next_run_at", "problem", "last_run", "last_runs", "run_by",
    ]  # fmt: skip
    assert refloat("schedule", "set", "shop", "--enable", "-f", "json").json["enabled"] is True
    assert refloat("schedule", "delete", "shop").status == 0
    assert refloat("schedule", "list", "-f", "json").json == []


REFUSED = [
    (("trigger", "show", "x"), 1, "there is no trigger 'x'. See: refloat trigger list"),
    (("trigger", "set", "x", "--name", "y"), 1, "there is no trigger 'x'"),
    (("trigger", "delete", "x"), 1, "there is no trigger 'x'"),
    (("trigger", "create", "x", "--cron", "0,5 * * * *"), 2, "fires twice within 300 seconds"),
    (("trigger", "create", "x", "--cron", "61 * * * *"), 2, "'61 * * * *' is not a crontab pattern"),
    (("trigger", "create", "x", "--cron", "0 3 * * *", "--timezone", "Nowhere"), 2, "Nowhere"),
    (("trigger", "show", "twice"), 2, "2 triggers are called 'twice'. Use an id: "),
    (("schedule", "show", "x"), 1, "there is no schedule 'x'. See: refloat schedule list"),
    (("schedule", "run", "x"), 1, "there is no schedule 'x'"),
    (("schedule", "preview", "x"), 1, "there is no schedule 'x'"),
    (("schedule", "delete", "shop", "x"), 1, "there is no schedule 'x'"),
    (("schedule", "create", "s", "--trigger", "nightly", "--plan", "x"), 1, "there is no plan 'x'"),
    (("schedule", "create", "s", "--trigger", "x", "--plan", "app"), 1, "there is no trigger 'x'"),
    (
        ("schedule", "create", "s", "--trigger", "nightly", "--plan", "app", "--keep-daily", "-5"),
        2,
        "keep_daily",
    ),
]


def test_what_cannot_be_is_told_in_one_line(refloat: Command) -> None:
    set_up_schedule(refloat)
    for cron in ("0 1 * * *", "0 2 * * *"):
        assert refloat("trigger", "create", "twice", "--cron", cron).status == 0
    for argv, status, message in REFUSED:
        ran = refloat(*argv)
        assert (ran.status, ran.out) == (status, ""), (argv, ran.err)
        assert message in ran.err.splitlines()[-1], argv
    assert [row["name"] for row in refloat("schedule", "list", "-f", "json").json] == ["shop"]


def test_what_fails_is_told(refloat: Command) -> None:
    set_up_schedule(refloat)
    refused = refloat("plan", "delete", "app")  # first-user 1.7
    assert refused.status == 1
    assert "in use by the schedule shop" in refused.err
    assert "has to be disabled or deleted first" in refused.err
    assert refloat("schedule", "show", "shop", "-f", "value", "-c", "problem").out.strip() == ""
    assert refloat("schedule", "set", "shop", "--disable").status == 0
    assert refloat("plan", "delete", "app").status == 0
    assert refloat("schedule", "list", "-f", "value", "-c", "problem").out == "its plan is gone\n"
    ran = refloat("schedule", "run", "shop")
    assert ran.status == 1
    assert "shop: " in ran.err
    assert " failed: Plan " in ran.err
    assert "could not be found" in ran.err

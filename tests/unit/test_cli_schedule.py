"""Triggers and schedules on one machine."""

from __future__ import annotations

from datetime import timedelta

from cli_helpers import PROJECT, Command

from refloat.operations.settings import Settings
from refloat.records.checkpoints import now
from refloat.records.database import Database
from refloat.records.schedule_tables import ScheduleRow


def set_up(refloat: Command, *rules: str) -> None:
    for argv in (
        ("plan", "create", "app", "--resource", "noop=tree:3", "--provider", "noop"),
        ("trigger", "create", "nightly", "--cron", "30 2 * * *", "--timezone", "Europe/Berlin"),
        ("schedule", "create", "shop", "--trigger", "nightly", "--plan", "app", *rules),
    ):
        made = refloat(*argv)
        assert made.status == 0, made.err


def test_triggers(refloat: Command) -> None:
    made = refloat("trigger", "create", "weekly", "--rule", "FREQ=WEEKLY;BYDAY=MO;BYHOUR=2", "-f", "json")
    assert made.json["format"] == "calendar"
    assert made.json["misfire"] == "run_once"
    changed = refloat("trigger", "set", "weekly", "--cron", "0 3 * * 1", "--name", "mondays", "-f", "json")
    assert (changed.json["format"], changed.json["start_time"]) == ("crontab", made.json["start_time"])
    (listed,) = refloat("trigger", "list", "-f", "json").json
    assert listed["name"] == "mondays"
    assert listed["next_run_at"].endswith("T03:00:00Z")
    wrong = refloat("trigger", "create", "x", "--cron", "0,5 * * * *")
    assert wrong.status == 2
    assert "fires twice within 300 seconds" in wrong.err
    assert refloat("trigger", "delete", "mondays").status == 0
    assert refloat("trigger", "show", "mondays").status == 1


def test_a_schedule_from_beginning_to_end(refloat: Command) -> None:
    set_up(refloat, "--max-backups", "1")
    in_use = refloat("trigger", "delete", "nightly")
    assert (in_use.status, "in use" in in_use.err) == (1, True)
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
    assert checkpoint["id"] in shown["last_runs"][0]
    (kept,) = refloat("schedule", "preview", "shop", "-f", "json").json
    assert kept["checkpoint"] == checkpoint["id"]
    assert (kept["keep"], kept["rule"]) == (True, "the last good checkpoint")
    off = refloat("schedule", "set", "shop", "--disable", "-f", "json").json
    assert (off["enabled"], off["next_run_at"]) == (False, "")
    assert refloat("schedule", "set", "shop", "--enable", "-f", "json").json["enabled"] is True
    assert refloat("schedule", "delete", "shop").status == 0
    assert refloat("schedule", "list", "-f", "json").json == []


def test_what_is_due_runs_from_cron(refloat: Command) -> None:
    set_up(refloat)
    assert refloat("schedule", "run-due").status == 0
    assert refloat("checkpoint", "list", "-f", "json").json == []
    database = Database(Settings.load().database_url)
    with database.session() as session:
        session.query(ScheduleRow).one().next_due = now() - timedelta(minutes=5)
    database.close()
    ran = refloat("schedule", "run-due")
    assert (ran.status, "succeeded checkpoint" in ran.err) == (0, True)
    (checkpoint,) = refloat("checkpoint", "list", "-f", "json").json
    assert checkpoint["status"] == "available"
    (operation,) = refloat("operation", "list", "-f", "json").json
    assert (operation["kind"], operation["state"]) == ("protect", "succeeded")
    assert refloat("plan", "show", "app", "-f", "json").json["project_id"] == PROJECT


def test_what_fails_is_told(refloat: Command) -> None:
    set_up(refloat)
    refloat("plan", "delete", "app")
    ran = refloat("schedule", "run", "shop")
    assert ran.status == 1
    assert "could not be found" in ran.err


def test_the_service_has_schedules_of_its_own(refloat: Command) -> None:
    ran = refloat("--service", "http://127.0.0.1:9/v1", "schedule", "list")
    assert ran.status == 2
    assert "this machine's schedules" in ran.err

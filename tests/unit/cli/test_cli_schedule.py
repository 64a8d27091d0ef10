"""Triggers and schedules on one machine."""

from __future__ import annotations

from datetime import timedelta

from refloat.control.settings import Settings
from refloat.database import now
from refloat.records.database import Database
from refloat.records.schedule_tables import ScheduleRow
from tests.unit.support.cli_helpers import PROJECT, Command, set_up_schedule


def test_what_is_due_runs_from_cron(refloat: Command) -> None:
    set_up_schedule(refloat)
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


def test_what_is_due_at_a_service_its_workers_run(refloat: Command) -> None:
    ran = refloat("--service", "http://127.0.0.1:9/v1", "schedule", "run-due")
    assert (ran.status, "The service's workers run what is due" in ran.err) == (2, True)

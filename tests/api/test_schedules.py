"""Triggers and scheduled operations: the contract of the API."""

from __future__ import annotations

import json
import uuid
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from api_helpers import DEFAULT, NOOP, OTHER, Running, User, run_service
from sqlalchemy import update

from refloat.api.server import make_runner
from refloat.control.grants import ABANDONED, Grant, Grants
from refloat.database import now
from refloat.errors import CloudError, InvalidInput
from refloat.records.schedule_tables import ScheduleRow
from refloat.records.tables import GrantRow

HOURLY = "BEGIN:VEVENT\\nRRULE:FREQ=HOURLY;INTERVAL=1;\\nEND:VEVENT"
DAILY = {"format": "crontab", "pattern": "0 2 * * *", "start_time": "2026-01-01 00:00:00"}


def trigger(user: User, name: str = "nightly", **properties: Any) -> Any:
    body = {"name": name, "type": "time", "properties": DAILY | properties}
    answer = user("POST", "triggers", {"trigger_info": body})
    assert answer.status == 200, answer.body
    return answer.body["trigger_info"]


def refused(user: User, **properties: Any) -> str:
    body = {"name": "x", "type": "time", "properties": DAILY | properties}
    answer = user("POST", "triggers", {"trigger_info": body})
    assert answer.status == 400, answer.body
    return answer.message


def scheduled(user: User, plan: Any, trigger_id: str, kind: str = "protect", **more: Any) -> Any:
    definition = {"provider_id": plan["provider_id"], "plan_id": plan["id"]} | more
    body = {"name": "s", "operation_type": kind, "trigger_id": trigger_id, "operation_definition": definition}
    answer = user("POST", "scheduled_operations", {"scheduled_operation": body})
    assert answer.status == 200, answer.body
    return answer.body["scheduled_operation"]


# --- triggers


def test_a_trigger_from_beginning_to_end(member: User) -> None:
    made = trigger(member)
    assert made["properties"] == DAILY | {"window": 900, "timezone": "UTC", "misfire": "run_once"}
    assert made["type"] == "time"
    assert made["next_run_at"].endswith("02:00:00")
    path = f"triggers/{made['id']}"
    assert member("GET", path).body == {"trigger_info": made}
    assert member("GET", "triggers").body == {"triggers": [made]}
    assert member("PUT", path, {"trigger_info": {"name": "other", "properties": {}}}).status == 200
    changed = member("GET", path).body["trigger_info"]
    assert changed == made | {"name": "other"}
    deleted = member("DELETE", path)
    assert (deleted.status, deleted.body) == (200, None)
    assert member("GET", path).status == 404


def test_each_trigger_has_a_format_of_its_own(member: User) -> None:
    calendar = trigger(member, format="calendar", pattern=HOURLY, start_time="2026-01-01 00:30:00")
    assert calendar["next_run_at"].endswith(":30:00")
    crontab = trigger(member, format="crontab", pattern="15 3 * * 1")
    assert crontab["next_run_at"].endswith("03:15:00")
    assert "crontab" in refused(member, format="crontab", pattern=HOURLY)
    assert "iCalendar" in refused(member, format="calendar", pattern="15 3 * * 1")


def test_start_is_now_when_nobody_says(member: User) -> None:
    body = {"name": "x", "type": "time", "properties": {"format": "calendar", "pattern": HOURLY}}
    made = member("POST", "triggers", {"trigger_info": body}).body["trigger_info"]
    assert made["properties"]["start_time"][13:] == made["next_run_at"][13:]


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ({"pattern": "* * * *"}, "crontab"),
        ({"pattern": "0 0 31 2 *"}, "never fire"),
        ({"pattern": "0,30 * * * *"}, "fires twice within 1800 seconds"),
        ({"pattern": "0 0 * * *", "start_time": "2026-01-01T00:00:00"}, "start_time"),
        ({"end_time": "2025-01-01 00:00:00"}, "after start_time"),
        ({"end_time": "2026-01-03 00:00:00"}, "never fire"),
        ({"window": 899}, "window"),
        ({"window": 1801}, "window"),
        ({"window": "1800"}, "window"),
        ({"timezone": "Mars/Olympus"}, "time zone"),
        ({"timezone": "../../etc/passwd"}, "time zone"),
        ({"misfire": "sometimes"}, "misfire"),
        ({"format": "solar"}, "format"),
        ({"colour": "red"}, "colour"),
        ({"format": "calendar", "pattern": "BEGIN:VEVENT\\nEND:VEVENT"}, "RRULE"),
        ({"format": "calendar", "pattern": "BEGIN:VEVENT\\nRRULE:FREQ=SECONDLY\\nEND:VEVENT"}, "FREQ"),
        (
            {
                "format": "calendar",
                "pattern": "BEGIN:VEVENT\\nRRULE:FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30\\nEND:VEVENT",
            },
            "no month",
        ),
    ],
)
def test_what_cannot_be_is_refused(member: User, properties: Any, words: str) -> None:
    assert words in refused(member, **properties)


def test_other_types_are_refused(member: User) -> None:
    body = {"name": "x", "type": "event", "properties": DAILY}
    assert member("POST", "triggers", {"trigger_info": body}).status == 400


def test_new_properties_replace_all_and_need_a_start(member: User) -> None:
    made = trigger(member, end_time="2099-01-01 00:00:00", window=1800, timezone="Europe/Berlin")
    path = f"triggers/{made['id']}"
    answer = member(
        "PUT", path, {"trigger_info": {"properties": {"format": "crontab", "pattern": "0 3 * * *"}}}
    )
    assert answer.status == 400
    assert "start_time" in answer.message
    wanted = {"format": "crontab", "pattern": "0 3 * * *", "start_time": "2026-02-01 00:00:00"}
    changed = member("PUT", path, {"trigger_info": {"properties": wanted}}).body["trigger_info"]
    assert changed["properties"] == wanted | {"window": 900, "timezone": "UTC", "misfire": "run_once"}
    never = wanted | {"end_time": "2026-02-01 00:00:01"}
    assert member("PUT", path, {"trigger_info": {"properties": never}}).status == 400
    assert member("PUT", path, {"trigger_info": {}}).status == 400
    assert member("PUT", path, {"trigger_info": {"properties": {}}}).status == 400


def test_triggers_are_listed_by_what_they_are(member: User) -> None:
    one, two = trigger(member, "one"), trigger(member, "two", pattern="0 5 * * *")
    for query, wanted in {
        "name=tw": [two],
        "type=time&sort=created_at:asc": [one, two],
        "type=other": [],
        "properties=0 5": [two],
        "limit=1&sort=name:asc": [one],
        f"marker={one['id']}&sort=name:asc": [two],
    }.items():
        assert member("GET", f"triggers?{query}").body["triggers"] == wanted, query
    links = member("GET", "triggers?limit=1").body["triggers_links"]
    assert links[0]["rel"] == "next"


def test_a_trigger_in_use_stays(member: User) -> None:
    made = trigger(member)
    one = scheduled(member, member.plan(), made["id"])
    answer = member("DELETE", f"triggers/{made['id']}")
    assert answer.status == 424
    assert "in use" in answer.message
    assert member("DELETE", f"scheduled_operations/{one['id']}").status == 200
    assert member("DELETE", f"triggers/{made['id']}").status == 200


# --- scheduled operations


def test_a_scheduled_operation_from_beginning_to_end(member: User, service: Running) -> None:
    made, plan = trigger(member), member.plan()
    one = scheduled(member, plan, made["id"])
    assert one == {
        "id": one["id"],
        "name": "s",
        "description": None,
        "operation_type": "protect",
        "trigger_id": made["id"],
        "operation_definition": {"provider_id": NOOP, "plan_id": plan["id"]},
        "enabled": True,
        "next_run_at": made["next_run_at"],
        "status_reason": None,
        "last_runs": [],
    }
    path = f"scheduled_operations/{one['id']}"
    assert member("GET", path).body == {"scheduled_operation": one}
    assert member("GET", "scheduled_operations").body == {"operations": [one]}
    assert service.authority.granted == ["tester 0"]
    deleted = member("DELETE", path)
    assert (deleted.status, deleted.body) == (200, None)
    assert member("GET", path).status == 404
    assert member("GET", "scheduled_operations").body == {"operations": []}
    assert service.authority.revoked == ["tester 0"]


def test_the_definition_as_clients_send_it(member: User) -> None:
    made, plan = trigger(member), member.plan()
    for definition in (
        f"provider_id={NOOP},plan_id={plan['id']},max_backups=7,note=mine",
        {"provider_id": NOOP, "plan_id": plan["id"], "max_backups": "7", "note": "mine"},
        {"provider_id": f"'{NOOP}'", "plan_id": f'"{plan["id"]}"', "max_backups": 7, "note": "mine"},
        {
            "provider_id": NOOP.replace("-", "").upper(),
            "plan_id": plan["id"],
            "max_backups": 7,
            "note": "mine",
        },
    ):
        body = {"name": "s", "operation_type": "retention_protect", "trigger_id": made["id"]}
        answer = member(
            "POST",
            "scheduled_operations",
            {"scheduled_operation": body | {"operation_definition": definition}},
        )
        assert answer.status == 200, answer.body
        assert answer.body["scheduled_operation"]["operation_definition"] == {
            "provider_id": NOOP,
            "plan_id": plan["id"],
            "max_backups": 7,
            "note": "mine",
        }


def test_scheduled_operations_that_cannot_be(member: User, service: Running) -> None:
    plan, made = member.plan(), trigger(member)
    good = {
        "name": "s",
        "operation_type": "retention_protect",
        "trigger_id": made["id"],
        "operation_definition": {"provider_id": NOOP, "plan_id": plan["id"]},
    }
    foreign = service.user(project=OTHER)
    nowhere = str(uuid.uuid4())
    definition = good["operation_definition"]
    for change, status in (
        ({"operation_type": "restore"}, 400),
        ({"name": " "}, 400),
        ({"trigger_id": "x"}, 400),
        ({"trigger_id": nowhere}, 404),
        ({"trigger_id": trigger(foreign)["id"]}, 404),
        ({"operation_definition": {"plan_id": plan["id"]}}, 400),
        ({"operation_definition": "nonsense"}, 400),
        ({"operation_definition": definition | {"plan_id": "x"}}, 400),
        ({"operation_definition": definition | {"plan_id": nowhere}}, 404),
        ({"operation_definition": definition | {"plan_id": foreign.plan()["id"]}}, 404),
        ({"operation_definition": definition | {"provider_id": DEFAULT}}, 400),
        ({"operation_definition": definition | {"max_backups": "many"}}, 400),
        ({"operation_definition": definition | {"keep_daily": -2}}, 400),
        ({"enabled": False}, 400),
    ):
        answer = member("POST", "scheduled_operations", {"scheduled_operation": good | change})
        assert answer.status == status, (change, answer.body)
    assert service.authority.granted == service.authority.revoked


def test_disabled_and_enabled_again(member: User, service: Running) -> None:
    made = trigger(member)
    one = scheduled(member, member.plan(), made["id"])
    path = f"scheduled_operations/{one['id']}"
    off = member("PUT", path, {"scheduled_operation": {"enabled": False, "name": "n"}}).body
    assert off["scheduled_operation"] == one | {"enabled": False, "next_run_at": None, "name": "n"}
    on = service.user(name="another")("PUT", path, {"scheduled_operation": {"enabled": True}}).body
    assert on["scheduled_operation"] == one | {"name": "n"}
    # It acts for who has enabled it, and for nobody else any more.
    assert service.authority.granted == ["tester 0", "another 1"]
    assert service.authority.revoked == ["tester 0"]
    assert member("PUT", path, {"scheduled_operation": {}}).status == 400


def test_a_trust_of_a_schedule_that_was_never_written_down_is_given_back(
    member: User, service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, plan = trigger(member), member.plan()
    kept = scheduled(member, plan, made["id"])
    grants = service.deployment.grants
    assert grants.intents.older_than(-timedelta(hours=1)) == []
    with monkeypatch.context() as dead:
        # The process ends between the trust and the row: nobody is left to give back either.
        dead.setattr(Grants, "_give_back", lambda *_given: None)
        dead.setattr(Grant, "settle", _die)
        definition = {"provider_id": NOOP, "plan_id": plan["id"]}
        body = {
            "name": "s", "operation_type": "protect", "trigger_id": made["id"],
            "operation_definition": definition,
        }  # fmt: skip
        path = f"scheduled_operations/{kept['id']}"
        for user, method, where, what in (
            ("dead 1", "POST", "scheduled_operations", body),
            ("dead 2", "PUT", path, {"enabled": True}),
        ):
            with pytest.raises(SystemExit):
                service.user(name=user)(method, where, {"scheduled_operation": what})
    assert len(member("GET", "scheduled_operations").body["operations"]) == 1
    assert service.authority.granted == ["tester 0", "dead 1 1", "dead 2 2"]
    with service.deployment.database.session() as session:
        session.execute(update(GrantRow).values(created_at=now() - ABANDONED - timedelta(seconds=1)))
    grants.sweep()
    assert service.authority.revoked == ["dead 1 1", "dead 2 2"]
    assert grants.intents.older_than(-timedelta(hours=1)) == []


def _die(*_given: Any) -> None:
    raise SystemExit


def test_a_changed_trigger_changes_the_next_run(member: User) -> None:
    made = trigger(member)
    one = scheduled(member, member.plan(), made["id"])
    properties = DAILY | {"pattern": "0 2 1 1 *"}
    assert member("PUT", f"triggers/{made['id']}", {"trigger_info": {"properties": properties}}).status == 200
    found = member("GET", f"scheduled_operations/{one['id']}").body["scheduled_operation"]
    assert found["next_run_at"].endswith("-01-01 02:00:00")


def test_scheduled_operations_are_listed_by_what_they_are(member: User) -> None:
    made, other, plan = trigger(member), trigger(member), member.plan()
    one = scheduled(member, plan, made["id"])
    two = scheduled(member, plan, other["id"], "retention_protect", note="findme")
    for query, wanted in {
        "operation_type=protect": [one],
        f"trigger_id={other['id']}": [two],
        "operation_definition=findme": [two],
        "name=s&sort=created_at:asc": [one, two],
        "name=t": [],
    }.items():
        assert member("GET", f"scheduled_operations?{query}").body["operations"] == wanted, query
    assert "operations_links" in member("GET", "scheduled_operations?limit=1").body


# --- running


def ran(user: User, one: Any, *states: str, count: int = 1) -> Any:
    """The scheduled operation, when so many of its runs have ended."""

    def enough(found: Any) -> bool:
        ended = [run for run in found["last_runs"] if run["ended_at"]]
        return len(ended) >= count

    found = user.until(f"scheduled_operations/{one['id']}", enough)
    assert [run["state"] for run in found["last_runs"]] == list(states or ("succeeded",)), found
    return found


def run_now(user: User, one: Any) -> None:
    assert user("POST", f"scheduled_operations/{one['id']}/action", {"run": {}}).status == 200


def test_run_now_makes_a_checkpoint_that_says_who_made_it(working: Running) -> None:
    user = working.user()
    plan, made = user.plan(), trigger(user)
    one = scheduled(user, plan, made["id"])
    run_now(user, one)
    run = ran(user, one)["last_runs"][0]
    assert run["manual"] is True
    path = f"providers/{NOOP}/checkpoints/{run['checkpoint_id']}"
    checkpoint = user("GET", path).body["checkpoint"]
    assert checkpoint["status"] == "available"
    assert json.loads(checkpoint["extra_info"]) == {
        "created_by": "operation-engine",
        "trigger_id": made["id"],
        "scheduled_operation_id": one["id"],
    }
    log = user("GET", f"operation_logs/{run['operation_id']}").body["operation_log"]
    assert log["scheduled_operation_id"] == one["id"]
    assert log["status"] == "available"
    # One trust for the schedule, none for its runs.
    assert working.authority.granted == ["tester 0"]
    assert working.authority.revoked == []
    user("DELETE", f"scheduled_operations/{one['id']}")
    assert working.all_given_back()


def test_a_due_firing_runs_by_itself(working: Running) -> None:
    user = working.user()
    one = scheduled(user, user.plan(), trigger(user)["id"])
    due(working, one, minutes_ago=1)
    run = ran(user, one)["last_runs"][0]
    assert run["manual"] is False
    assert user("GET", f"scheduled_operations/{one['id']}").body["scheduled_operation"]["next_run_at"]


def due(service: Running, one: Any, *, minutes_ago: int) -> datetime:
    """Have a schedule be due since some minutes."""
    moment = now().replace(microsecond=0) - timedelta(minutes=minutes_ago)
    with service.deployment.database.session() as session:
        session.get_one(ScheduleRow, one["id"]).next_due = moment
    return moment


def test_a_schedule_whose_authority_is_gone_says_so_in_words(working: Running) -> None:
    user = working.user()
    made = trigger(user)
    one = scheduled(user, user.plan(), made["id"], "retention_protect", max_backups=1)
    working.authority.gone.add("tester 0")
    run_now(user, one)
    found = ran(user, one, "failed")
    assert "the owner has left" in found["status_reason"]
    run = found["last_runs"][0]
    assert "the owner has left" in run["reason"]
    log = user("GET", f"operation_logs/{run['operation_id']}").body["operation_log"]
    assert log["status"] == "error"
    assert "the owner has left" in log["error_info"]
    assert log["scheduled_operation_id"] == one["id"]
    # Enabled again, by somebody who may, it works.
    body = {"scheduled_operation": {"enabled": True}}
    again = user("PUT", f"scheduled_operations/{one['id']}", body).body["scheduled_operation"]
    assert again["status_reason"] is None
    run_now(user, one)
    ran(user, one, "succeeded", "failed", count=2)


def test_a_schedule_says_that_it_cannot_run_before_it_is_due(working: Running) -> None:
    user = working.user()
    one = scheduled(user, user.plan(), trigger(user)["id"])
    working.authority.gone.add("tester 0")
    with working.deployment.database.session() as session:
        session.get_one(ScheduleRow, one["id"]).checked_at = now() - timedelta(hours=2)
    found = user.until(f"scheduled_operations/{one['id']}", lambda found: found["status_reason"])
    assert "the owner has left" in found["status_reason"]
    assert found["last_runs"] == []


def test_one_of_which_nobody_can_tell_does_not_keep_others_from_being_looked_at(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = service.user()
    made, plan = trigger(user), user.plan()
    several = [scheduled(user, plan, made["id"]) for _ in range(12)]
    known = service.authority.check

    def check(granted: Any) -> None:
        if granted["id"] != "tester 11":
            raise CloudError("the identity service does not answer")
        known(granted)

    monkeypatch.setattr(service.authority, "check", check)
    service.authority.gone.add("tester 11")
    with service.deployment.database.session() as session:
        for age, one in enumerate(reversed(several)):
            moment = now() - timedelta(hours=2, minutes=age)
            session.get_one(ScheduleRow, one["id"]).checked_at = moment
    runner = make_runner(service.deployment)
    runner.look()
    runner.look()
    found = user("GET", f"scheduled_operations/{several[-1]['id']}").body["scheduled_operation"]
    assert "the owner has left" in found["status_reason"]
    for one in several[:-1]:
        assert not user("GET", f"scheduled_operations/{one['id']}").body["scheduled_operation"][
            "status_reason"
        ]


def test_a_plan_in_use_stays_and_a_schedule_without_its_plan_fails_in_words(working: Running) -> None:
    """first-user 1.7: a plan was deleted though an enabled schedule used it, and nothing said so."""
    user = working.user()
    plan = user.plan()
    one = scheduled(user, plan, trigger(user)["id"])
    path = f"scheduled_operations/{one['id']}"
    refused = user("DELETE", f"plans/{plan['id']}")
    assert refused.status == 409
    assert "in use by the schedule s" in refused.message
    assert user("GET", f"plans/{plan['id']}").status == 200
    assert user("PUT", path, {"scheduled_operation": {"enabled": False}}).body["scheduled_operation"][
        "status_reason"
    ] in (None, "")
    assert user("DELETE", f"plans/{plan['id']}").status == 200
    assert user("GET", path).body["scheduled_operation"]["status_reason"] == "its plan is gone"
    (listed,) = user("GET", "scheduled_operations").body["operations"]
    assert listed["status_reason"] == "its plan is gone"
    assert user("PUT", path, {"scheduled_operation": {"enabled": True}}).status == 404
    definition = {"provider_id": plan["provider_id"], "plan_id": plan["id"]}
    body = {"name": "t", "operation_type": "protect", "trigger_id": one["trigger_id"]}
    body |= {"operation_definition": definition}
    assert user("POST", "scheduled_operations", {"scheduled_operation": body}).status == 404
    run_now(user, one)
    run = ran(user, one, "failed")["last_runs"][0]
    assert f"Plan {plan['id']} could not be found" in run["reason"]


def test_retention_deletes_the_oldest_and_says_why(working: Running) -> None:
    user = working.user()
    plan = user.plan()
    old = [user.protected(plan)["id"] for _ in range(3)]
    one = scheduled(
        user, plan, trigger(user)["id"], "retention_protect", max_backups="2", include_manual="true"
    )
    path = f"scheduled_operations/{one['id']}"
    preview = user("GET", f"{path}/retention").body["retention"]
    assert preview["rules"] == {"max_backups": 2}
    assert [(item["id"], item["keep"], item["rule"]) for item in preview["checkpoints"]] == [
        (old[2], True, "within the rules"),
        (old[1], False, "max_backups: 2 newer ones"),
        (old[0], False, "max_backups: 2 newer ones"),
    ]
    checkpoints = f"providers/{NOOP}/checkpoints"
    assert user("PUT", f"{checkpoints}/{old[0]}/hold", {"hold": {"reason": "court"}}).status == 200
    run_now(user, one)
    run = ran(user, one)["last_runs"][0]
    (deletion,) = run["deletions"]
    assert (deletion["checkpoint_id"], deletion["state"]) == (old[1], "deleted")
    assert deletion["rule"] == "max_backups: 2 newer ones"
    left = user("GET", f"{checkpoints}?plan_id={plan['id']}").body["checkpoints"]
    assert {item["id"] for item in left} == {old[0], old[2], run["checkpoint_id"]}
    log = user("GET", f"operation_logs/{deletion['operation_id']}").body["operation_log"]
    assert (log["operation_type"], log["scheduled_operation_id"]) == ("delete", one["id"])


def test_a_plain_protection_deletes_nothing(working: Running) -> None:
    user = working.user()
    plan = user.plan()
    old = user.protected(plan)["id"]
    one = scheduled(user, plan, trigger(user)["id"], "protect", max_backups=1)
    run_now(user, one)
    assert ran(user, one)["last_runs"][0]["deletions"] == []
    assert user("GET", f"providers/{NOOP}/checkpoints/{old}").body["checkpoint"]["status"] == "available"


def test_a_full_quota_fails_the_protection_but_not_the_retention(working: Running) -> None:
    user = working.user()
    plan = user.plan()
    for _ in range(2):
        user.protected(plan)
    admin = working.user(roles="admin")
    assert admin("PUT", f"quotas/{user.project}", {"quota": {"checkpoints": 2}}).status == 200
    one = scheduled(user, plan, trigger(user)["id"], "retention_protect", max_backups=1, include_manual=True)
    run_now(user, one)
    run = ran(user, one, "failed")["last_runs"][0]
    assert "checkpoints" in run["reason"]
    assert [item["state"] for item in run["deletions"]] == ["deleted"]


# --- what may not be deleted


def test_a_checkpoint_on_hold_cannot_be_deleted(working: Running) -> None:
    user = working.user()
    checkpoint = user.protected()
    path = f"providers/{NOOP}/checkpoints/{checkpoint['id']}"
    assert user("GET", f"{path}/hold").status == 404
    placed = user("PUT", f"{path}/hold", {"hold": {"reason": "case 12"}}).body["hold"]
    assert (placed["reason"], placed["user_id"]) == ("case 12", "tester")
    assert user("GET", f"{path}/hold").body == {"hold": placed}
    refusal = user("DELETE", path)
    assert refusal.status == 409
    assert "case 12" in refusal.message
    assert user("DELETE", f"{path}/hold").status == 403
    assert working.user(roles="manager")("DELETE", f"{path}/hold").status == 200
    assert user("DELETE", path).status == 200


def test_only_an_administrator_shortens_the_minimum_retention(tmp_path: Path) -> None:
    running = run_service(tmp_path, schedules__minimum_retention=24)
    try:
        running.work()
        user = running.user()
        plan = user.plan()
        old = [user.protected(plan)["id"] for _ in range(2)]
        answer = user("DELETE", f"providers/{NOOP}/checkpoints/{old[0]}")
        assert answer.status == 409
        assert "24 hours" in answer.message
        one = scheduled(
            user, plan, trigger(user)["id"], "retention_protect", max_backups=1, include_manual=True
        )
        run_now(user, one)
        assert ran(user, one)["last_runs"][0]["deletions"] == []
        admin = running.user(roles="admin")
        assert admin("DELETE", f"providers/{NOOP}/checkpoints/{old[0]}").status == 200
    finally:
        running.close()


def test_options_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="contradicts"):
        run_service(tmp_path, schedules__min_interval=3599)

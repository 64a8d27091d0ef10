"""Operations over the wire: progress, events, cancelling, parking, resuming; dry runs; upkeep of banks."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from api_helpers import NOOP, OTHER, Running, User
from keystoneauth1.exceptions import Conflict as KeystoneConflict
from keystoneauth1.exceptions import GatewayTimeout
from sqlalchemy import update

from refloat.cloud.authority import Caller
from refloat.control.grants import ABANDONED
from refloat.errors import CloudError, RefloatError
from refloat.operations.protect import ProtectProgram
from refloat.records.tables import GrantRow
from refloat.resources.noop import NoopHooks, NoopProtect, NoopRestore

ADMIN = "admin,manager,member,reader"
CHECKPOINTS = f"providers/{NOOP}/checkpoints"
ENDED = ("succeeded", "failed", "cancelled", "parked")


def ended(user: User, operation_id: str, *states: str) -> Any:
    """The operation, once it has ended, or is in one of some states."""
    return user.until(f"operations/{operation_id}", lambda found: found["status"] in (states or ENDED))


def act(user: User, operation_id: str, action: str, status: int = 200) -> Any:
    answer = user("POST", f"operations/{operation_id}/action", {action: None})
    assert answer.status == status, answer.body
    return answer.body["operation"] if status == 200 else answer.message


def wanted(checkpoint: Any, **more: Any) -> dict[str, Any]:
    return {"provider_id": NOOP, "checkpoint_id": checkpoint["id"], **more}


class Gate:
    """Holds a hook until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, hooks: type[NoopHooks] = NoopProtect) -> None:
        self.reached, self._open = threading.Event(), threading.Event()
        original = hooks.on_main

        def held(hook: Any, context: Any) -> Any:
            self.reached.set()
            self._open.wait(60)
            return original(hook, context)

        monkeypatch.setattr(hooks, "on_main", held)

    def open(self) -> None:
        self._open.set()


def test_how_far_an_operation_is(working: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    member = working.user()
    gate = Gate(monkeypatch)
    made = member.protect(member.plan(size=3))
    assert gate.reached.wait(60)
    found = member.until("operations", lambda found: found[0]["progress"]["running"] > 0)
    (operation,) = found
    assert (operation["type"], operation["status"], operation["dry_run"]) == ("protect", "running", False)
    assert (operation["checkpoint_id"], operation["plan_name"]) == (made["id"], "app")
    shown = member.until(f"operations/{operation['id']}", lambda found: len(found["active"]) == 3)
    assert {line["resource"] for line in shown["active"]} == {
        f"Refloat::Noop#tree-3{x}" for x in ("", "-1", "-2")
    }
    assert {line["status"] for line in shown["resources"]} == {"running"}
    assert shown["progress"]["steps"] == 12
    gate.open()
    done = ended(member, operation["id"])
    assert (done["status"], done["progress"]["percent"], done["error"]) == ("succeeded", 100, None)
    assert len(done["resources"]) == 3
    events = member("GET", f"operations/{operation['id']}/events").body
    assert events["total"] == 14  # preparing and finishing besides
    assert events["events"][0]["step"] == "prepare"
    assert {line["status"] for line in events["events"]} == {"done"}
    assert all(line["time"] for line in events["events"])
    some = member("GET", f"operations/{operation['id']}/events?limit=2&offset=1").body["events"]
    assert some == events["events"][1:3]


def test_lists_of_operations(working: Running) -> None:
    member = working.user()
    checkpoint = member.protected()
    restore = member("POST", "restores", {"restore": wanted(checkpoint, parameters={})}).body["restore"]
    ended(member, restore["id"])
    dry = {"operation": wanted(checkpoint, type="restore", dry_run=True)}
    plan = member("POST", "operations", dry).body["operation"]
    ended(member, plan["id"])

    def ids(query: str) -> list[str]:
        return [found["id"] for found in member("GET", f"operations?{query}").body["operations"]]

    everything = ids("")
    assert everything[:2] == [plan["id"], restore["id"]]
    assert ids("dry_run=true") == [plan["id"]]
    assert ids("dry_run=false") == everything[1:]
    assert ids("type=restore") == everything[:2]
    assert ids("type=restore&dry_run=0") == [restore["id"]]
    assert ids("status=succeeded") == everything
    assert ids("status=running") == []
    assert ids(f"checkpoint_id={checkpoint['id']}&limit=1") == everything[:1]
    assert ids(f"plan_id={uuid.uuid4()}") == []
    for wrong in ("type=nonsense", "status=nonsense", "dry_run=perhaps"):
        assert member("GET", f"operations?{wrong}").status == 400
    # Dry runs are no restores, and nothing that was done.
    assert [found["id"] for found in member("GET", "restores").body["restores"]] == [restore["id"]]
    assert len(member("GET", "operation_logs").body["operation_logs"]) == 2
    assert member("GET", f"operation_logs/{plan['id']}").status == 404
    assert member("GET", f"restores/{plan['id']}").status == 404
    assert working.user(project=OTHER)("GET", "operations").body == {"operations": []}


def test_a_dry_run_of_a_restore(working: Running) -> None:
    member = working.user()
    checkpoint = member.protected()
    parameters = {"Refloat::Noop": {"restore_name": "new {name}"}}
    only = ["Refloat::Noop#tree-5-1"]
    body = wanted(checkpoint, type="restore", dry_run=True, parameters=parameters, only=only)
    begun = member("POST", "operations", {"operation": body}).body["operation"]
    assert (begun["type"], begun["dry_run"]) == ("restore", True)
    found = ended(member, begun["id"])
    assert found["status"] == "succeeded"
    assert (found["result"]["possible"], found["result"]["problems"]) == (True, [])
    (line,) = [item for item in found["result"]["resources"] if item["source_id"] == "tree-5-1"]
    assert line["action"] == "create"
    assert line["name"].startswith("new ")
    assert "tree-5" not in {item["source_id"] for item in found["result"]["resources"]}
    for wrong in (
        {"only": ["Refloat::Noop#nothing"]},
        {"parameters": {"Refloat::Noop": {"nonsense": 1}}},
        {"parameters": {"OS::Nova::Server": {}}},
        {"dry_run": False},
        {"type": "protect"},
        {"checkpoint_id": str(uuid.uuid4())},
    ):
        answer = member("POST", "operations", {"operation": {**body, **wrong}})
        assert answer.status in (400, 404), wrong
    assert working.all_given_back()


def test_a_dry_run_of_a_deletion(working: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    member = working.user()
    checkpoint = member.protected()
    body = {"operation": wanted(checkpoint, type="delete", dry_run=True)}
    found = ended(member, member("POST", "operations", body).body["operation"]["id"])
    assert found["status"] == "succeeded", found
    assert (found["result"]["possible"], found["result"]["copies"]) == (True, [])
    assert len(found["result"]["resources"]) == 5

    def refuse(_self: Any, _context: Any) -> Any:
        raise CloudError("somebody needs it")

    monkeypatch.setattr(NoopHooks, "on_prepare_begin", refuse)
    found = ended(member, member("POST", "operations", body).body["operation"]["id"])
    assert found["result"]["possible"] is False
    assert "somebody needs it" in found["result"]["problems"][0]
    assert member("GET", f"{CHECKPOINTS}/{checkpoint['id']}").body["checkpoint"]["status"] == "available"


def test_cancelling_what_runs(working: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    member = working.user()
    gate = Gate(monkeypatch)
    made = member.protect(member.plan())
    assert gate.reached.wait(60)
    (operation,) = member("GET", "operations").body["operations"]
    assert act(member, operation["id"], "cancel")["status"] == "cancelling"
    act(member, operation["id"], "cancel", 409)
    act(member, operation["id"], "park", 409)
    gate.open()
    found = ended(member, operation["id"])
    assert found["status"] == "cancelled"
    checkpoint = member.until(f"{CHECKPOINTS}/{made['id']}", lambda found: found["status"] == "error")
    assert "cancelled" in checkpoint["error_info"]
    act(member, operation["id"], "cancel", 409)
    act(member, operation["id"], "resume", 409)
    assert working.all_given_back()


def test_cancelling_what_has_not_begun(service: Running) -> None:
    member = service.user()
    member.protect(member.plan())
    (operation,) = member("GET", "operations").body["operations"]
    assert operation["status"] == "starting"
    act(member, operation["id"], "cancel")
    service.work()
    assert ended(member, operation["id"])["status"] == "cancelled"
    assert service.all_given_back()


def test_parking_and_resuming(working: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    member = working.user()
    gate = Gate(monkeypatch)
    made = member.protect(member.plan())
    assert gate.reached.wait(60)
    (operation,) = member("GET", "operations").body["operations"]
    assert act(member, operation["id"], "park")["status"] == "stopping"
    gate.open()
    assert ended(member, operation["id"])["status"] == "parked"
    assert member("GET", f"{CHECKPOINTS}/{made['id']}").body["checkpoint"]["status"] == "protecting"
    act(member, operation["id"], "park", 409)
    # It stays so, whoever comes and goes.
    working.workers.pop().close()
    worker = working.work()
    for _round in range(3):
        worker.work()
    assert member("GET", f"operations/{operation['id']}").body["operation"]["status"] == "parked"
    assert act(member, operation["id"], "resume")["status"] == "starting"
    found = ended(member, operation["id"], "succeeded", "failed")
    assert (found["status"], found["attempt"]) == ("succeeded", 2)
    member.until(f"{CHECKPOINTS}/{made['id']}", lambda found: found["status"] == "available")
    assert working.all_given_back()


def test_parking_what_has_not_begun(service: Running) -> None:
    member = service.user()
    member.protect(member.plan())
    (operation,) = member("GET", "operations").body["operations"]
    act(member, operation["id"], "park")
    service.work()
    assert ended(member, operation["id"])["status"] == "parked"
    act(member, operation["id"], "resume")
    assert ended(member, operation["id"], "succeeded")["attempt"] == 1


def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Have restores fail; returns what mends it."""
    original = NoopRestore.on_main
    state = {"broken": True}

    def fail(self: Any, context: Any) -> Any:
        if state["broken"] and context.resource.id == "tree-5":
            raise ValueError("no room")
        return original(self, context)

    monkeypatch.setattr(NoopRestore, "on_main", fail)
    return lambda: state.update(broken=False)


def test_a_restore_that_is_kept_when_it_fails(working: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    member = working.user()
    checkpoint = member.protected()
    mend = broken(monkeypatch)
    body = {"restore": wanted(checkpoint, parameters={}, keep_on_failure=True)}
    restore = member("POST", "restores", body).body["restore"]
    found = ended(member, restore["id"])
    assert found["status"] == "parked"
    assert "no room" in found["error_info"]
    failed = [line for line in found["resources"] if line["status"] == "failed"]
    assert [line["id"] for line in failed] == ["tree-5"]
    assert "no room" in failed[0]["reason"]
    assert found["error"]["reason"] or found["error"]["message"]
    assert member("GET", f"restores/{restore['id']}").body["restore"]["status"] == "in_progress"
    mend()
    act(member, restore["id"], "resume")
    found = ended(member, restore["id"], "succeeded", "failed")
    assert (found["status"], found["error"]) == ("succeeded", None)
    assert {line["status"] for line in found["resources"]} == {"created"}
    assert all(line["new_id"] for line in found["resources"])
    assert working.all_given_back()


def test_a_restore_that_fails_tells_of_each_resource(
    working: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = working.user()
    checkpoint = member.protected()
    broken(monkeypatch)
    body = {"restore": wanted(checkpoint, parameters={})}
    restore = member("POST", "restores", body).body["restore"]
    found = ended(member, restore["id"])
    assert found["status"] == "failed"
    by_id = {line["id"]: line for line in found["resources"]}
    assert by_id["tree-5"]["status"] == "failed"
    assert {line["status"] for line in found["resources"]} <= {"failed", "removed", "skipped", "stopped"}
    events = member("GET", f"operations/{restore['id']}/events").body["events"]
    (failure,) = [event for event in events if event["status"] == "failed" and event["resource"]]
    assert (failure["resource"], failure["hook"]) == ("Refloat::Noop#tree-5", "on_main")
    assert "no room" in failure["reason"]


@pytest.mark.parametrize("action", [{"info": None}, {"verify": None}, {"collect": None}])
def test_looking_after_a_bank_makes_none(working: Running, action: Any) -> None:
    bank = Path(working.deployment.settings.bank.url)
    bank.rename(bank.with_name("away"))
    begun = working.user(roles=ADMIN)("POST", f"providers/{NOOP}/bank/action", action).body["operation"]
    found = ended(working.user(roles=ADMIN), begun["id"])
    assert found["status"] == "failed"
    assert "is not the bank it should be: expected: the bank" in str(RefloatError.from_json(found["error"]))
    assert not Path(working.deployment.settings.bank.url).exists()


def test_upkeep_of_a_bank(working: Running) -> None:
    member = working.user()
    member.protected()
    admin = working.user(roles=ADMIN)
    path = f"providers/{NOOP}/bank/action"
    results = {}
    for body in ({"info": None}, {"verify": {"depth": "existence"}}, {"verify": None}, {"collect": {}}):
        begun = admin("POST", path, body).body["operation"]
        found = ended(admin, begun["id"])
        assert found["status"] == "succeeded", found
        results[found["type"]] = found["result"]
        # It tells of all projects' checkpoints: not for others, even of the administrator's project.
        assert member("GET", f"operations/{begun['id']}").status == 404
    assert results["bank_info"]["checkpoints"] == 1
    assert (results["bank_verify"]["status"], results["bank_verify"]["depth"]) == ("good", "full")
    assert results["bank_collect"]["freed_bytes"] == 0
    assert member("GET", "operations?type=bank_info").body == {"operations": []}
    assert len(admin("GET", "operations?type=bank_verify").body["operations"]) == 2
    assert member("POST", path, {"info": None}).status == 403
    for wrong in ({}, {"repair": None}, {"info": None, "collect": None}, {"verify": {"sample": 0}}):
        assert admin("POST", path, wrong).status == 400


def test_what_was_granted_by_a_process_that_died_is_given_back(service: Running) -> None:
    grants, authority = service.deployment.grants, service.authority
    caller = Caller("tester", "p1")
    with grants.to(caller) as grant:
        grant.keep()  # nothing is done about it any more, and no operation was written down
    grants.sweep()
    assert authority.revoked == []  # somebody may still be at it
    with service.deployment.database.session() as session:
        before = datetime.now(UTC).replace(tzinfo=None) - ABANDONED - timedelta(seconds=1)
        session.execute(update(GrantRow).values(created_at=before))
    grants.sweep()
    assert authority.revoked == authority.granted
    assert grants.intents.older_than(timedelta()) == []


def test_a_listing_that_lacks_what_was_granted_forgets_nothing(service: Running) -> None:
    """An absence is not knowledge: what a listing lacks is looked for until it has ended by itself."""
    grants, authority = service.deployment.grants, service.authority
    for name in ("late", "ended"):
        with grants.to(Caller(name, "p1")) as grant:
            grant.keep()
    authority.unlisted = set(authority.granted)
    long_ago = datetime.now(UTC).replace(tzinfo=None) - ABANDONED - timedelta(seconds=1)
    with service.deployment.database.session() as session:
        session.execute(update(GrantRow).values(created_at=long_ago))
        session.execute(update(GrantRow).where(GrantRow.user_id == "ended").values(until=long_ago))
    grants.sweep()
    assert [intent.user_id for intent in grants.intents.older_than(timedelta())] == ["late"]
    authority.unlisted = set()
    grants.sweep()
    assert authority.revoked == ["late 0"]
    assert grants.intents.older_than(timedelta()) == []


def test_nothing_is_intended_any_more_once_an_operation_is_written_down(service: Running) -> None:
    member = service.user()
    member.protect(member.plan())
    assert service.deployment.grants.intents.older_than(-timedelta(hours=1)) == []


@pytest.mark.parametrize(("cause", "status"), [(None, 503), (GatewayTimeout(), 502)])
def test_an_identity_service_that_refuses_or_does_not_answer(
    service: Running, monkeypatch: pytest.MonkeyPatch, cause: Any, status: int
) -> None:
    """Nor does what a proxy says tell whether it was granted."""
    member = service.user()
    plan = member.plan()

    def away(_caller: Any, _until: Any = None) -> Any:
        raise CloudError("could not make a trust", reason="Unable to establish connection") from cause

    monkeypatch.setattr(service.authority, "grant", away)
    body = {"checkpoint": {"plan_id": plan["id"]}}
    answer = member("POST", CHECKPOINTS, body)
    assert answer.status == status
    assert status == 502 or int(answer.headers["retry-after"]) > 0
    # It may have made it all the same: a worker will look.
    assert len(service.deployment.grants.intents.older_than(-timedelta(hours=1))) == 1
    assert member("GET", CHECKPOINTS).body == {"checkpoints": []}


def test_another_trust_ends_in_the_same_second(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    grant, ends = service.authority.grant, []

    def refusing(caller: Any, until: Any = None) -> Any:
        ends.append(until)
        if len(ends) < 3:
            raise CloudError("could not make a trust") from KeystoneConflict("Duplicate entry")
        return grant(caller, until)

    monkeypatch.setattr(service.authority, "grant", refusing)
    member = service.user()
    service.work()
    member.protected()
    assert len(set(ends)) == 3
    assert service.all_given_back()
    assert service.deployment.grants.intents.older_than(timedelta()) == []


def test_a_protection_that_fails_when_its_checkpoint_is_in_the_bank_leaves_it(
    working: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not undone, and neither lost nor called an error: only the operation says what happened."""

    def refuse(_self: ProtectProgram) -> None:
        raise CloudError("the last thing that a protection does went wrong")

    monkeypatch.setattr(ProtectProgram, "hand_over", refuse)
    member = working.user()
    made = member.protect(member.plan())
    path = f"providers/{NOOP}/checkpoints/{made['id']}"
    shown = member.until(path, lambda checkpoint: checkpoint["status"] not in ("protecting", "deleting"))
    assert (shown["status"], shown["verified"]) == ("available", "never")
    (operation,) = member("GET", f"operations?checkpoint_id={made['id']}").body["operations"]
    assert operation["status"] == "failed"
    assert made["id"] in working.deployment.operations.get(operation["id"]).error["left_behind"]  # type: ignore[index]

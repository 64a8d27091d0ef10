"""Copies of checkpoints to another provider's bank, over the wire."""

from __future__ import annotations

import contextlib
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from api_helpers import DEFAULT, NOOP, OTHER, Running, User, run_service

from refloat.api.deployment import Deployment
from refloat.control.submit import Submitter
from refloat.errors import CloudError
from refloat.operations.copy import CopyProgram
from refloat.records.tables import CheckpointRow

AWAY = "b766f37c-d011-4026-8228-28730d734a3f"
HERE = f"providers/{NOOP}/checkpoints"
THERE = f"providers/{AWAY}/checkpoints"
ADMIN = "admin,manager,member,reader"


@pytest.fixture
def two_banks(tmp_path: Path) -> Iterator[Running]:
    """The service without a worker; the provider ``away`` has a bank of its own."""
    yield from service_with_two_banks(tmp_path, f"sqlite:///{tmp_path}/refloat.sqlite")


def service_with_two_banks(tmp_path: Path, url: str) -> Iterator[Running]:
    (tmp_path / "providers.d").mkdir()
    (tmp_path / "providers.d" / "away.conf").write_text(
        f"[provider]\nname = away\nid = {AWAY}\nplugin = karbor-noop-protection-plugin\n"
        "bank = karbor-fs-bank-plugin\nenabled = True\n\n"
        f"[file_system_bank_plugin]\nfile_system_bank_path = {tmp_path}/away\n"
    )
    running = run_service(tmp_path, database__connection=url)
    yield running
    running.close()


def copy(user: User, **wanted: Any) -> Any:
    return user("POST", f"{HERE}/action", {"copy": {"parameters": {"to": "away"}, **wanted}})


def status(user: User, path: str, *wanted: str) -> Any:
    return user.until(path, lambda found: found["status"] in wanted)


def test_a_plans_checkpoints_are_copied(two_banks: Running) -> None:
    worker = two_banks.work()
    member = two_banks.user()
    plan = member.plan()
    made = [member.protected(plan)["id"] for _each in range(2)]
    member.protected(member.plan("another"))
    worker.close()
    two_banks.workers.clear()

    answer = copy(member, plan_id=plan["id"])
    assert answer.status == 200, answer.body
    copied = answer.body["copy"]
    assert (copied["provider_id"], copied["plan_id"]) == (NOOP, plan["id"])
    assert copied["parameters"] == {"to": "away"}
    assert [pair["checkpoint_protect_id"] for pair in copied["checkpoint_id"]] == made
    copies = [pair["checkpoint_copy_id"] for pair in copied["checkpoint_id"]]
    for identity in copies:
        waiting = member("GET", f"{THERE}/{identity}").body["checkpoint"]
        assert (waiting["status"], waiting["protection_plan"]["id"]) == ("wait_copying", plan["id"])
    logs = member("GET", "operation_logs?status=copying").body["operation_logs"]
    assert [(log["operation_type"], log["status"]) for log in logs] == [("copy", "wait_copying")] * 2
    assert copy(member, plan_id=plan["id"]).status == 400  # they are on their way
    assert member("DELETE", f"{HERE}/{made[0]}").status == 409
    assert member("DELETE", f"{THERE}/{copies[0]}").status == 409

    two_banks.work()
    for original, identity in zip(made, copies, strict=True):
        done = status(member, f"{THERE}/{identity}", "available", "error")
        assert done["status"] == "available", done
        assert done["copied_from"] == {"checkpoint_id": original, "provider_id": NOOP}
        assert json.loads(done["extra_info"])["copy_status"] == "finished"
        maker = member("GET", f"operations/{done['operation_id']}").body["operation"]
        assert (maker["type"], maker["copy_id"]) == ("copy", identity)
        first = member("GET", f"{HERE}/{original}").body["checkpoint"]
        assert (first["status"], first["copied_from"]) == ("available", None)
        maker = member("GET", f"operations/{first['operation_id']}").body["operation"]
        assert (maker["type"], maker["checkpoint_id"]) == ("protect", original)
        assert done["resource_graph"] == first["resource_graph"]
    logs = member("GET", "operation_logs?limit=2").body["operation_logs"]
    assert {(log["operation_type"], log["status"]) for log in logs} == {("copy", "available")}
    assert {log["checkpoint_id"] for log in logs} == set(made)
    assert {json.loads(log["extra_info"])["checkpoint_copy_id"] for log in logs} == set(copies)
    assert "every available checkpoint is there" in copy(member, plan_id=plan["id"]).message

    # The copy is a checkpoint by itself, also when the original is gone.
    assert member("DELETE", f"{HERE}/{made[0]}").status == 200
    status(member, f"{HERE}/{made[0]}", "deleted")
    run = {"provider_id": AWAY, "checkpoint_id": copies[0], "parameters": {}}
    restore = member("POST", "restores", {"restore": run}).body["restore"]
    assert status(member, f"restores/{restore['id']}", "success", "fail")["status"] == "success"
    # Deleted, it can be made again, under its old id.
    assert member("DELETE", f"{THERE}/{copies[1]}").status == 200
    status(member, f"{THERE}/{copies[1]}", "deleted")
    again = copy(member, checkpoint_id=made[1]).body["copy"]["checkpoint_id"]
    assert again == [{"checkpoint_protect_id": made[1], "checkpoint_copy_id": copies[1]}]
    status(member, f"{THERE}/{copies[1]}", "available")
    assert two_banks.all_given_back()


def test_a_copy_of_a_copy_back_is_there_already(two_banks: Running) -> None:
    two_banks.work()
    member = two_banks.user()
    original = member.protected()["id"]
    (pair,) = copy(member, checkpoint_id=original).body["copy"]["checkpoint_id"]
    status(member, f"{THERE}/{pair['checkpoint_copy_id']}", "available")
    body = {"copy": {"checkpoint_id": pair["checkpoint_copy_id"], "parameters": {"to": NOOP}}}
    answer = member("POST", f"{THERE}/action", body)
    assert answer.status == 400
    assert "nothing to copy" in answer.message


def test_what_is_not_copied(two_banks: Running) -> None:
    two_banks.work()
    member = two_banks.user()
    plan = member.plan()
    assert "no available checkpoint" in copy(member, plan_id=plan["id"]).message
    checkpoint = member.protected(plan)
    for wanted, code, words in (
        ({"plan_id": str(uuid.uuid4())}, 404, "Plan"),
        ({"checkpoint_id": str(uuid.uuid4())}, 404, "Checkpoint"),
        ({}, 400, "copy"),
        ({"plan_id": plan["id"], "parameters": {}}, 400, "'to'"),
        ({"plan_id": plan["id"], "parameters": {"to": "nowhere"}}, 400, "nowhere"),
        ({"plan_id": plan["id"], "parameters": {"to": DEFAULT}}, 409, "the bank that this one is in"),
        ({"plan_id": plan["id"], "parameters": {"to": "away", "x": 1}}, 400, "x"),
        ({"plan_id": plan["id"], "checkpoint_id": str(uuid.uuid4())}, 404, ""),
    ):
        answer = copy(member, **wanted)
        assert answer.status == code, (wanted, answer.body)
        assert words in answer.message
    answer = member("POST", f"{THERE}/action", {"copy": {"plan_id": plan["id"], "parameters": {"to": NOOP}}})
    assert answer.status == 400
    assert "not of provider" in answer.message
    other = two_banks.user(project=OTHER)
    assert copy(other, plan_id=plan["id"]).status == 404
    assert copy(other, checkpoint_id=checkpoint["id"]).status == 404
    assert two_banks.user(roles="reader")("POST", f"{HERE}/action", {"copy": {}}).status == 403
    two_banks.user(roles=ADMIN)("PUT", f"quotas/{member.project}", {"quota": {"checkpoints": 1}})
    assert copy(member, plan_id=plan["id"]).status == 413
    assert member("GET", THERE).body == {"checkpoints": []}
    assert two_banks.authority.granted == two_banks.authority.revoked


def test_a_copy_that_fails_is_made_again(two_banks: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    two_banks.work()
    member = two_banks.user()
    checkpoint = member.protected()

    def fail(_self: Any, _prepared: Any, _run: Any) -> Any:
        raise CloudError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(CopyProgram, "finish", fail)
        (pair,) = copy(member, checkpoint_id=checkpoint["id"]).body["copy"]["checkpoint_id"]
        path = f"{THERE}/{pair['checkpoint_copy_id']}"
        failed = status(member, path, "available", "error")
    assert failed["status"] == "error"
    assert "the disk is full" in failed["error_info"]
    (log,) = member("GET", "operation_logs?status=error").body["operation_logs"]
    assert (log["operation_type"], log["checkpoint_id"]) == ("copy", checkpoint["id"])
    assert copy(member, checkpoint_id=checkpoint["id"]).status == 200
    assert status(member, path, "available", "error")["status"] == "available"


def test_a_dry_run_of_a_copy(two_banks: Running) -> None:
    two_banks.work()
    member = two_banks.user()
    checkpoint = member.protected()
    body = {
        "operation": {
            "type": "copy",
            "dry_run": True,
            "provider_id": NOOP,
            "checkpoint_id": checkpoint["id"],
            "parameters": {"to": AWAY},
        }
    }
    begun = member("POST", "operations", body).body["operation"]
    assert (begun["type"], begun["copy_provider_id"]) == ("copy", AWAY)
    found = status(member, f"operations/{begun['id']}", "succeeded", "failed")
    assert found["status"] == "succeeded", found
    assert (found["result"]["exists"], found["result"]["complete"]) == (False, True)
    assert member("GET", THERE).body == {"checkpoints": []}
    (pair,) = copy(member, checkpoint_id=checkpoint["id"]).body["copy"]["checkpoint_id"]
    assert pair["checkpoint_copy_id"] == found["result"]["id"]
    status(member, f"{THERE}/{pair['checkpoint_copy_id']}", "available")
    delete = {"operation": {**body["operation"], "type": "delete"}}
    assert member("POST", "operations", delete).status == 400
    del delete["operation"]["parameters"]
    begun = member("POST", "operations", delete).body["operation"]
    found = status(member, f"operations/{begun['id']}", "succeeded", "failed")
    (known,) = found["result"]["copies"]
    assert known == {
        "checkpoint_id": pair["checkpoint_copy_id"],
        "provider_id": AWAY,
        "would_lack": {},
    }


def test_copies_of_a_bank_are_found_again_without_the_database(two_banks: Running) -> None:
    worker = two_banks.work()
    member = two_banks.user()
    checkpoint = member.protected()
    (pair,) = copy(member, checkpoint_id=checkpoint["id"]).body["copy"]["checkpoint_id"]
    path = f"{THERE}/{pair['checkpoint_copy_id']}"
    before = status(member, path, "available")
    worker.close()
    two_banks.workers.clear()
    with two_banks.deployment.database.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM checkpoints")
    two_banks.work()
    member.until(THERE, lambda found: len(found) == 1)
    again = member("GET", path).body["checkpoint"]
    del again["protected_at"], before["protected_at"]  # the bank has noted when the worker began
    assert again == before
    assert copy(member, checkpoint_id=checkpoint["id"]).status == 400


def test_a_bank_that_does_not_answer(two_banks: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = two_banks.work()
    member = two_banks.user()
    checkpoint = member.protected()
    worker.close()

    def away(_self: Deployment, _provider: Any) -> Any:
        raise TimeoutError("the bank of provider away does not answer")

    monkeypatch.setattr(Deployment, "bank_of", away)
    answer = copy(member, checkpoint_id=checkpoint["id"])
    assert (answer.status, "does not answer" in answer.message) == (503, True)
    assert int(answer.headers["retry-after"]) > 0


def test_m4_a_copy_that_runs_cannot_be_set_to_error_and_wins_over_its_record(two_banks: Running) -> None:
    """Its quota was got round so: a copy that is in the bank, found by nobody and counted by nobody."""
    worker = two_banks.work()
    member = two_banks.user()
    made = member.protected()["id"]
    worker.close()
    two_banks.workers.clear()
    (pair,) = copy(member, checkpoint_id=made).body["copy"]["checkpoint_id"]
    path = f"{THERE}/{pair['checkpoint_copy_id']}"
    for state in ("error", "available"):
        refused = member("PUT", path, {"os-resetState": {"state": state}})
        assert refused.status == (409 if state == "error" else 400)
    assert member("GET", path).body["checkpoint"]["status"] == "wait_copying"
    with two_banks.deployment.database.session() as session:
        session.get_one(CheckpointRow, pair["checkpoint_copy_id"]).status = "deleted"
    two_banks.work()
    assert status(member, path, "available")
    # What is known of the original is not known of the copy, nor what was known of a former copy of this id.
    with two_banks.deployment.database.session() as session:
        for identity, verified in ((made, "good"), (pair["checkpoint_copy_id"], "bad")):
            session.get_one(CheckpointRow, identity).verified = verified
    assert member("DELETE", path).status == 200
    assert status(member, path, "deleted")
    assert copy(member, checkpoint_id=made).status == 200
    assert status(member, path, "available")["verified"] == "never"
    # Without an operation, such as when its row was lost, it can be set.
    with two_banks.deployment.database.session() as session:
        session.get_one(CheckpointRow, pair["checkpoint_copy_id"]).status = "copying"
    assert member("PUT", path, {"os-resetState": {"state": "error"}}).status == 200


@pytest.mark.postgresql
@pytest.mark.parametrize(
    ("first", "second", "answered", "becomes"),
    [
        ("copy", "reset", {"copy": 200, "reset": 409}, "wait_copying"),  # M4
        ("delete", "copy", {"delete": 200, "copy": 400}, "deleting"),  # H4: there is nothing to copy now
        ("copy", "delete", {"copy": 200, "delete": 409}, "wait_copying"),
    ],
)
def test_who_meets_what_is_being_written_down_of_a_copy_waits_and_is_refused(
    postgresql: Callable[[], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    first: str,
    second: str,
    answered: dict[str, int],
    becomes: str,
) -> None:
    with contextlib.contextmanager(service_with_two_banks)(tmp_path, postgresql()) as running:
        worker = running.work()
        member = running.user()
        made = member.protected()["id"]
        (pair,) = copy(member, checkpoint_id=made).body["copy"]["checkpoint_id"]
        path = f"{THERE}/{pair['checkpoint_copy_id']}"
        status(member, path, "available")
        worker.close()
        running.workers.clear()
        with running.deployment.database.session() as session:
            session.get_one(CheckpointRow, pair["checkpoint_copy_id"]).status = "error"
        within, go_on = threading.Event(), threading.Event()
        add = Submitter.add

        def slow(self: Submitter, *given: Any) -> Any:
            within.set()
            assert go_on.wait(60)
            return add(self, *given)

        monkeypatch.setattr(Submitter, "add", slow)
        answers: dict[str, int] = {}
        asks: dict[str, Callable[[], Any]] = {
            "copy": lambda: copy(running.user(), checkpoint_id=made),
            "reset": lambda: running.user()("PUT", path, {"os-resetState": {"state": "error"}}),
            "delete": lambda: running.user()("DELETE", path),
        }
        threads = {
            what: threading.Thread(target=lambda what=what: answers.update({what: asks[what]().status}))
            for what in (first, second)
        }
        threads[first].start()
        assert within.wait(60)
        threads[second].start()
        threads[second].join(1)
        assert threads[second].is_alive()  # it waits
        go_on.set()
        for thread in threads.values():
            thread.join(60)
        assert answers == answered
        assert member("GET", path).body["checkpoint"]["status"] == becomes

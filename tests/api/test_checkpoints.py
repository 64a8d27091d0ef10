"""Checkpoints, restores, verifications and operation logs over the wire, done by a worker in this process."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from api_helpers import DEFAULT, NOOP, OTHER, Running, User, run_service

from refloat.bank import Bank, load_key
from refloat.resources.noop import NoopHooks, NoopProtect, NoopVerify

PATH = f"providers/{NOOP}/checkpoints"


def test_creating_a_checkpoint_answers_before_anything_is_done(service: Running) -> None:
    member = service.user()
    plan = member.plan()
    made = member.protect(plan, {"why": "before the upgrade"})
    assert made["status"] == "protecting"
    assert json.loads(made["resource_graph"]) == [{}, []]
    assert made["protection_plan"]["id"] == plan["id"]
    assert made["protection_plan"]["name"] == "app"
    assert made["created_at"] == f"{datetime.now(UTC):%Y-%m-%d}"
    assert json.loads(made["extra_info"]) == {"created_by": "manual", "why": "before the upgrade"}
    assert member("GET", f"{PATH}/{made['id']}").body == {"checkpoint": made}
    assert member("GET", PATH).body == {"checkpoints": [made]}
    refused = member("DELETE", f"{PATH}/{made['id']}")
    assert refused.status == 409
    assert "protecting" in refused.message

    service.work()
    done = member.until(f"{PATH}/{made['id']}", lambda found: found["status"] != "protecting")
    assert done["status"] == "available"
    nodes, adjacency = json.loads(done["resource_graph"])
    assert {tuple(node[:2]) for node in nodes.values()} >= {("Refloat::Noop", "tree-5")}
    assert all(len(node) == 4 for node in nodes.values())
    complete: set[str] = set()
    for parent, children in adjacency:
        assert parent not in complete
        complete.update(children)
    assert service.all_given_back()


@pytest.mark.parametrize("extra", [{"extra-info": {"a": 1}}, {"extra_info": {"a": 1}}])
def test_both_spellings_of_extra_info(member: User, extra: dict[str, Any]) -> None:
    plan = member.plan()
    made = member("POST", PATH, {"checkpoint": {"plan_id": plan["id"], **extra}}).body["checkpoint"]
    assert json.loads(made["extra_info"])["a"] == 1


def test_extra_info_is_in_the_bank_too(working: Running) -> None:
    member = working.user()
    made = member.protect(member.plan(), {"ticket": 4711})
    member.until(f"{PATH}/{made['id']}", lambda found: found["status"] == "available")
    bank = working.workers[0]._bank_for("noop", False)
    assert bank.checkpoint(made["id"]).info.extra["extra_info"]["ticket"] == 4711


def test_what_makes_no_checkpoint(member: User) -> None:
    plan = member.plan()
    other = {"checkpoint": {"plan_id": plan["id"]}}
    answer = member("POST", f"providers/{DEFAULT}/checkpoints", other)
    assert answer.status == 400
    assert "not of provider" in answer.message
    assert member("POST", PATH, {"checkpoint": {"plan_id": str(uuid.uuid4())}}).status == 404
    assert member("POST", PATH, {"checkpoint": {}}).status == 400
    assert member("POST", f"providers/{uuid.uuid4()}/checkpoints", other).status == 404
    assert member("GET", PATH).body == {"checkpoints": []}


def test_from_checkpoint_to_restore_verification_and_deletion(working: Running) -> None:
    member = working.user()
    checkpoint = member.protected()
    wanted = {"provider_id": NOOP, "checkpoint_id": checkpoint["id"]}

    body = {"restore": {**wanted, "parameters": {}, "restore_target": None, "restore_auth": None}}
    restore = member("POST", "restores", body).body["restore"]
    assert restore["status"] == "in_progress"
    restored = member.until(f"restores/{restore['id']}", lambda found: found["status"] != "in_progress")
    assert restored["status"] == "success"
    assert len(restored["resources_status"]) == 5
    assert set(restored["resources_status"].values()) == {"available"}
    assert all(key.startswith("Refloat::Noop#") for key in restored["resources_status"])
    assert member("GET", "restores?status=success").body["restores"] == [restored]
    assert member("GET", "restores?status=fail").body["restores"] == []

    verification = member("POST", "verifications", {"verification": wanted}).body["verification"]
    assert verification["parameters"] == {}
    path = f"verifications/{verification['id']}"
    verified = member.until(path, lambda found: found["status"] != "in_progress")
    assert verified["status"] == "success"
    assert verified["resources_status"]["Refloat::Noop#tree-5"] == "available"
    assert member("GET", "verifications").body["verifications"] == [verified]

    gone = member("DELETE", f"{PATH}/{checkpoint['id']}")
    assert (gone.status, gone.body) == (200, {})
    member.until(f"{PATH}/{checkpoint['id']}", lambda found: found["status"] == "deleted")
    assert member("GET", PATH).body == {"checkpoints": []}
    assert member("DELETE", f"{PATH}/{checkpoint['id']}").status == 409
    assert member("POST", "restores", body).status == 409

    logs = member("GET", "operation_logs").body["operation_logs"]
    assert [(log["operation_type"], log["status"]) for log in logs] == [
        ("delete", "deleted"),
        ("verify", "success"),
        ("restore", "success"),
        ("protect", "available"),
    ]
    assert logs[2]["restore_id"] == restore["id"]
    assert {log["plan_id"] for log in logs} == {checkpoint["protection_plan"]["id"]}
    assert member("GET", f"operation_logs?restore_id={restore['id']}").body["operation_logs"] == [logs[2]]
    assert member("GET", "operation_logs?status=available").body["operation_logs"] == [logs[3]]
    assert member("GET", "operation_logs?status=nonsense").body["operation_logs"] == []
    assert member("GET", "operation_logs?status=success").body["operation_logs"] == logs[1:3]
    assert member("GET", "restores?status=nonsense").body["restores"] == []
    assert member("GET", "operation_logs?status=deleted").body["operation_logs"] == [logs[0]]
    assert member("GET", f"operation_logs/{logs[0]['id']}").body == {"operation_log": logs[0]}
    assert working.all_given_back()


def test_a_restored_name_by_parameter(working: Running) -> None:
    member = working.user()
    checkpoint = member.protected()
    wanted = {"provider_id": NOOP, "checkpoint_id": checkpoint["id"]}
    right = {"restore": {**wanted, "parameters": {"Refloat::Noop": {"restore_name": "new {name}"}}}}
    assert member("POST", "restores", right).status == 200
    for wrong in ({"Refloat::Noop": {"nonsense": 1}}, {"OS::Nova::Server": {"restore_name": "x"}}):
        answer = member("POST", "restores", {"restore": {**wanted, "parameters": wrong}})
        assert answer.status == 400
        body = {"verification": {**wanted, "parameters": {"Refloat::Noop": {"nonsense": 1}}}}
        assert member("POST", "verifications", body).status == 400
    assert len(working.authority.granted) == 2


def test_a_protection_that_fails(working: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_self: Any, _context: Any) -> Any:
        raise ValueError("the disk is on fire")

    monkeypatch.setattr(NoopProtect, "on_main", fail)
    member = working.user()
    made = member.protect(member.plan())
    path = f"{PATH}/{made['id']}"
    failed = member.until(path, lambda found: found["status"] != "protecting")
    assert failed["status"] == "error"
    assert "the disk is on fire" in failed["error_info"]
    (log,) = member("GET", "operation_logs").body["operation_logs"]
    assert (log["operation_type"], log["status"]) == ("protect", "error")
    assert "the disk is on fire" in log["error_info"]
    # There is nothing in it, whatever somebody says.
    assert member("PUT", path, {"os-resetState": {"state": "available"}}).status == 400
    assert member("DELETE", path).status == 200
    member.until(path, lambda found: found["status"] == "deleted")
    assert working.all_given_back()


def test_a_deletion_that_fails_can_be_tried_again(working: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    member = working.user()
    path = f"{PATH}/{member.protected()['id']}"

    def fail(_self: Any, _context: Any) -> Any:
        raise ValueError("it is locked")

    with monkeypatch.context() as patched:
        patched.setattr(NoopHooks, "on_main", fail)
        assert member("DELETE", path).status == 200
        failed = member.until(path, lambda found: found["status"] != "deleting")
    assert failed["status"] == "error-deleting"
    assert "it is locked" in failed["error_info"]
    assert member("DELETE", path).status == 200
    member.until(path, lambda found: found["status"] == "deleted")


def test_a_bad_verification(working: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    member = working.user()
    checkpoint = member.protected()
    monkeypatch.setattr(NoopVerify, "on_main", lambda _self, _context: {"ok": False, "reason": "rust"})
    wanted = {"provider_id": NOOP, "checkpoint_id": checkpoint["id"]}
    made = member("POST", "verifications", {"verification": wanted}).body["verification"]
    found = member.until(f"verifications/{made['id']}", lambda found: found["status"] != "in_progress")
    assert found["status"] == "fail"
    assert found["resources_status"]["Refloat::Noop#tree-5"] == "error"
    assert found["resources_reason"]["Refloat::Noop#tree-5"] == "rust"
    assert member("GET", "verifications?status=fail").body["verifications"] == [found]
    assert member("GET", "verifications?status=success").body["verifications"] == []
    (log,) = member("GET", "operation_logs?status=fail").body["operation_logs"]
    assert (log["operation_type"], log["verification_id"]) == ("verify", made["id"])


def test_resetting_the_state(working: Running) -> None:
    member = working.user()
    path = f"{PATH}/{member.protected()['id']}"

    def reset(state: Any) -> int:
        return member("PUT", path, {"os-resetState": {"state": state}}).status

    assert member("PUT", path, {"os-resetState": {"state": "error"}}).body == {}
    assert member("GET", path).body["checkpoint"]["status"] == "error"
    assert reset("available") == 200
    assert member("GET", path).body["checkpoint"]["status"] == "available"
    assert reset("deleted") == 400
    assert reset(None) == 400
    assert member("DELETE", path).status == 200
    member.until(path, lambda found: found["status"] == "deleted")
    assert reset("available") == 400


def test_a_checkpoint_in_use_is_not_deleted(service: Running) -> None:
    worker = service.work()
    member = service.user()
    checkpoint = member.protected()
    worker.close()
    service.workers.clear()
    wanted = {"provider_id": NOOP, "checkpoint_id": checkpoint["id"], "parameters": {}}
    assert member("POST", "restores", {"restore": wanted}).status == 200
    refused = member("DELETE", f"{PATH}/{checkpoint['id']}")
    assert refused.status == 409
    assert "in use" in refused.message
    assert member("GET", f"{PATH}/{checkpoint['id']}").body["checkpoint"]["status"] == "available"
    # What was granted for nothing is given back.
    assert service.authority.granted[-1] == service.authority.revoked[-1]


def test_another_worker_goes_on_where_one_has_ended(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    begun, go_on = threading.Event(), threading.Event()
    original = NoopProtect.on_main

    def slow(self: Any, context: Any) -> Any:
        begun.set()
        go_on.wait(30)
        return original(self, context)

    monkeypatch.setattr(NoopProtect, "on_main", slow)
    first = service.work()
    member = service.user()
    made = member.protect(member.plan())
    assert begun.wait(30)
    closing = threading.Thread(target=first.close)
    closing.start()
    go_on.set()
    closing.join()
    service.workers.clear()
    service.work()
    member.until(f"{PATH}/{made['id']}", lambda found: found["status"] == "available")


def test_lists_by_plan_day_and_page(working: Running) -> None:
    member = working.user()
    plans = [member.plan(name) for name in ("a", "b")]
    made = [member.protect(plan)["id"] for plan in plans * 2]
    today = f"{datetime.now(UTC):%Y-%m-%d}"

    def ids(query: str) -> list[str]:
        return [found["id"] for found in member("GET", f"{PATH}?{query}").body["checkpoints"]]

    assert ids("") == made[::-1]
    assert ids("sort=created_at:asc") == made
    assert ids("sort=created_at:asc&limit=2") == made[:2]
    assert ids(f"sort=created_at:asc&limit=2&marker={made[1]}") == made[2:]
    assert ids(f"plan_id={plans[0]['id']}&sort=created_at:asc") == made[::2]
    assert len(ids(f"start_date={today}")) == 4
    assert len(ids(f"start_date=2000-01-01&end_date={today}")) == 4
    assert ids("start_date=2000-01-01&end_date=2000-01-02") == []
    assert len(ids("end_date=2000-01-01")) == 4
    for wrong in ("start_date=today", "start_date=2000-13-01", "end_date=1"):
        assert member("GET", f"{PATH}?{wrong}").status == 400
    assert member("GET", f"providers/{DEFAULT}/checkpoints").body == {"checkpoints": []}


def test_checkpoints_of_a_bank_are_found_again_without_the_database(service: Running) -> None:
    worker = service.work()
    member = service.user()
    found = member.protected()
    worker.close()
    service.workers.clear()
    with service.deployment.database.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM checkpoints")
    assert member("GET", PATH).body == {"checkpoints": []}
    service.work()
    again = member.until(PATH, lambda checkpoints: len(checkpoints) == 1)
    # The bank knows when the work began, the service when it was asked for.
    assert again[0].pop("protected_at") >= found.pop("protected_at")
    assert again == [found]
    assert service.user(project=OTHER)("GET", PATH).body == {"checkpoints": []}


KARBOR_NOOP = "b766f37c-d011-4026-8228-28730d734a3f"


def test_a_provider_file_of_karbor(tmp_path: Path) -> None:
    (tmp_path / "providers.d").mkdir()
    (tmp_path / "providers.d" / "noop.conf").write_text(
        f"[provider]\nname = Noop Provider\nid = {KARBOR_NOOP}\nplugin = karbor-noop-protection-plugin\n"
        "bank = karbor-fs-bank-plugin\nenabled = True\n\n"
        f"[file_system_bank_plugin]\nfile_system_bank_path = {tmp_path}/other\n"
    )
    running = run_service(tmp_path)
    running.work()
    member = running.user()
    made = member.protect(member.plan(provider=KARBOR_NOOP))
    path = f"providers/{KARBOR_NOOP}/checkpoints/{made['id']}"
    member.until(path, lambda found: found["status"] == "available")
    assert (tmp_path / "other" / "refloat-karbor").is_dir()
    assert member("GET", PATH).body == {"checkpoints": []}
    assert member("GET", f"{PATH}/{made['id']}").status == 404
    run = {"provider_id": KARBOR_NOOP, "checkpoint_id": made["id"], "parameters": {}}
    assert member("POST", "restores", {"restore": {**run, "provider_id": NOOP}}).status == 404
    for name, path_of in (("restore", "restores"), ("verification", "verifications")):
        begun = member("POST", path_of, {name: run}).body[name]
        member.until(f"{path_of}/{begun['id']}", lambda found: found["status"] == "success")
    assert member("DELETE", path).status == 200
    member.until(path, lambda found: found["status"] == "deleted")
    running.close()


def test_a_deletion_while_the_bank_is_away_deletes_nothing_and_says_so(
    service: Running, member: User
) -> None:
    service.work()
    checkpoint = member.protected()
    path = f"providers/{NOOP}/checkpoints/{checkpoint['id']}"
    bank = Path(service.deployment.settings.bank_url)
    away = bank.rename(bank.with_name("away"))
    assert member("DELETE", path).status == 200
    member.until("operations?type=delete", lambda found: found[0]["status"] == "failed")
    assert member("GET", path).body["checkpoint"]["status"] == "error-deleting"
    away.rename(bank)
    assert member("DELETE", path).status == 200
    member.until("operations?type=delete", lambda found: {"succeeded"} & {each["status"] for each in found})
    assert member("GET", path).body["checkpoint"]["status"] == "deleted"


def test_deleting_what_the_bank_has_no_more_ends_well(service: Running, member: User) -> None:
    service.work()
    checkpoint = member.protected()
    settings = service.deployment.settings
    Bank.open(settings.bank_url, load_key(settings.key_file)).delete(checkpoint["id"])
    path = f"providers/{NOOP}/checkpoints/{checkpoint['id']}"
    assert member("DELETE", path).status == 200
    member.until("operations?type=delete", lambda found: found[0]["status"] == "succeeded")
    assert member("GET", path).body["checkpoint"]["status"] == "deleted"

"""Nothing is deleted without proof of a good one (C2): retention, and what verifications find (M9)."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from api_helpers import DEMO, NOOP, Running, User, run_service, somebody_is_told
from test_missing import CHECKPOINTS, away, folder, look, manifest, record, status
from test_one_way_in import beside
from test_schedules import ran, run_now, scheduled, trigger

from refloat.bank import Bank, load_key
from refloat.bank.manifest import get_manifest
from refloat.errors import Conflict
from refloat.records.database import Database
from refloat.records.migrate import upgrade
from refloat.records.tables import CheckpointRow, NoticeRow, OperationRow
from refloat.resources.noop import NoopHooks, NoopPlugin, NoopProtect, NoopVerify


@pytest.fixture
def application(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """One with data; it may be gone."""
    state = {"gone": False}

    def protect(_self: Any, context: Any) -> Any:
        if state["gone"]:
            raise ValueError("the server is not there")
        if context.resource.name != "tree:5":
            return {"name": context.resource.name}
        data = [f"{context.checkpoint_id} {each}".encode() * 1000 for each in range(9)]
        stored = context.data.put(iter(data), None, context.progress, context.cancelled)
        return {"name": context.resource.name, "data": stored}

    def verify(_self: Any, context: Any) -> Any:
        if "data" in context.section:
            context.data.verify(context.section["data"], context.progress, context.cancelled)
        return {"ok": True, "reason": ""}

    monkeypatch.setattr(NoopProtect, "on_main", protect)
    monkeypatch.setattr(NoopVerify, "on_main", verify)
    return state


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def service_with_notices(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Running]:
    more: dict[str, Any] = {}
    if request.param == "postgresql":
        create: Callable[[], str] = request.getfixturevalue("postgresql")
        more["database__connection"] = create()
    running = run_service(tmp_path, files=[somebody_is_told(tmp_path)], **more)
    running.work()
    yield running
    running.close()


def shown(member: User, checkpoint: str) -> tuple[str, str | None]:
    found = member("GET", f"{CHECKPOINTS}/{checkpoint}").body["checkpoint"]
    assert (found["verified"] == "never") == (found["verified_at"] is None)
    return found["verified"], found["verified_depth"]


def there(running: Running) -> set[str]:
    """What is in the bank, by code that asks no records."""
    return {path.name.partition(".")[0] for path in (folder(running) / "checkpoints").iterdir()}


def ruin(running: Running, checkpoint: str, what: str) -> None:
    path = manifest(running, checkpoint)
    settings = running.deployment.settings
    with Bank.open(settings.bank_url, load_key(settings.key_file)) as bank:
        kept = get_manifest(bank._objects, f"checkpoints/{path.name}")
        packs = bank.checkpoint(checkpoint).packs
    if what != "manifest":
        path = folder(running) / (kept.body if what == "body" else packs[0])
    if what == "pack":
        path.unlink()
    else:
        path.chmod(0o600)
        path.write_bytes(bytes(path.stat().st_size))


def verify(member: User, checkpoint: str) -> str:
    body = {"verification": {"provider_id": NOOP, "checkpoint_id": checkpoint, "parameters": {}}}
    made = member("POST", "verifications", body).body["verification"]
    done = member.until(f"verifications/{made['id']}", lambda found: found["status"] != "in_progress")
    return str(done["status"])


def three(member: User, plan: Any) -> list[str]:
    """Three checkpoints, the oldest first."""
    return [member.protected(plan)["id"] for _ in range(3)]


@pytest.mark.parametrize("hurt", ["manifest", "body", "pack"])
def test_c2_retention_deletes_nothing_while_the_application_cannot_be_protected(
    service_with_notices: Running, application: dict[str, bool], hurt: str
) -> None:
    """Three checkpoints, the newest damaged, the application gone, ``max_backups=1``.

    Retention took the damaged one for the last good one, and deleted both that were good.
    """
    running, member = service_with_notices, service_with_notices.user()
    plan = member.plan()
    oldest, middle, newest = three(member, plan)
    ruin(running, newest, hurt)
    assert verify(member, newest) == "fail"
    assert shown(member, newest)[0] == "bad"
    one = scheduled(
        member, plan, trigger(member)["id"], "retention_protect", max_backups="1", include_manual=True
    )
    application["gone"] = True
    for count in (1, 2):
        run_now(member, one)
        found = ran(member, one, *["failed"] * count, count=count)
        assert "nothing was deleted" in found["last_runs"][0]["reason"]
        assert found["last_runs"][0]["deletions"] == []
    assert there(running) == {oldest, middle, newest}
    preview = member("GET", f"scheduled_operations/{one['id']}/retention").body["retention"]
    assert (preview["new_checkpoint"], preview["proves"]) == (True, None)
    foretold = {each["id"]: each["keep"] for each in preview["checkpoints"]}
    assert foretold == {newest: True, middle: False, oldest: False}
    application["gone"] = False
    run_now(member, one)
    run = ran(member, one, "succeeded", "failed", "failed", count=3)["last_runs"][0]
    assert {each["checkpoint_id"] for each in run["deletions"]} == {oldest, middle}
    assert there(running) == {newest, run["checkpoint_id"]}
    assert shown(member, run["checkpoint_id"]) == ("good", "existence")
    # What is known to be damaged can be deleted by who may.
    assert member("DELETE", f"{CHECKPOINTS}/{newest}").status == 200
    member.until(f"{CHECKPOINTS}/{newest}", lambda found: found["status"] == "deleted")


def test_c2_what_retention_keeps_is_proved_before_anything_is_deleted(
    service_with_notices: Running, application: dict[str, bool]
) -> None:
    """Nobody has verified the newest, which has lost data: that is found before the others go, and said."""
    running, member = service_with_notices, service_with_notices.user()
    plan = member.plan()
    oldest, middle, newest = three(member, plan)
    ruin(running, newest, "pack")
    # With a full quota nothing is protected, and only deleting helps.
    admin = running.user(roles="admin")
    assert admin("PUT", f"quotas/{DEMO}", {"quota": {"checkpoints": 3}}).status == 200
    one = scheduled(
        member, plan, trigger(member)["id"], "retention_protect", max_backups="1", include_manual=True
    )
    with away(folder(running)):
        run_now(member, one)
        run = ran(member, one, "failed")["last_runs"][0]
    assert [each["state"] for each in run["deletions"]] == ["kept", "kept"]
    assert "it was not shown that the last good checkpoint is whole" in run["deletions"][0]["reason"]
    assert shown(member, newest) == ("never", None)  # that the bank was away says nothing of it
    run_now(member, one)
    run = ran(member, one, "failed", "failed", count=2)["last_runs"][0]
    assert [each["state"] for each in run["deletions"]] == ["kept", "kept"]
    assert shown(member, newest) == ("bad", "existence")
    assert there(running) == {oldest, middle, newest}
    with running.deployment.database.session() as session:
        told = session.scalars(sa.select(NoticeRow.event_type).where(NoticeRow.subject == one["id"])).all()
    assert told == ["data_protect.schedule.nothing_deleted", "data_protect.schedule.retention"] * 2
    logs = member("GET", "operation_logs?status=fail").body["operation_logs"]
    assert "verify" in {log["operation_type"] for log in logs if log["checkpoint_id"] == newest}
    run_now(member, one)
    run = ran(member, one, "failed", "failed", "failed", count=3)["last_runs"][0]
    assert [(each["checkpoint_id"], each["state"]) for each in run["deletions"]] == [(oldest, "deleted")]
    assert there(running) == {middle, newest}
    assert shown(member, middle) == ("good", "existence")


def test_c2_what_is_of_the_future_or_missing_does_not_take_the_place_of_what_is_there(
    service_with_notices: Running, application: dict[str, bool]
) -> None:
    running, member = service_with_notices, service_with_notices.user()
    plan = member.plan()
    first, future, missing = three(member, plan)
    record(running, future, created_at=datetime.now() + timedelta(days=900))
    record(running, missing, status="missing")
    one = scheduled(
        member, plan, trigger(member)["id"], "retention_protect", max_backups="1", include_manual=True
    )
    preview = member("GET", f"scheduled_operations/{one['id']}/retention").body["retention"]
    assert [(each["id"], each["keep"], each["rule"]) for each in preview["checkpoints"]] == [
        (future, True, "it is dated in the future: it neither counts nor goes by itself"),
        (missing, True, "it is missing: it neither counts nor goes by itself"),
        (first, False, "max_backups: 1 newer ones"),
    ]
    # With a full quota the run makes none: then the first is the last good one.
    admin = running.user(roles="admin")
    assert admin("PUT", f"quotas/{DEMO}", {"quota": {"checkpoints": 3}}).status == 200
    preview = member("GET", f"scheduled_operations/{one['id']}/retention").body["retention"]
    assert [(each["id"], each["rule"]) for each in preview["checkpoints"]][2:] == [
        (first, "the last good checkpoint")
    ]
    assert (preview["proves"], preview["new_checkpoint"]) == (None, False)


def test_m9_a_bank_that_lacks_what_is_known_is_not_good(
    service: Running, application: dict[str, bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor for the command on the same records. What the verification found of the others is known of them."""
    service.work()
    member, admin = service.user(), service.user(roles="admin")
    plan = member.plan()
    lost, hurt, good = three(member, plan)
    settings = service.deployment.settings
    with Bank.open(settings.bank_url, load_key(settings.key_file)) as bank:
        bank.delete(lost)  # as somebody with records of his own
    ruin(service, hurt, "pack")

    def verified(**wanted: Any) -> Any:
        path = f"providers/{NOOP}/bank/action"
        made = admin("POST", path, {"verify": wanted}).body["operation"]["id"]
        return admin.until(f"operations/{made}", lambda found: found["result"])["result"]

    result = verified(depth="manifests")
    assert (result["status"], result["missing"]) == ("bad", [lost])
    assert "good" not in result
    assert (shown(member, hurt), shown(member, good)) == (("good", "manifests"),) * 2
    assert verified(depth="full", sample=50)["missing"] == [lost]
    assert shown(member, hurt)[0] == "bad"
    assert shown(member, good) == ("good", "existence")
    assert verified(depth="existence", project_id=str(uuid.uuid4()))["status"] == "good"
    for refloat in beside(service, tmp_path, monkeypatch):
        ran = refloat("bank", "verify", "--depth", "manifests", "-f", "json")
        assert (ran.status, ran.json["status"], ran.json["missing"]) == (1, "bad", [lost])
        assert lost in refloat("bank", "verify", "--depth", "manifests").out
        # A look that is less deep takes nothing back.
        assert shown(member, hurt)[0] == "bad"
        assert refloat("bank", "verify", good, "-f", "json").json["status"] == "good"
        assert shown(member, good) == ("good", "full")
        rows = {row["id"]: row["verified"] for row in refloat("checkpoint", "list", "-f", "json").json}
        assert rows == {lost: "never", hurt: "bad", good: "good"}
        found = refloat("checkpoint", "show", good, "-f", "json").json
        assert (found["verified"], found["verified_depth"]) == ("good", "full")
        assert found["verified_at"]


def test_c2_restores_and_looks_tell_too_and_what_fails_for_another_reason_does_not(
    service: Running, application: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    service.work()
    member = service.user()
    plan = member.plan()
    part, whole, hurt = three(member, plan)

    def restore(checkpoint: str, **more: Any) -> str:
        body = {"provider_id": NOOP, "checkpoint_id": checkpoint, "parameters": {}, **more}
        made = member("POST", "restores", {"restore": body}).body["restore"]["id"]
        return str(member.until(f"restores/{made}", lambda found: found["status"] != "in_progress")["status"])

    assert restore(part, only=["Refloat::Noop#tree-5"]) == "success"
    assert shown(member, part) == ("never", None)
    assert restore(whole) == "success"
    assert shown(member, whole) == ("good", "full")
    with monkeypatch.context() as patched:

        def fail(_self: Any, _context: Any) -> Any:
            raise ValueError("the network is down")

        patched.setattr(NoopVerify, "on_main", fail)
        assert verify(member, whole) == "fail"
    assert shown(member, whole) == ("good", "full")
    ruin(service, hurt, "manifest")
    look(service, 1)
    assert (shown(member, hurt), status(member, hurt)) == (("bad", "manifests"), "available")
    with monkeypatch.context() as patched:
        patched.setattr(NoopVerify, "on_main", lambda *_given: {"ok": False, "reason": "the backup is gone"})
        assert verify(member, whole) == "fail"
    admin = service.user(roles="admin")
    made = admin("POST", f"providers/{NOOP}/bank/action", {"verify": None}).body["operation"]["id"]
    admin.until(f"operations/{made}", lambda found: found["result"])
    assert shown(member, whole) == ("bad", "full")  # the bank knows nothing of what is in the cloud
    assert verify(member, whole) == "success"
    assert shown(member, whole) == ("good", "full")
    ruin(service, whole, "body")
    assert restore(whole) == "fail"
    assert shown(member, whole)[0] == "bad"


@pytest.mark.parametrize("when", ["refused", "too late", "half deleted before"])
def test_c2_what_retention_could_not_delete_is_available_only_if_nothing_of_it_went(
    service: Running, application: dict[str, bool], monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """A refusal before the gate changes nothing. A hold that comes when parts in the cloud are gone, and a
    refusal of what is half deleted already, leave something that cannot be restored."""
    service.work()
    member = service.user()
    plan = member.plan()
    old = member.protected(plan)["id"]
    settings = service.deployment.settings

    class Refusing(NoopHooks):
        def on_prepare_begin(self, _context: Any) -> Any:
            if when != "too late":
                raise Conflict("it cannot be deleted", reason="others are built on it")
            return {}

        def on_complete(self, context: Any) -> Any:
            if context.resource.name == "tree:5":
                with Bank.open(settings.bank_url, load_key(settings.key_file)) as bank:
                    bank.holds.place(old, "somebody", "late", datetime(2031, 1, 31))
            return {}

    monkeypatch.setattr(NoopPlugin, "delete", Refusing)
    if when == "half deleted before":
        record(service, old, status="error-deleting")
    one = scheduled(
        member, plan, trigger(member)["id"], "retention_protect", max_backups="1", include_manual=True
    )
    run_now(member, one)
    states = {
        each["checkpoint_id"]: each["state"]
        for each in ran(member, one, "succeeded")["last_runs"][0]["deletions"]
    }
    now = status(member, old)
    assert (states[old], now) == (
        ("kept", "available") if when == "refused" else ("failed", "error-deleting")
    )


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def test_c2_older_verifications_are_known_after_an_upgrade(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/r.sqlite"
    if kind == "postgresql":
        url = request.getfixturevalue("empty_postgresql")()
    database = Database(url, migrate=False)
    upgrade(database.engine, "0008")
    long_ago = datetime(2026, 1, 1)
    damaged = {"error": "BankDamaged", "message": "it is damaged"}
    said: list[tuple[str, str, str, Any, Any]] = [
        ("good", "verify", "succeeded", {"status": "good"}, None),
        ("again", "verify", "failed", None, damaged),
        ("again", "verify", "succeeded", {"status": "good"}, None),
        ("bad", "verify", "succeeded", {"status": "good"}, None),
        ("bad", "verify", "failed", None, damaged),
        ("restored", "restore", "failed", None, damaged),
        ("never", "verify", "failed", None, {"error": "CloudError", "message": "no answer"}),
        ("never", "verify", "cancelled", None, damaged),
        ("never", "restore", "succeeded", {"status": "succeeded"}, None),
        ("", "bank_verify", "succeeded", {"damages": [{"checkpoint_id": "bank", "readable": False}]}, None),
    ]
    operations, checkpoints = OperationRow.__table__, CheckpointRow.__table__
    with database.engine.begin() as connection:
        for identity in {"bank", *(each[0] for each in said)} - {""}:
            connection.execute(
                sa.insert(
                    sa.table(checkpoints.name, *(sa.column(n, c.type) for n, c in checkpoints.c.items()))
                ),
                {
                    "id": identity,
                    "project_id": "p",
                    "provider_id": "x",
                    "plan_id": "y",
                    "plan": {},
                    "status": "available",
                    "reason": "",
                    "extra_info": {},
                    "created_at": long_ago,
                },
            )
        for number, (identity, what, state, result, error) in enumerate(said):
            connection.execute(
                sa.insert(
                    sa.table(operations.name, *(sa.column(n, c.type) for n, c in operations.c.items()))
                ),
                {
                    "id": f"o{number}",
                    "kind": what,
                    "project_id": "p",
                    "plan_id": "",
                    "state": state,
                    "checkpoint_id": identity,
                    "payload": {},
                    "result": result,
                    "error": error,
                    "created_at": long_ago,
                    "ended_at": long_ago + timedelta(days=number),
                    "runner": "service",
                    "scheduled_operation_id": "",
                    "requested": "",
                },
            )
    database.close()
    database = Database(url)
    with database.session() as session:
        rows = {row.id: (row.verified, row.verified_at) for row in session.scalars(sa.select(CheckpointRow))}
    database.close()
    assert rows == {
        "good": ("good", long_ago),
        "again": ("good", long_ago + timedelta(days=2)),
        "bad": ("bad", long_ago + timedelta(days=4)),
        "restored": ("bad", long_ago + timedelta(days=5)),
        "bank": ("bad", long_ago + timedelta(days=9)),
        "never": ("never", None),
    }

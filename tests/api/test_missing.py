"""Absent is not deleted (C3, M4): what a look does not find is ``missing``, and records heal from the bank.

Also H7: what is damaged can be deleted, and its deletion ends.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from api_helpers import DEMO, NOOP, Running, User, run_service, somebody_is_told
from test_metrics import samples
from test_one_way_in import beside

from refloat.api.server import make_metrics
from refloat.bank import Bank, load_key, mount
from refloat.bank.filesystem import FileSystemStore
from refloat.bank.manifest import get_manifest
from refloat.control.bank_looks import LOOKS
from refloat.records.outbox import Outbox
from refloat.records.tables import CheckpointRow, NoticeRow
from tests.unit.support.mounts import bind, unmount, with_own_mounts

CHECKPOINTS = f"providers/{NOOP}/checkpoints"


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Running]:
    """A service with a worker, and somebody who is told of all that happens."""
    running = run_service(tmp_path, files=[somebody_is_told(tmp_path)])
    running.work()
    yield running
    running.close()


def folder(running: Running) -> Path:
    return Path(running.deployment.settings.bank_url)


def manifest(running: Running, checkpoint: str) -> Path:
    (found,) = (folder(running) / "checkpoints").glob(f"{checkpoint}.*")
    return found


@contextmanager
def away(path: Path) -> Iterator[None]:
    there = path.rename(
        path.with_name(f"{path.name}.away") if path.is_dir() else path.parents[2] / f"{path.name}.away"
    )
    yield
    path.parent.mkdir(exist_ok=True)
    there.rename(path)


def look(running: Running, times: int = LOOKS) -> None:
    for _ in range(times):
        running.workers[-1].bank_looks.look()


def status(member: User, checkpoint: str) -> Any:
    return member("GET", f"{CHECKPOINTS}/{checkpoint}").body["checkpoint"]["status"]


def record(running: Running, checkpoint: str, **values: Any) -> None:
    with running.deployment.database.session() as session:
        session.execute(sa.update(CheckpointRow).where(CheckpointRow.id == checkpoint).values(**values))


def test_c3_what_a_look_does_not_find_is_missing_until_it_is_seen_again(told: Running) -> None:
    """One late listing says nothing; several say ``missing``, to everybody; nothing says ``deleted``."""
    member, metrics = told.user(), make_metrics(told.deployment)
    lost, other = (member.protected()["id"] for _ in range(2))
    gauge = f"refloat_checkpoints_missing project_id={DEMO}"
    with away(manifest(told, lost)):
        look(told, LOOKS - 1)
        assert status(member, lost) == "available"
        look(told)
        assert (status(member, lost), status(member, other)) == ("missing", "available")
        (shown,) = (each for each in member("GET", CHECKPOINTS).body["checkpoints"] if each["id"] == lost)
        assert "did not find it" in shown["error_info"]
        assert str(folder(told)) not in shown["error_info"]
        assert samples(metrics.text())[gauge] == 1
        body = {"provider_id": NOOP, "checkpoint_id": lost, "parameters": {}}
        for path, noun in (("restores", "restore"), ("verifications", "verification")):
            refused = member("POST", path, {noun: body})
            assert (refused.status, "it is missing" in refused.message) == (409, True)
    look(told, 1)
    assert status(member, lost) == "available"
    assert gauge not in samples(metrics.text())
    with told.deployment.database.session() as session:
        query = sa.select(NoticeRow.event_type, NoticeRow.data).where(NoticeRow.subject == lost)
        events = {row[0]: row[1] for row in session.execute(query)}
    assert {"data_protect.checkpoint.missing", "data_protect.checkpoint.found"} == set(events)
    assert events["data_protect.checkpoint.missing"]["status"] == "missing"
    assert Outbox(told.deployment.database).backlogs()["ops"].waiting


def test_c3_a_bank_that_is_away_proves_nothing(told: Running) -> None:
    member = told.user()
    made = member.protected()["id"]
    with away(folder(told)):
        look(told, 2 * LOOKS)
        folder(told).mkdir()  # as a mount point is without its mount
        look(told, 2 * LOOKS)
        folder(told).rmdir()
    assert status(member, made) == "available"
    look(told)
    assert status(member, made) == "available"


def test_c3_another_bank_in_its_place_proves_nothing(tmp_path: Path) -> None:
    """As when the service starts before the mount, and somebody has made a bank with the same key there."""
    first = run_service(tmp_path)
    first.work()
    made = first.user().protected()["id"]
    first.close()
    place, settings = folder(first), first.deployment.settings
    there = place.rename(tmp_path / "there")
    Bank.open(settings.bank_url, load_key(settings.key_file), create=True).close()
    again = run_service(tmp_path)
    try:
        again.work()
        look(again, 2 * LOOKS)
        assert status(again.user(), made) == "available"
        shutil.rmtree(place)
        there.rename(place)
        look(again)
        assert status(again.user(), made) == "available"
    finally:
        again.close()


def test_c3_a_look_between_forgets_what_was_counted(told: Running) -> None:
    """Late listings of now and then are no looks in turn."""
    member = told.user()
    made = member.protected()["id"]
    for _ in range(LOOKS):
        with away(manifest(told, made)):
            look(told, LOOKS - 1)
        look(told, 1)
    with away(manifest(told, made)):
        look(told, 1)
    assert status(member, made) == "available"


@pytest.mark.parametrize("before", ["deleted", "error", "missing", "protecting", "copying"])
def test_c3_records_heal_from_the_bank(told: Running, before: str) -> None:
    member = told.user()
    made = member.protected()["id"]
    record(told, made, status=before, reason="an older database", graph=None)
    look(told, 1)
    found = member("GET", f"{CHECKPOINTS}/{made}").body["checkpoint"]
    assert (found["status"], found["error_info"]) == ("available", None)
    assert found["resource_graph"] != "[{}, []]"


def test_c3_what_somebody_has_set_or_is_half_deleted_does_not_heal(told: Running) -> None:
    member = told.user()
    by_hand, half = (member.protected()["id"] for _ in range(2))
    assert member("PUT", f"{CHECKPOINTS}/{by_hand}", {"os-resetState": {"state": "error"}}).status == 200
    record(told, half, status="error-deleting", verified="good")
    look(told)
    assert (status(member, by_hand), status(member, half)) == ("error", "error-deleting")
    assert member("PUT", f"{CHECKPOINTS}/{half}", {"os-resetState": {"state": "available"}}).status == 200
    assert member("GET", f"{CHECKPOINTS}/{half}").body["checkpoint"]["verified"] == "never"
    assert member("PUT", f"{CHECKPOINTS}/{by_hand}", {"os-resetState": {"state": "available"}}).status == 200


def test_c3_what_is_missing_is_deleted_only_where_its_bank_answers(told: Running) -> None:
    member = told.user()
    lost, back = (member.protected()["id"] for _ in range(2))
    there = {each: manifest(told, each) for each in (lost, back)}
    with away(there[back]):
        there[lost].unlink()
        look(told)
        assert (status(member, lost), status(member, back)) == ("missing", "missing")
        with away(folder(told)):
            assert member("DELETE", f"{CHECKPOINTS}/{lost}").status == 200
            member.until(f"{CHECKPOINTS}/{lost}", lambda found: found["status"] != "deleting")
            assert status(member, lost) == "error-deleting"
        assert member("DELETE", f"{CHECKPOINTS}/{lost}").status == 200
        member.until(f"{CHECKPOINTS}/{lost}", lambda found: found["status"] == "deleted")
        (last, *_) = member("GET", "operations?type=delete&sort=created_at:desc").body["operations"]
        result = member("GET", f"operations/{last['id']}").body["operation"]["result"]
        assert "it was not in the bank any more" in result["reason"]
    assert member("DELETE", f"{CHECKPOINTS}/{back}").status == 200
    member.until(f"{CHECKPOINTS}/{back}", lambda found: found["status"] == "deleted")
    assert not list((folder(told) / "checkpoints").glob(f"{back}.*"))
    assert told.all_given_back()


def test_c3_an_administrator_forgets_what_a_lost_bank_had(told: Running) -> None:
    member, admin = told.user(), told.user(roles="admin")
    lost, held, good = (member.protected()["id"] for _ in range(3))
    record(told, lost, status="error-deleting")
    record(told, held, status="missing")
    assert member("PUT", f"{CHECKPOINTS}/{held}/hold", {"hold": {"reason": "trial"}}).status == 200
    wanted = {"os-resetState": {"state": "deleted"}}
    assert member("PUT", f"{CHECKPOINTS}/{lost}", wanted).status == 400
    with away(folder(told)):
        assert [admin("PUT", f"{CHECKPOINTS}/{each}", wanted).status for each in (lost, held, good)] == [
            *(200, 409, 400)
        ]
        assert [status(member, each) for each in (lost, held, good)] == ["deleted", "missing", "available"]
    look(told, 1)  # it was not gone for good
    assert [status(member, each) for each in (lost, held, good)] == ["available"] * 3


def test_c3_a_bank_whose_mount_goes_away_and_comes_back(tmp_path: Path) -> None:
    """With a mount: what was there stays known, what is asked for meanwhile fails, then all is as before."""
    real, at = tmp_path / "real", tmp_path / "bank"

    def work() -> None:
        bind(real, at)
        running = run_service(tmp_path)
        running.work()
        member = running.user()
        made, other = (member.protected()["id"] for _ in range(2))
        unmount(at)
        look(running, 2 * LOOKS)
        assert member("DELETE", f"{CHECKPOINTS}/{other}").status == 200
        member.until(f"{CHECKPOINTS}/{other}", lambda found: found["status"] != "deleting")
        failed = member.protect(member.plan("meanwhile"))["id"]
        member.until(f"{CHECKPOINTS}/{failed}", lambda found: found["status"] != "protecting")
        found = [status(member, each) for each in (made, other, failed)]
        assert found == ["available", "error-deleting", "error"]
        assert list(at.iterdir()) == []
        bind(real, at)
        look(running)
        assert status(member, made) == "available"
        assert member("DELETE", f"{CHECKPOINTS}/{other}").status == 200
        member.until(f"{CHECKPOINTS}/{other}", lambda found: found["status"] == "deleted")
        member.protected()
        running.close()

    real.mkdir()
    at.mkdir()
    with_own_mounts(work)


@pytest.mark.parametrize("hurt", ["manifest", "body"])
def test_h7_what_is_damaged_can_be_deleted(told: Running, hurt: str) -> None:
    member = told.user()
    made, other = (member.protected()["id"] for _ in range(2))
    settings = told.deployment.settings
    path = manifest(told, made)
    with Bank.open(settings.bank_url, load_key(settings.key_file)) as bank:
        body = get_manifest(bank._objects, f"checkpoints/{path.name}").body
    path = path if hurt == "manifest" else folder(told) / body
    path.chmod(0o600)
    path.write_bytes(bytes(len(path.read_bytes())))
    assert member("DELETE", f"{CHECKPOINTS}/{made}").status == 200
    member.until(f"{CHECKPOINTS}/{made}", lambda found: found["status"] == "deleted")
    assert told.all_given_back()
    with Bank.open(settings.bank_url, load_key(settings.key_file)) as bank:
        assert [info.id for info in bank.checkpoints()] == [other]
        assert bank.verify_all().damages == []


def test_c3_the_command_lists_what_is_missing(service: Running, tmp_path: Path, monkeypatch: Any) -> None:
    """A checkpoint that is not in the bank is shown as missing, not left out; deleting it clears it away."""
    for refloat in beside(service, tmp_path, monkeypatch):
        refloat("plan", "create", "app", "--resource", "noop=tree:3", "--provider", "noop")
        lost, other = (refloat("protect", "app", "-f", "json").json["id"] for _ in range(2))
        manifest(service, lost).unlink()
        rows = {row["id"]: row["status"] for row in refloat("checkpoint", "list", "-f", "json").json}
        assert rows == {lost: "missing", other: "available"}
        shown = refloat("checkpoint", "show", lost, "-f", "json").json
        assert (shown["status"], "nobody here has deleted it" in shown["reason"]) == ("missing", True)
        for argv in (("restore", lost), ("verify", lost), ("restore", lost[:9], "--dry-run")):
            ran = refloat(*argv)
            assert (ran.status, "it is missing" in ran.err) == (1, True), ran.err
        with away(folder(service)):
            folder(service).mkdir()
            assert refloat("checkpoint", "delete", lost).status == 1
            folder(service).rmdir()
        assert refloat("checkpoint", "delete", lost).status == 0
        assert refloat("checkpoint", "list", "-f", "value", "-c", "id").out == f"{other}\n"


def test_what_a_repair_removes_is_deleted_and_not_missing(
    told: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`bank repair --delete-damaged`, on the service's database: the records are told, and so is the log."""
    member = told.user()
    hopeless, whole = (member.protected()["id"] for _ in range(2))
    body = Bank.open(told.deployment.settings.bank_url, load_key(told.deployment.settings.key_file))
    name = get_manifest(body._objects, f"checkpoints/{manifest(told, hopeless).name}").body
    (folder(told) / name).unlink()
    for refloat in beside(told, tmp_path, monkeypatch):
        done = refloat("bank", "repair", "--apply", "--delete-damaged", "-f", "json")
        assert (done.status, json.loads(done.out)["deleted"]) == (0, [hopeless]), done.err
    look(told, 2 * LOOKS)
    assert status(member, hopeless) == "deleted"
    assert status(member, whole) == "available"
    (log,) = (
        each
        for each in member("GET", f"operation_logs?checkpoint_id={hopeless}").body["operation_logs"]
        if each["operation_type"] == "delete"
    )
    assert (log["status"], log["error_info"]) == ("deleted", None)
    assert "bank repair has removed it" in json.loads(log["extra_info"])["reason"]
    assert name not in log["extra_info"]
    operation = member("GET", f"operations/{log['id']}").body["operation"]
    assert operation["status"] == "succeeded"
    assert "it is missing" in operation["result"]["reason"]


def test_h6_a_host_whose_listings_may_be_late_deletes_nothing(
    told: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deletion fails before anything is removed, and the checkpoint stays available."""
    member = told.user()
    made = member.protected()["id"]
    monkeypatch.setattr(mount, "_TABLE", tmp_path / "mountinfo")
    (tmp_path / "mountinfo").write_text(f"30 21 0:40 / {folder(told)} rw - nfs4 filer:/x rw\n")
    seen: set[str] = set()
    for wanted in ("failed", "succeeded"):
        assert member("DELETE", f"{CHECKPOINTS}/{made}").status == 200
        asked = member("GET", f"operations?type=delete&checkpoint_id={made}").body["operations"]
        (operation,) = {each["id"] for each in asked} - seen
        seen.add(operation)
        ended = member.until(f"operations/{operation}", lambda found: found["ended_at"] is not None)
        assert ended["status"] == wanted
        if wanted == "failed":
            assert "by this host" in ended["error_info"]
            assert status(member, made) == "available"
            mount.vouch(FileSystemStore(folder(told)), exact=True)
    assert status(member, made) == "deleted"

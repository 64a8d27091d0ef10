"""M5: workers see by themselves that a bank is not as it was left, and say so; so does the command."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import sqlalchemy as sa
from api_helpers import NOOP, User, run_service, somebody_is_told
from test_one_way_in import beside

from refloat.api.server import make_metrics
from refloat.bank import Bank, load_key
from refloat.records.banks import BankHeads
from refloat.records.tables import NoticeRow


def replace(root: Path, by: Path) -> None:
    """Bring another state back into the same folder."""
    for path in root.rglob("*"):
        if path.is_file() and path.name != "bank":
            path.unlink()
    for path in by.rglob("*"):
        if path.is_file() and path.name != "bank":
            (root / path.relative_to(by)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, root / path.relative_to(by))


def refuses_changes(member: User, checkpoint_id: str) -> None:
    """An older copy of the bank is read, and neither protected into nor deleted from."""
    where = f"providers/{NOOP}/checkpoints"
    protected = member.protect(member.plan("refused"))["id"]
    member.until(f"{where}/{protected}", lambda found: found["status"] == "error")
    assert member("DELETE", f"{where}/{checkpoint_id}").status == 200
    member.until(f"{where}/{checkpoint_id}", lambda found: found["status"] == "available")
    operations = member("GET", "operations?status=failed").body["operations"]
    reasons = {each["type"]: each["error_info"] for each in operations}
    assert all("older copy of itself" in reasons[kind] for kind in ("protect", "delete"))
    wanted = {"checkpoint_id": checkpoint_id, "provider_id": NOOP, "parameters": {}}
    restore = member("POST", "restores", {"restore": wanted}).body["restore"]
    member.until(f"restores/{restore['id']}", lambda found: found["status"] == "success")


def test_an_older_bank_and_a_deleted_checkpoint_that_is_back_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    service = run_service(tmp_path, files=[somebody_is_told(tmp_path)])
    try:
        worker = service.work()
        member = service.user()
        first = member.protected()["id"]
        worker.close()
        settings = service.deployment.settings
        root, database = Path(settings.bank_url), service.deployment.database
        bank = Bank.open(settings.bank_url, load_key(settings.key_file))
        worker.bank_looks.look()
        known = BankHeads(database).of(bank.id)
        assert known == bank.freshness().anchor
        shutil.copytree(root, tmp_path / "earlier")
        with bank.writer("another", "p") as writer:
            writer.commit(created_at="2031-01-31T12:00:00+00:00", provider=NOOP, graph={}, sections={})
        worker.bank_looks.look()
        assert BankHeads(database).of(bank.id) != known
        assert "not as it was left" not in caplog.text

        shutil.copytree(root, tmp_path / "later")
        replace(root, tmp_path / "earlier")
        for refloat in beside(service, tmp_path, monkeypatch):
            told = refloat("bank", "verify", "--against-records", "-f", "json")
            assert (told.status, json.loads(told.out)["status"]) == (1, "bad")
            assert "its head was number" in json.loads(told.out)["older"]
            by_itself = json.loads(refloat("bank", "verify", "-f", "json").out)
            assert (by_itself["older"], by_itself["damages"]) == ("", [])
            assert by_itself["missing"] == ["another"]
        for _ in range(2):
            worker.bank_looks.look()
        assert caplog.text.count("its head was number") == 1
        metrics = make_metrics(service.deployment)
        metrics.looks = lambda: worker.bank_looks.found
        assert f'refloat_bank_altered{{bank_id="{bank.id}"}} 1.0' in metrics.text()
        assert f'refloat_bank_unreadable{{bank_id="{bank.id}"}} 0.0' in metrics.text()

        again = service.work()
        admin = service.user(roles="admin,manager,member,reader")
        begun = admin("POST", f"providers/{NOOP}/bank/action", {"verify": {"depth": "manifests"}}).body
        where = f"operations/{begun['operation']['id']}"
        result = admin.until(where, lambda found: found["status"] == "succeeded")["result"]
        assert result["status"] == "bad"
        assert "its head was number" in result["older"]
        refuses_changes(member, first)
        for refloat in beside(service, tmp_path, monkeypatch):
            collected = refloat("bank", "collect")
            assert (collected.status, "older copy of itself" in collected.err) == (1, True)
            assert refloat("bank", "accept", bank.id).status == 0
            assert refloat("bank", "collect").status == 0
        accepted = member.protected(member.plan("accepted"))["id"]
        assert accepted in {each.id for each in bank.checkpoints()}
        again.close()

        root.rename(tmp_path / "away")
        worker.bank_looks.look()
        assert f'refloat_bank_unreadable{{bank_id="{bank.id}"}} 1.0' in metrics.text()
        assert f'refloat_bank_altered{{bank_id="{bank.id}"}} 1.0' in metrics.text()
        (tmp_path / "away").rename(root)

        replace(root, tmp_path / "later")
        (manifest,) = (root / "checkpoints").glob(f"{first}.*")
        content = manifest.read_bytes()
        bank.delete(first)
        manifest.write_bytes(content)
        worker.bank_looks.look()
        assert f"{manifest.name}: no head of the bank names it" in caplog.text
        assert manifest.exists()
        with database.session() as session:
            query = sa.select(NoticeRow.data).where(NoticeRow.event_type == "data_protect.bank.altered")
            notices = [data["reason"] for data in session.scalars(query)]
        assert ["its head was number" in notices[0], manifest.name in notices[-1]] == [True, True]
    finally:
        service.close()

"""Banks of a service are known by their ids, and made by the operator alone: C1, C3."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from api_helpers import NOOP, Notes, Running, believe, overrides, run_service

from refloat.api import config
from refloat.api.app import make_application
from refloat.api.deployment import Deployment
from refloat.bank import Bank, create_key, load_key
from refloat.cli import manage
from refloat.records.banks import BankRecords
from refloat.records.tables import OperationRow
from tests.unit.support.mounts import bind, unmount, with_own_mounts


def started(folder: Path) -> Running:
    """The service, as it starts; nobody makes a bank for it."""
    authority = Notes()
    deployment = Deployment(config.load([], overrides(folder)), authority)
    return Running(deployment, make_application(deployment, believe), authority)


def ended(running: Running, plan: Any) -> Any:
    """A protection's checkpoint, when it has ended somehow."""
    member = running.user()
    made = member.protect(plan)
    return member.until(f"providers/{NOOP}/checkpoints/{made['id']}", lambda c: c["status"] != "protecting")


def reason(running: Running) -> str:
    """Of the newest operation that failed, as the operator reads it."""
    with running.deployment.database.session() as session:
        failed = sa.select(OperationRow).where(OperationRow.state == "failed")
        newest = session.scalars(failed.order_by(OperationRow.created_at.desc())).first()
        assert newest is not None
        assert newest.error is not None
        return " ".join(newest.error.values())


def test_c3_the_bank_is_a_mount_that_comes_and_goes(tmp_path: Path) -> None:
    """Away before the start, between two nights, in the middle of one: no bank is made beneath it, nothing is
    lost, and work goes on without a restart."""
    real, at = tmp_path / "real", tmp_path / "bank"
    real.mkdir()
    at.mkdir()
    bank_id = Bank.create(str(real), create_key(tmp_path / "bank.key"))

    def work() -> None:
        running = started(tmp_path)
        running.work()
        plan = running.user().plan()
        assert ended(running, plan)["status"] == "error"
        assert "there is no bank in" in reason(running)
        bind(real, at)
        first = ended(running, plan)
        assert first["status"] == "available"
        unmount(at)
        running.workers[0].bank_looks.look()
        assert ended(running, plan)["status"] == "error"
        assert f"expected: the bank {bank_id}" in reason(running)
        assert list(at.iterdir()) == []
        bind(real, at)
        second = ended(running, plan)
        running.workers[0].bank_looks.look()
        listed = running.user()("GET", f"providers/{NOOP}/checkpoints").body["checkpoints"]
        status = {each["id"]: each["status"] for each in listed}
        assert (status[first["id"]], status[second["id"]]) == ("available", "available")
        unmount(at)
        running.close()
        # Restarted before the mount: now it knows what to expect.
        running = started(tmp_path)
        running.work()
        assert ended(running, plan)["status"] == "error"
        assert f"expected: the bank {bank_id}" in reason(running)
        assert list(at.iterdir()) == []
        bind(real, at)
        assert ended(running, plan)["status"] == "available"
        key = load_key(tmp_path / "bank.key")
        assert len(Bank.open(str(at), key, expect=bank_id).checkpoints()) == 3
        running.close()

    with_own_mounts(work)


def test_a_bank_of_an_earlier_service_is_known_from_its_first_opening(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    bank_id = Bank.create(str(tmp_path / "bank"), create_key(tmp_path / "bank.key"))
    running = started(tmp_path)
    assert BankRecords(running.deployment.database).of([NOOP]) == {}
    running.work().bank_looks.look()
    running.workers[0].bank_looks.look()
    assert ended(running, running.user().plan())["status"] == "available"
    known = BankRecords(running.deployment.database).of([each.id for each in running.deployment.providers])
    assert set(known.values()) == {bank_id}
    assert len(known) == len(list(running.deployment.providers))
    said = [record.getMessage() for record in caplog.records if bank_id in record.getMessage()]
    assert len(said) == 1
    assert "from now on" in said[0]
    running.close()


def test_the_operator_makes_a_bank_and_lets_another_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "refloat.conf"
    sections: dict[str, list[str]] = {}
    for group, name, value in overrides(tmp_path):
        sections.setdefault(group, []).append(f"{name} = {value}")
    file.write_text("".join(f"[{group}]\n" + "\n".join(lines) + "\n" for group, lines in sections.items()))

    def run(*words: str) -> tuple[int, str, str]:
        status = manage.main(["--config-file", str(file), "bank", *words])
        return status, *capsys.readouterr()

    status, out, _ = run("create", "default")
    assert status == 0
    assert "of default, snapshot, bank" in out
    first = Bank.open(str(tmp_path / "bank"), load_key(tmp_path / "bank.key")).id
    assert first in out
    status, _, err = run("create", "noop")
    assert (status, first in err) == (1, True)
    running = run_service(tmp_path)
    running.work()
    assert ended(running, running.user().plan())["status"] == "available"
    shutil.move(tmp_path / "bank", tmp_path / "lost")
    second = Bank.create(str(tmp_path / "bank"), load_key(tmp_path / "bank.key"))
    assert ended(running, running.user().plan("b"))["status"] == "error"
    assert f"found: the bank {second}" in reason(running)
    status, _, err = run("accept", "default", first)
    assert (status, second in err, first in err) == (1, True, True)
    status, out, _ = run("accept", "default", second)
    assert (status, first in out, second in out) == (0, True, True)
    assert ended(running, running.user().plan("c"))["status"] == "available"  # no restart
    shutil.rmtree(tmp_path / "bank")
    status, out, _ = run("create", "default", "--instead-of", second)
    assert status == 0
    assert ended(running, running.user().plan("d"))["status"] == "available"
    running.close()

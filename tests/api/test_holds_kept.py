"""H2: holds outlive their database. They are in the bank, and the last look before a removal asks both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from api_helpers import NOOP, Running, User, run_service
from test_one_way_in import beside

from refloat.bank import Bank, load_key
from refloat.records.schedule_tables import HoldRow
from tests.unit.support.cli_helpers import Command

CHECKPOINTS = f"providers/{NOOP}/checkpoints"
CASE = {"hold": {"reason": "case 12"}}
AT = datetime(2031, 1, 31, 12)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Running]:
    url = f"sqlite:///{tmp_path}/refloat.sqlite"
    if request.param == "postgresql":
        create: Callable[[], str] = request.getfixturevalue("postgresql")
        url = create()
    service = run_service(tmp_path, database__connection=url)
    yield service
    service.close()


def bank(running: Running) -> Bank:
    settings = running.deployment.settings
    return Bank.open(settings.bank_url, load_key(settings.key_file))


def look(running: Running) -> None:
    running.workers[-1].bank_looks.look()


def forget(running: Running) -> None:
    """As a database does that is older than the hold."""
    with running.deployment.database.session() as session:
        session.execute(sa.delete(HoldRow))


def refused(member: User, path: str) -> Any:
    """Have it deleted by somebody who knows of no hold: what becomes of the operation."""
    assert member("DELETE", path).status == 200
    return ended(member)


def ended(member: User) -> Any:
    (operation, *_) = member("GET", "operations?sort_key=created_at&sort_dir=desc").body["operations"]
    return member.until(f"operations/{operation['id']}", lambda each: each["status"] == "failed")


def test_a_hold_outlives_its_database(running: Running) -> None:
    running.work()
    member, manager = running.user(), running.user(roles="manager")
    path = f"{CHECKPOINTS}/{member.protected()['id']}"
    assert member("PUT", f"{path}/hold", CASE).status == 200
    look(running)
    (kept,) = bank(running).holds.all()
    assert kept.reason == "case 12"
    forget(running)
    assert "on legal hold" in str(refused(member, path)["error"])
    assert member("GET", path).body["checkpoint"]["status"] == "available"
    look(running)
    shown = member("GET", f"{path}/hold").body["hold"]
    assert (shown["reason"], shown["user_id"]) == ("case 12", kept.user_id)
    assert member("DELETE", path).status == 409
    again = {"hold": {"reason": "case 13"}}
    assert member("PUT", f"{path}/hold", again).status == 200
    look(running)
    look(running)
    assert [hold.reason for hold in bank(running).holds.all()] == ["case 13"]
    bank(running).holds.release(kept.checkpoint_id)  # behind the service's back: only a release ends it
    look(running)
    assert [hold.reason for hold in bank(running).holds.all()] == ["case 13"]
    assert manager("DELETE", f"{path}/hold").status == 200
    assert member("GET", f"{path}/hold").status == 404
    look(running)
    assert bank(running).holds.all() == []
    assert member("DELETE", path).status == 200


def test_a_hold_that_comes_while_the_deletion_waits(running: Running) -> None:
    """Through the service: refused. Beside it, it holds: the worker asks again before the first removal."""
    worker = running.work()
    member = running.user()
    made = member.protected()["id"]
    worker.close()
    path = f"{CHECKPOINTS}/{made}"
    assert member("DELETE", path).status == 200
    late = member("PUT", f"{path}/hold", CASE)
    assert (late.status, "it is deleting" in late.message) == (409, True)
    bank(running).holds.place(made, "somebody", "case 14", AT)
    running.work()
    assert "case 14" in str(ended(member)["error"])
    assert member("GET", path).body["checkpoint"]["status"] == "available"
    assert [info.id for info in bank(running).checkpoints()] == [made]


def test_holds_and_the_shortest_retention_bind_a_command_with_its_own_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = run_service(tmp_path, schedules__minimum_retention=48)
    try:
        worker = service.work()
        member = service.user()
        young, held = (member.protected()["id"] for _ in range(2))
        (kept,) = bank(service).holds.of(young)
        assert datetime.fromisoformat(kept.until) > datetime.now(UTC)
        assert member("PUT", f"{CHECKPOINTS}/{held}/hold", CASE).status == 200
        look(service)
        worker.close()  # one process has one engine
        for refloat in beside(service, tmp_path, monkeypatch):
            monkeypatch.setenv("REFLOAT_DATABASE_URL", f"sqlite:///{tmp_path}/own.sqlite")
            ran = refloat("checkpoint", "delete", young)
            assert (ran.status, "it is kept until" in ran.err) == (1, True), ran.err
            ran = refloat("checkpoint", "hold", "show", held, "-f", "value", "-c", "reason")
            assert ran.out == "case 12\n"
            ran = refloat("checkpoint", "delete", held)
            assert (ran.status, "is on legal hold and cannot be deleted: case 12" in ran.err) == (1, True)
            _release_and_hold(refloat, held, service)
    finally:
        service.close()


def _release_and_hold(refloat: Command, held: str, service: Running) -> None:
    assert refloat("checkpoint", "hold", "unset", held).status == 0
    assert bank(service).holds.all() == []
    assert refloat("checkpoint", "hold", "set", held, "again").status == 0
    assert [hold.reason for hold in bank(service).holds.all()] == ["again"]

"""Looking at operations, whoever runs them: who only looks writes nothing, and nothing is missed for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from api_helpers import NOOP, Running, User, run_service
from test_schedules import run_now, scheduled, trigger

from refloat.records.outbox import Outbox
from refloat.records.tables import Base, OperationRow
from tests.unit.support.cli_helpers import PROJECT, Command, Ran, new_user, serve_identity


@dataclass
class Shared:
    """A service and a command on one database."""

    service: Running
    command: Command
    member: User

    def rows(self) -> dict[str, list[str]]:
        """All that the database says, but for signs of life."""
        with self.service.deployment.database.engine.connect() as connection:
            return {
                name: sorted(str(row) for row in connection.execute(sa.select(table)))
                for name, table in Base.metadata.tables.items()
                if name != "services"
            }

    def told(self) -> list[str]:
        """The events that a receiver is yet to hear of."""
        notices = Outbox(self.service.deployment.database).left()
        return [notice.event_type.removeprefix("data_protect.") for notice in notices]

    def quiet(self) -> None:
        """Have the worker look at the records when it is woken, and else hardly ever."""
        for worker in self.service.workers:
            worker._tick = 3600.0
            worker.wake()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shared]:
    url = f"sqlite:///{tmp_path}/refloat.sqlite"
    if request.param == "postgresql":
        create: Callable[[], str] = request.getfixturevalue("postgresql")
        url = create()
    (tmp_path / "secret").write_text("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
    (tmp_path / "secret").chmod(0o600)
    lines = ("[notifications]", "webhooks = ops", "[webhook_ops]", "url = http://127.0.0.1:9/")
    file = tmp_path / "refloat.conf"
    file.write_text("\n".join((*lines, f"secret_file = {tmp_path}/secret")))
    service = run_service(tmp_path, files=[file], database__connection=url)
    identity = serve_identity()
    home = tmp_path / "home"
    home.mkdir()
    command = new_user(home, identity.server_address[1])
    command.environ.update(
        REFLOAT_DATABASE_URL=url,
        REFLOAT_BANK=str(tmp_path / "bank"),
        REFLOAT_BANK_KEY=str(tmp_path / "bank.key"),
    )
    try:
        yield Shared(service, command, service.user(project=PROJECT))
    finally:
        identity.shutdown()
        identity.server_close()
        service.close()


def of_the_service(shared: Shared) -> str:
    """A protection that a user of the service has asked for; the checkpoint's id."""
    return str(shared.member.protect(shared.member.plan(size=20))["id"])


def of_a_schedule(shared: Shared) -> str:
    """A protection that a schedule has asked for."""
    member = shared.member
    one = scheduled(member, member.plan(size=20), trigger(member)["id"])
    run_now(member, one)
    path = f"scheduled_operations/{one['id']}"
    found = member.until(path, lambda seen: seen["last_runs"] and seen["last_runs"][0]["checkpoint_id"])
    return str(found["last_runs"][0]["checkpoint_id"])


@pytest.mark.parametrize("ask", [of_the_service, of_a_schedule])
def test_a_protection_that_ends_while_a_command_looks_on_ends_as_any(
    shared: Shared, ask: Callable[[Shared], str]
) -> None:
    shared.service.work()
    checkpoint = ask(shared)
    (operation,) = shared.member("GET", "operations").body["operations"]
    shared.quiet()  # so that nobody but who looks could write the end
    watched: Ran = shared.command.run("operation", "watch", operation["id"])
    assert watched.status == 0, watched.err
    listed = json.loads(shared.command.run("operation", "list", "-f", "json").out)
    assert [row["state"] for row in listed] == ["succeeded"]
    shown = json.loads(shared.command.run("operation", "show", operation["id"], "-f", "json").out)
    assert shown["state"] == "succeeded"
    found = shared.member("GET", f"providers/{NOOP}/checkpoints/{checkpoint}").body["checkpoint"]
    assert found["status"] == "available"
    assert shared.told() == ["protect.start", "protect.end"]


def test_looking_at_operations_writes_nothing(shared: Shared) -> None:
    worker = shared.service.work()
    member = shared.member
    plan = member.plan()
    member.protected(plan)
    shared.service.workers.remove(worker)
    for each in (*shared.service.runners, worker):
        each.close()
    shared.service.runners.clear()
    member.protect(plan)  # queued
    killed = member.protect(plan)["id"]
    with shared.service.deployment.database.session() as session:
        mine = OperationRow.checkpoint_id == killed
        dead = {"state": "running", "attempt": 1, "executor": "x", "host": "gone", "expires": 1.0}
        session.execute(sa.update(OperationRow).where(mine).values(**dead))
    shared.command.run("checkpoint", "list")  # now the bank is known
    before = shared.rows()
    listed = json.loads(shared.command.run("operation", "list", "-f", "json").out)
    assert sorted(row["state"] for row in listed) == ["interrupted", "starting", "succeeded"]
    for row in listed:
        assert shared.command.run("operation", "show", row["id"]).status == 0
        if row["state"] != "starting":
            shared.command.run("operation", "watch", row["id"])
        assert member("GET", f"operations/{row['id']}").body["operation"]["status"] == row["state"]
        assert member("GET", f"operations/{row['id']}/events").status == 200
    assert shared.command.run("checkpoint", "list").status == 0
    assert member("GET", "operations").status == 200
    assert shared.rows() == before

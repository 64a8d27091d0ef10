"""The command and the service on one database: whoever asks, the same is asked, looked at and written (H3).

Who comes while a deletion is written down waits for it (H4).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from api_helpers import NOOP, Running, run_service, somebody_is_told

from refloat.cli.embedded import Embedded
from refloat.control.submit import Submitter
from refloat.records.tables import CheckpointRow, NoticeRow
from tests.unit.support.cli_helpers import PROJECT, Command, new_user, serve_identity

CHECKPOINTS = f"providers/{NOOP}/checkpoints"


def beside(running: Running, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """The command of a user of the service's project, on the service's database and bank."""
    server = serve_identity()
    command = new_user(folder, server.server_address[1])
    settings = running.deployment.settings
    command.environ.update(
        {
            "REFLOAT_DATABASE_URL": settings.database_url,
            "REFLOAT_BANK": settings.bank_url,
            "REFLOAT_BANK_KEY": str(settings.key_file),
        }
    )
    for name in list(os.environ):
        if name.startswith(("OS_", "REFLOAT_")):
            monkeypatch.delenv(name)
    for name, value in command.environ.items():
        monkeypatch.setenv(name, value)
    yield command
    server.shutdown()


@pytest.fixture
def refloat(service: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    yield from beside(service, tmp_path, monkeypatch)


@pytest.fixture
def checkpoint(service: Running) -> str:
    """A checkpoint of the service's, whose worker has gone home."""
    worker = service.work()
    made = service.user().protected()["id"]
    worker.close()
    return str(made)


def record(service: Running, identity: str, **values: Any) -> None:
    """Change what is known of a checkpoint."""
    with service.deployment.database.session() as session:
        session.execute(sa.update(CheckpointRow).where(CheckpointRow.id == identity).values(**values))


def test_what_the_service_deletes_the_command_leaves_alone(
    service: Running, refloat: Command, checkpoint: str
) -> None:
    assert service.user()("DELETE", f"{CHECKPOINTS}/{checkpoint}").status == 200
    for argv, why in (
        (("restore", checkpoint), "is not available"),
        (("restore", checkpoint, "--dry-run"), "is not available"),
        (("verify", checkpoint), "is not available"),
        (("checkpoint", "delete", checkpoint), "can not be deleted: it is deleting"),
        (("checkpoint", "hold", "set", checkpoint, "trial"), "can not be put on hold"),
    ):
        ran = refloat(*argv)
        assert (ran.status, why in ran.err) == (1, True), (argv, ran.err)


def test_what_the_command_deletes_the_service_leaves_alone(
    service: Running, refloat: Command, checkpoint: str
) -> None:
    with Embedded() as here:
        here.delete_checkpoint(checkpoint)
    member, body = service.user(), {"provider_id": NOOP, "checkpoint_id": checkpoint, "parameters": {}}
    assert member("GET", f"{CHECKPOINTS}/{checkpoint}").body["checkpoint"]["status"] == "deleting"
    assert member("POST", "restores", {"restore": body}).status == 409
    assert member("POST", "verifications", {"verification": body}).status == 409
    assert member("DELETE", f"{CHECKPOINTS}/{checkpoint}").status == 409
    hold = member("PUT", f"{CHECKPOINTS}/{checkpoint}/hold", {"hold": {"reason": "trial"}})
    assert (hold.status, "it is deleting" in hold.message) == (409, True)


def test_a_hold_keeps_a_checkpoint_from_both(service: Running, refloat: Command, checkpoint: str) -> None:
    member, path = service.user(), f"{CHECKPOINTS}/{checkpoint}"
    assert member("PUT", f"{path}/hold", {"hold": {"reason": "trial"}}).status == 200
    ran = refloat("checkpoint", "delete", checkpoint)
    assert (ran.status, "is on legal hold and cannot be deleted: trial" in ran.err) == (1, True)
    assert refloat("checkpoint", "hold", "unset", checkpoint).status == 0
    assert refloat("checkpoint", "hold", "set", checkpoint, "again").status == 0
    assert member("DELETE", path).status == 409


def test_the_operators_shortest_retention_holds_for_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = run_service(tmp_path, schedules__minimum_retention=48)
    try:
        service.work()
        made = service.user().protected()["id"]
        for refloat in beside(service, tmp_path, monkeypatch):
            ran = refloat("checkpoint", "delete", made)
            assert (ran.status, "the operator keeps everything for 2 days" in ran.err) == (1, True)
            assert refloat("checkpoint", "list", "-f", "value", "-c", "status").out == "available\n"
    finally:
        service.close()


def test_a_projects_quota_holds_for_the_command(service: Running, refloat: Command) -> None:
    service.deployment.quotas.set_project(PROJECT, {"checkpoints": 1})
    assert refloat("plan", "create", "app", "--resource", "noop=tree:3", "--provider", "noop").status == 0
    assert refloat("protect", "app").status == 0
    ran = refloat("protect", "app", "-f", "json")
    assert (ran.status, ran.out) == (1, "")
    assert "Maximum number of checkpoints allowed (1) exceeded" in ran.err


def test_who_is_told_of_the_services_operations_is_told_of_the_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = run_service(tmp_path, files=[somebody_is_told(tmp_path)])
    try:
        for refloat in beside(service, tmp_path, monkeypatch):
            refloat("plan", "create", "app", "--resource", "noop=tree:3", "--provider", "noop")
            assert refloat("protect", "app").status == 0
        with service.deployment.database.session() as session:
            told = session.execute(sa.select(NoticeRow.destination, NoticeRow.event_type))
            assert [tuple(row) for row in told] == [
                ("ops", "data_protect.protect.start"),
                ("ops", "data_protect.protect.end"),
            ]
    finally:
        service.close()


def test_the_service_knows_what_the_command_has_made(service: Running, refloat: Command) -> None:
    refloat("plan", "create", "app", "--resource", "noop=tree:3", "--provider", "noop")
    made = refloat("protect", "app", "-f", "json").json["id"]
    known = service.user()("GET", f"{CHECKPOINTS}/{made}").body["checkpoint"]
    assert (known["status"], known["protection_plan"]["name"]) == ("available", "app")
    assert known["resource_graph"] != "[{}, []]"


def test_parameters_are_checked_against_the_plugins_that_will_run(
    service: Running, refloat: Command, checkpoint: str
) -> None:
    """Those that made the checkpoint, though its provider has others by now."""
    record(service, checkpoint, plugins={"Refloat::Noop": "noop", "OS::Nova::Server": "server"})
    member, body = service.user(), {"provider_id": NOOP, "checkpoint_id": checkpoint}
    for parameters, status in (
        ({"OS::Nova::Server": {"restore_name": "again"}}, 200),
        ({"OS::Nova::Server": {"colour": "red"}}, 400),
        ({"OS::Cinder::Volume": {"restore_name": "again"}}, 400),
    ):
        answer = member("POST", "restores", {"restore": {**body, "parameters": parameters}})
        assert answer.status == status, answer.body
    ran = refloat("restore", checkpoint, "--dry-run", "--parameter", "server:colour=red")
    assert (ran.status, "has no parameter 'colour'" in ran.err) == (2, True)
    assert refloat("restore", checkpoint, "--dry-run", "--parameter", "server:restore_name=x").status == 0


def test_a_plan_of_what_its_provider_does_not_protect_is_refused_at_every_door(
    service: Running, refloat: Command
) -> None:
    words = "provider noop does not protect resources of type OS::Nova::Server"
    member, server = service.user(), {"type": "OS::Nova::Server", "id": "s1", "name": "web"}
    plan = {"name": "app", "provider_id": NOOP, "resources": [server], "parameters": {}}
    refused = member("POST", "plans", {"plan": plan})
    assert (refused.status, words in refused.message) == (400, True)
    made = member.plan()
    refused = member("PUT", f"plans/{made['id']}", {"plan": {"resources": [server]}})
    assert (refused.status, words in refused.message) == (400, True)
    ran = refloat("plan", "create", "web", "--resource", "server=s1", "--provider", "noop")
    assert (ran.status, words in ran.err) == (2, True)


def test_a_checkpoint_of_the_bank_that_was_forgotten_is_known_again(
    service: Running, refloat: Command, checkpoint: str
) -> None:
    """What is whole in the bank cannot be deleted, whatever the records say."""
    record(service, checkpoint, status="deleted", graph=None)
    assert refloat("verify", checkpoint, "-f", "json").json["status"] == "good"
    known = service.user()("GET", f"{CHECKPOINTS}/{checkpoint}").body["checkpoint"]
    assert (known["status"], known["resource_graph"] != "[{}, []]") == ("available", True)


def test_what_is_half_deleted_is_not_called_available(
    service: Running, refloat: Command, checkpoint: str
) -> None:
    """What it had in the cloud may be gone, though the bank has it."""
    record(service, checkpoint, status="error-deleting", reason="quota")
    ran = refloat("restore", checkpoint)
    assert (ran.status, "is not available" in ran.err) == (1, True)
    known = service.user()("GET", f"{CHECKPOINTS}/{checkpoint}").body["checkpoint"]
    assert known["status"] == "error-deleting"
    assert refloat("checkpoint", "delete", checkpoint).status == 0


@pytest.mark.postgresql
@pytest.mark.parametrize("other", ["restore", "hold"])
def test_who_comes_while_a_deletion_is_written_down_waits_and_is_refused(
    postgresql: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    service = run_service(tmp_path, database__connection=postgresql())
    try:
        worker = service.work()
        member = service.user()
        checkpoint = member.protected()["id"]
        worker.close()
        within, go_on = threading.Event(), threading.Event()
        add = Submitter.add

        def slow(self: Submitter, session: Any, by: Any, kind: str, *given: Any) -> Any:
            if kind == "delete":
                within.set()
                assert go_on.wait(60)
            return add(self, session, by, kind, *given)

        monkeypatch.setattr(Submitter, "add", slow)
        answers: dict[str, Any] = {}
        path = f"{CHECKPOINTS}/{checkpoint}"
        body = {"restore": {"provider_id": NOOP, "checkpoint_id": checkpoint, "parameters": {}}}
        asks: dict[str, Callable[[], Any]] = {
            "delete": lambda: member("DELETE", path),
            "restore": lambda: service.user()("POST", "restores", body),
            "hold": lambda: service.user()("PUT", f"{path}/hold", {"hold": {"reason": "trial"}}),
        }

        def ask(what: str) -> threading.Thread:
            thread = threading.Thread(target=lambda: answers.update({what: asks[what]()}))
            thread.start()
            return thread

        first = ask("delete")
        assert within.wait(60)
        second = ask(other)
        second.join(1)
        assert second.is_alive()  # it waits
        go_on.set()
        first.join(60)
        second.join(60)
        assert (answers["delete"].status, answers[other].status) == (200, 409)
    finally:
        service.close()

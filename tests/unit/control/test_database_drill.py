"""C4: the database of a running service is lost, and brought back from a copy made at a random moment.

Nothing that lives in the cloud is touched, nothing in the bank is forgotten: whether somebody says that the
database was brought back, or forgets to.
"""

from __future__ import annotations

import json
import random
import shutil
import time
import uuid
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import sqlalchemy as sa

from refloat.api import config
from refloat.api.deployment import Deployment
from refloat.cli import manage
from refloat.cloud.authority import Caller
from refloat.control import deletions
from refloat.control.elsewhere import HERE
from refloat.control.worker import Worker
from refloat.engine.program import StepRun
from refloat.errors import CloudError, Conflict, WrongBank
from refloat.operations.choices import Choices
from refloat.operations.protect import ProtectProgram
from tests import pgserver
from tests.chaos.tenant import DEFAULT
from tests.unit.doubles import openstack
from tests.unit.doubles.cases import PUBLIC_KEY
from tests.unit.doubles.world import World

PATIENCE = 120.0
RUN = cast(StepRun, SimpleNamespace(step="prepare", cancelled=lambda: False, progress=lambda *_done: None))
CALLER = Caller("tester", openstack.PROJECT, frozenset({"member"}))
GROUP, KEYPAIR, SHARE = "OS::Nova::ServerGroup", "OS::Nova::KeyPair", "OS::Manila::Share"


class Service:
    """One start of the service: its database and a worker."""

    def __init__(self, folder: Path) -> None:
        self.deployment = Deployment(config.load([folder / "refloat.conf"]))
        if not (folder / "bank").exists():
            self.deployment.banks.make(self.deployment.settings.bank)
        self.worker = Worker(
            self.deployment.settings,
            self.deployment.database,
            self.deployment.providers,
            self.deployment.authority,
            self.deployment.grants,
            tick=0.02,
            at_once=3,
        )
        self.worker.prepare()

    def protect(self, kind: str, identity: str, name: str) -> str:
        """Ask for a plan to be protected; the checkpoint's id."""
        entries = [{"type": kind, "id": identity, "name": name}]
        plan = self.deployment.plans(openstack.PROJECT).create(name, "default", entries, {})
        return self.deployment.submitter.protect(CALLER, plan, provider_id=DEFAULT)[0].id

    def states(self) -> dict[str, str]:
        with self.deployment.database.engine.connect() as connection:
            rows = connection.execute(sa.text("SELECT id, state FROM operations"))
            return {row.id: row.state for row in rows}

    def until(self, done: Callable[[], Any], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not done():
            assert time.monotonic() < deadline, f"{what}: {self.states()}"
            time.sleep(0.02)

    def ended(self, *, parked: bool = False) -> bool:
        return not {"queued", "running", *(() if parked else ("parked",))} & set(self.states().values())

    def close(self) -> None:
        self.worker.close()
        self.deployment.close()


class Copies:
    """How a database is copied, and brought back."""

    def __init__(self, server: pgserver.PostgreSQL | None, folder: Path) -> None:
        self.server = server
        self.file = folder / "refloat.sqlite"
        self.url = self.server.create_migrated() if self.server else f"sqlite:///{self.file}"
        self.copy = (self.server.home if self.server else folder) / f"copy-{uuid.uuid4()}"

    def make(self) -> None:
        if self.server is None:
            assert manage.main(["db", "backup", str(self.copy)]) == 0
            return
        name = sa.make_url(self.url).database or ""
        self.server._run(
            "pg_dump", "-h", f"{self.server.home}", "-U", "refloat", "-Fc", "-f", f"{self.copy}", name
        )

    def bring_back(self) -> None:
        if self.server is None:
            for file in self.file.parent.glob("refloat.sqlite*"):
                file.unlink()
            shutil.copy(self.copy, self.file)
            return
        name, at = sa.make_url(self.url).database or "", ("-h", f"{self.server.home}", "-U", "refloat")
        self.server._run("dropdb", *at, name)
        self.server._run("createdb", *at, name)
        self.server._run("pg_restore", *at, "-d", name, f"{self.copy}")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def copies(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Copies:
    server = request.getfixturevalue("_postgresql") if request.param == "postgresql" else None
    made = Copies(server, tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("REFLOAT_CONFIG", str(tmp_path / "refloat.conf"))
    (tmp_path / "refloat.conf").write_text(
        f"[database]\nconnection = {made.url}\n"
        f"[bank]\nurl = {tmp_path}/bank\nkey_file = {tmp_path}/bank.key\n"
        f"[providers]\nfolder = {tmp_path}/providers.d\n[operations]\nauthority = cloud\ncloud = here\n"
    )
    return made


def inventory(world: World) -> str:
    """All that there is in the cloud, by what the services themselves hold."""
    nova, manila = world.nova, world.manila
    return json.dumps([nova.keypairs, nova.groups, manila.shares, manila.snapshots], sort_keys=True)


@pytest.mark.parametrize("said", [True, False], ids=["said", "forgotten"])
def test_what_lives_stays_and_what_is_in_the_bank_is_known(
    said: bool, copies: Copies, world: World, tmp_path: Path
) -> None:
    chance = random.Random(copies.url.partition(":")[0] + str(said))
    cloud = world.cloud()
    originals = [(KEYPAIR, f"key-{number}", f"key-{number}") for number in range(2)]
    for _kind, name, _ in originals:
        cloud.compute.create_keypair(name=name, public_key=PUBLIC_KEY)
    for number in range(2):
        group = cloud.compute.create_server_group(name=f"group-{number}", policy="affinity")
        originals.append((GROUP, group.id, f"group-{number}"))
        originals.append((SHARE, world.manila.make_share(f"share-{number}", b"data"), f"share-{number}"))

    service = Service(tmp_path)
    with closing(service):
        for original in originals:
            service.protect(*original)
        service.worker.start()
        service.until(service.ended, "everything is protected")
        copied_at = chance.randrange(5, 40)
        for number in range(44):
            ask(service, chance, originals, number)
            if number == copied_at:
                service.until(lambda: "running" in service.states().values(), "something runs")
                copies.make()
            time.sleep(chance.uniform(0, 0.05))
        service.until(service.ended, "everything ends")
        assert "succeeded" in service.states().values()
    there = inventory(world)
    assert "refloat:" not in there, "nothing is marked"

    copies.bring_back()
    if said:
        assert manage.main(["db", "restored"]) == 0
    service = Service(tmp_path)
    with closing(service):
        unfinished = {identity for identity, state in service.states().items() if state != "succeeded"}
        bank = service.deployment.bank_of(service.deployment.providers.find(DEFAULT))
        kept = {info.id for info in bank.checkpoints()}
        service.worker.start()
        service.until(lambda: service.ended(parked=True), "nothing runs")
        parked = {identity for identity, state in service.states().items() if state == "parked"}
        assert parked, "the copy was made while something ran"
        assert parked <= unfinished
        time.sleep(1.0)  # and nothing goes on by itself
        assert {identity for identity, state in service.states().items() if state == "parked"} == parked
        assert inventory(world) == there

        for identity in sorted(parked):
            operation = service.deployment.operations.get(identity)
            assert "brought back" in str(operation.error)
            service.deployment.actions.cancel(CALLER, operation, HERE)
        service.until(service.ended, "all are undone")
        assert inventory(world) == there
        assert {info.id for info in bank.checkpoints()} == kept
        forgotten = [
            identity
            for identity, (status, _) in service.deployment.checkpoints.known().items()
            if status == "error" and identity in kept
        ]
        for identity in forgotten[:1]:  # its record knows nothing of what it has in the bank
            record = service.deployment.checkpoints.get(identity, None)
            assert deletions.delete(service.deployment.submitter, CALLER, record) is not None
            service.until(service.ended, "it is deleted")
            kept.remove(identity)
            assert {info.id for info in bank.checkpoints()} == kept
        service.worker.bank_looks.look()
        known = {identity: status for identity, (status, _) in service.deployment.checkpoints.known().items()}
        assert {identity for identity, status in known.items() if status == "available"} == kept


def ask(service: Service, chance: random.Random, originals: list[tuple[str, str, str]], number: int) -> None:
    """Ask for something."""
    available = [
        identity
        for identity, (status, _) in service.deployment.checkpoints.known().items()
        if status == "available"
    ]
    what = chance.choice(("protect", "restore", "restore", "verify"))
    if what == "protect":
        service.protect(*chance.choice(originals))
        return
    record = service.deployment.checkpoints.get(chance.choice(sorted(available)), None)
    named = {"restore_name": f"{{name}}-{number}"}
    if what == "verify":
        service.deployment.submitter.verify(CALLER, record, {})
        return
    with suppress(Conflict):  # the same share is being restored already
        choices = Choices(parameters={KEYPAIR: named, GROUP: named, SHARE: named})
        service.deployment.submitter.restore(CALLER, record, choices)


@pytest.mark.parametrize("copies", ["sqlite"], indirect=True)
def test_what_a_checkpoint_keeps_is_handed_over_though_its_operation_fails(
    copies: Copies, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed, or failed, right after the commit: nothing is undone, and nothing stays marked."""
    share, fails = world.manila.make_share("share", b"data"), iter([True])
    hand_over = ProtectProgram.hand_over

    def once_not(self: ProtectProgram) -> None:
        if next(fails, False):
            raise CloudError("the last thing that a protection does went wrong")
        hand_over(self)

    monkeypatch.setattr(ProtectProgram, "hand_over", once_not)
    service = Service(tmp_path)
    with closing(service):
        checkpoint = service.protect(SHARE, share, "share")
        service.worker.start()
        service.until(service.ended, "it ends")
        assert list(service.states().values()) == ["failed"]
        bank = service.deployment.bank_of(service.deployment.providers.find(DEFAULT))
        assert [info.id for info in bank.checkpoints()] == [checkpoint]
    (snapshot,) = world.manila.snapshots.values()
    assert checkpoint in snapshot["description"]
    assert "refloat:" not in inventory(world)


@pytest.mark.parametrize("copies", ["sqlite"], indirect=True)
def test_what_a_process_has_begun_to_write_before_it_died_is_not_forgotten_while_the_bank_is_away(
    copies: Copies, world: World, tmp_path: Path
) -> None:
    """Killed before it had written down that it had prepared; then cancelled by another."""
    service = Service(tmp_path)
    with closing(service):
        checkpoint = service.protect(SHARE, world.manila.make_share("share", b"data"), "share")
        (asked,) = service.deployment.operations.unfinished()
        operation = service.deployment.operations.get(asked.id)
        bank = service.deployment.bank_of(service.deployment.providers.find(DEFAULT))
        make = service.worker._factory(ProtectProgram)
        make(operation.id, operation.payload).prepare(RUN)  # and is dead
        assert [each.checkpoint_id for each in bank.info().unfinished] == [checkpoint]
        other = make(operation.id, operation.payload)
        (tmp_path / "bank").rename(tmp_path / "away")
        with pytest.raises(WrongBank):
            list(other.undo(None, {}, RUN))
        (tmp_path / "away").rename(tmp_path / "bank")
        list(make(operation.id, operation.payload).undo(None, {}, RUN))
        assert bank.info().unfinished == []

"""C4: a database that was brought back from a copy is recognised, and nothing in it goes on by itself."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
import sqlalchemy as sa

from refloat.bank import Bank, create_key
from refloat.cli import manage
from refloat.cli.embedded.session import EmbeddedSession
from refloat.control.brought_back import Guard, Remembered, bring_back
from refloat.control.settings import Settings
from refloat.errors import InvalidInput
from refloat.records.backup import copy_database
from refloat.records.database import Database
from refloat.records.incarnation import Incarnation, Incarnations
from tests.unit.support.engine_helpers import ask


class Machine:
    """A database with an operation in each state that has not ended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "state" / "refloat.sqlite"
        self.url = f"sqlite:///{self.file}"
        self.seen = folder / "seen"
        database = Database(self.url)
        for state in ("queued", "running", "parked", "succeeded"):
            ask(database, state, "restore", {"project_id": "project"})
            self.sql(f"UPDATE operations SET state = '{state}', requested = 'cancel' WHERE id = '{state}'")
        self.sql("UPDATE operations SET executor = 'x', attempt = 3 WHERE id = 'running'")
        database.close()

    def sql(self, statement: str) -> list[tuple[str, ...]]:
        engine = sa.create_engine(self.url)
        with engine.begin() as connection:
            result = connection.execute(sa.text(statement))
            rows = [tuple(row) for row in result] if result.returns_rows else []
        engine.dispose()
        return rows

    def work(self, folder: Path | None, *banks: Bank, busy: bool = True) -> None:
        """What a worker does before it takes anything up."""
        database = Database(self.url)
        Guard(database, folder, lambda: banks).look(busy=busy)
        database.close()

    def copy(self) -> None:
        copy_database(self.url, self.folder / "copy")

    def bring_back(self) -> None:
        for file in self.file.parent.glob("refloat.sqlite*"):
            file.unlink()
        (self.folder / "copy").rename(self.file)

    def states(self) -> dict[str, str]:
        return dict(self.sql("SELECT id, state FROM operations"))  # type: ignore[arg-type]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


AS_IT_WAS = {state: state for state in ("queued", "running", "parked", "succeeded")}
PARKED = {**dict.fromkeys(AS_IT_WAS, "parked"), "succeeded": "succeeded"}


def test_a_host_that_has_seen_more_parks_all_once(machine: Machine) -> None:
    machine.work(machine.seen)
    machine.copy()
    machine.work(machine.seen)
    assert machine.states() == AS_IT_WAS
    machine.bring_back()
    machine.work(machine.seen, busy=False)
    assert machine.states() == PARKED
    assert set(machine.sql("SELECT requested, executor FROM operations WHERE state = 'parked'")) == {("", "")}
    assert machine.sql("SELECT attempt FROM operations WHERE id = 'running'") == [(4,)]
    machine.sql("UPDATE operations SET state = 'running', executor = 'y' WHERE id = 'running'")
    machine.work(machine.seen)
    assert machine.states() == {**PARKED, "running": "running"}


def test_a_database_that_another_process_takes_further_meanwhile_is_no_copy(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does so, and tells the host, after the database was looked at and before the host is asked."""
    machine.work(machine.seen)
    read = Remembered.read

    def after_another(self: Remembered, identity: str) -> Incarnation | None:
        monkeypatch.setattr(Remembered, "read", read)
        machine.work(machine.seen)
        return read(self, identity)

    monkeypatch.setattr(Remembered, "read", after_another)
    machine.work(machine.seen, busy=False)
    assert machine.states() == AS_IT_WAS


def test_another_host_that_saw_more_still_is_content_with_what_the_first_has_done(machine: Machine) -> None:
    other = machine.folder / "other"
    machine.copy()
    machine.work(machine.seen)
    for _time in range(3):
        machine.work(other)
    machine.bring_back()
    machine.work(machine.seen)
    machine.sql("UPDATE operations SET state = 'queued' WHERE id = 'queued'")
    machine.work(other)
    assert machine.states()["queued"] == "queued"


def test_a_copy_of_before_the_last_time_is_older_however_far_it_came(machine: Machine) -> None:
    for _time in range(5):
        machine.work(machine.seen)
    machine.copy()
    database = Database(machine.url)
    bring_back(database, None)
    database.close()
    machine.work(machine.seen)
    machine.bring_back()
    machine.work(machine.seen)
    assert machine.states() == PARKED


def test_a_host_that_is_new_asks_the_bank(machine: Machine) -> None:
    key = create_key(machine.folder / "bank.key")
    bank = Bank.open(str(machine.folder / "bank"), key, create=True)
    machine.work(machine.seen, bank)
    machine.copy()
    bank.remember(*_now(machine, more=5))
    bank.remember(*_now(machine, more=2))  # a worker that is late
    machine.bring_back()
    machine.work(machine.folder / "new host", bank)
    assert machine.states() == PARKED
    assert len(list((machine.folder / "bank" / "databases").iterdir())) == 1
    assert not bank.verify_all(depth="full").damages


def _now(machine: Machine, more: int) -> tuple[str, int, int]:
    database = Database(machine.url)
    now = Incarnations(database).read()
    database.close()
    return now.id, now.number, now.sequence + more


def test_another_database_in_the_same_place_is_no_older_one(machine: Machine, tmp_path: Path) -> None:
    for _time in range(5):
        machine.work(machine.seen)
    machine.file.unlink()
    (tmp_path / "another").mkdir()
    Machine(tmp_path / "another").file.rename(machine.file)
    machine.work(machine.seen)
    assert machine.states() == AS_IT_WAS


def test_the_command_notices_before_anything_new_is_asked_for(machine: Machine) -> None:
    machine.work(machine.seen)
    machine.copy()
    machine.work(machine.seen)
    machine.bring_back()
    settings = Settings(machine.url, str(machine.folder / "bank"), machine.folder / "key", None, machine.seen)
    session = EmbeddedSession(settings)
    ask(session.database, "new", "protect", {})
    session.close()
    machine.work(machine.seen)
    assert machine.states() == {**PARKED, "new": "queued"}


def test_manage_copies_a_database_that_is_in_use_and_says_that_it_was_brought_back(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(machine.folder / "xdg"))
    monkeypatch.setenv("REFLOAT_DATABASE_URL", machine.url)
    to = machine.folder / "copy"
    to.write_text("the copy of yesterday")
    writing = sa.create_engine(machine.url)
    with writing.connect() as connection:
        connection.execute(sa.text("UPDATE operations SET kind = 'half done'"))
        assert manage.main(["db", "backup", str(to)]) == 0
        connection.rollback()
    writing.dispose()
    assert stat.S_IMODE(to.stat().st_mode) == 0o600
    machine.sql("DELETE FROM operations")
    machine.bring_back()
    assert machine.sql("SELECT DISTINCT kind FROM operations") == [("restore",)]
    assert machine.states() == AS_IT_WAS
    assert manage.main(["db", "restored"]) == 0
    assert "3 operations are parked" in capsys.readouterr().out
    assert machine.states() == PARKED
    told = json.loads(machine.sql("SELECT error FROM operations WHERE id = 'queued'")[0][0])
    assert "Resume it" in told["advice"] or "resume it" in told["advice"]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (
            "postgresql://user:secret@db.example/refloat",
            "pg_dump --format=custom --file=.*postgresql://user@db",
        ),
        ("sqlite:////nowhere/at/all.sqlite", "there is no database"),
    ],
)
def test_what_cannot_be_copied_is_told(url: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=says) as told:
        copy_database(url, tmp_path / "copy")
    assert "secret" not in str(told.value)
    assert not (tmp_path / "copy").exists()


def test_a_copy_that_fails_leaves_the_old_one(machine: Machine, tmp_path: Path) -> None:
    machine.copy()
    old = (tmp_path / "copy").read_bytes()
    machine.file.write_bytes(b"not a database at all")
    for file in machine.file.parent.glob("*-*"):
        file.unlink()
    with pytest.raises(Exception, match="could not be copied"):
        machine.copy()
    assert (tmp_path / "copy").read_bytes() == old
    assert [file.name for file in tmp_path.glob(".copy*")] == []

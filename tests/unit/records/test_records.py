"""What SQL remembers, and for how long."""

import importlib
import pkgutil
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from refloat import records
from refloat.errors import InvalidInput, NotFound, RefloatError
from refloat.records.database import HEAD, Database
from refloat.records.journal import SqlJournal
from refloat.records.operations import Operations, write_failure
from refloat.records.plans import Plans
from refloat.records.tables import Base


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(f"sqlite:///{tmp_path}/new/folder/refloat.sqlite")


def test_the_folder_is_for_its_user_alone(database: Database, tmp_path: Path) -> None:
    assert (tmp_path / "new/folder").stat().st_mode & 0o777 == 0o700


def test_the_migrations_make_what_the_tables_say(database: Database) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    for module in pkgutil.iter_modules(records.__path__):  # some have tables of their own
        importlib.import_module(f"refloat.records.{module.name}")
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == HEAD


def test_the_newest_migration_is_the_one_that_is_looked_for() -> None:
    from alembic.script import ScriptDirectory

    from refloat.records import migrate

    folder = Path(migrate.__file__).parent / "migrations"
    assert ScriptDirectory(str(folder)).get_heads() == [HEAD]


def test_two_processes_may_make_the_tables_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/refloat.sqlite"
    failures: list[Exception] = []

    def open_it() -> None:
        try:
            Database(url)
        except Exception as exc:
            failures.append(exc)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_database_of_a_newer_refloat_is_left_alone(database: Database) -> None:
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(RefloatError, match="newer Refloat"):
        Database(database.url)


def test_a_database_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "refloat.sqlite").write_bytes(b"this is no database" * 100)
    with pytest.raises(RefloatError, match="could not open the database"):
        Database(f"sqlite:///{tmp_path}/refloat.sqlite")


def test_a_plan_is_found_by_name_and_by_id_in_its_project_alone(database: Database) -> None:
    plans = Plans(database, "p1")
    plan = plans.create("shop", "default", [{"type": "t", "id": "1", "name": "n"}], {"t": {"force": True}})
    assert plans.find("shop") == plans.find(plan.id) == plan
    assert plan.created_at.endswith("Z")
    with pytest.raises(NotFound, match="no plan 'shop'"):
        Plans(database, "p2").find("shop")


def test_two_plans_of_one_name_are_told_apart_by_id(database: Database) -> None:
    plans = Plans(database, "p1")
    first, second = (plans.create("shop", "default", [], {}) for _ in range(2))
    with pytest.raises(InvalidInput, match=first.id):
        plans.find("shop")
    assert plans.find(second.id) == second


def create(database: Database, identity: str, kind: str, payload: dict[str, Any]) -> None:
    with database.session() as session:
        Operations(database).add(session, identity, kind, "p1", payload, None)


def test_an_operation_is_found_by_the_beginning_of_its_id(database: Database) -> None:
    operations = Operations(database, "p1")
    create(database, "aaaa-1", "protect", {"plan": {"id": "x"}})
    create(database, "aaab-2", "restore", {})
    assert operations.get("aaaa").kind == "protect"
    with pytest.raises(InvalidInput, match="2 operations begin"):
        operations.get("aaa")
    with pytest.raises(NotFound):
        operations.get("b")
    with pytest.raises(NotFound):
        operations.get("")


def test_how_an_operation_ended_is_remembered_with_the_cause(database: Database) -> None:
    operations = Operations(database, "p1")
    create(database, "o1", "protect", {})
    assert operations.get("o1").ended_at == ""
    with database.session() as session:
        write_failure(session, "o1", {"message": "no space"})
    assert operations.get("o1").state == "failed"
    assert operations.get("o1").error == {"message": "no space"}
    assert operations.get("o1").ended_at


def test_the_journal_outlives_the_process(database: Database) -> None:
    create(database, "o1", "restore", {})
    journal = SqlJournal(database, "o1")
    journal.intend("server#1", "port-0", "port", {"id": "p"})
    journal.intend("server#1", "server", "server", {})
    journal.made("server#1", "server", "new-id")
    again = SqlJournal(Database(database.url), "o1")
    assert [(entry.role, entry.id, dict(entry.clue)) for entry in again.entries()] == [
        ("port-0", "", {"id": "p"}),
        ("server", "new-id", {}),
    ]
    again.forget("server#1", "port-0")
    assert journal.find("server#1", "port-0") is None


def test_what_an_older_refloat_remembered_is_still_there(tmp_path: Path) -> None:
    from sqlalchemy import create_engine

    from refloat.records.migrate import upgrade

    url = f"sqlite:///{tmp_path}/refloat.sqlite"
    engine = create_engine(url)
    upgrade(engine, "0001")
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO plans VALUES ('p', 'project', 'shop', '', 'default', '[]', '{}', "
                "'2026-01-01 00:00:00', NULL)"
            )
        )
        connection.execute(
            text(
                "INSERT INTO operations VALUES ('o', 'protect', 'project', 'p', 'c', 'succeeded', '{}', "
                "NULL, NULL, '2026-01-01 00:00:00', NULL)"
            )
        )
    engine.dispose()
    database = Database(url)
    (plan,) = Plans(database, "project").list()
    assert (plan.name, plan.status) == ("shop", "suspended")
    (operation,) = Operations(database, "project").list()
    assert (operation.state, operation.runner, operation.authority) == ("succeeded", "command", None)
    database.close()

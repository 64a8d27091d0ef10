"""Databases of 29113ea are brought along: by however many at once, and whenever one of them is killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from refloat.records.database import Database
from refloat.records.tables import OperationRow
from tests.unit.support.released_database import Released, load

ROOT = Path(__file__).parents[3]

OPEN = "from refloat.records.database import Database; Database(sys.argv[1]).close()"
KILLED = {
    "before it is committed": "import alembic.command as c; up = c.upgrade; "
    "c.upgrade = lambda *a: (up(*a), os._exit(9)); ",
    "before the old file is put aside": "import refloat.records.migrate as m; "
    "m._put_aside = lambda *a: os._exit(9); ",
}


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def released(request: pytest.FixtureRequest, tmp_path: Path) -> Released:
    create: Callable[[], str] | None = None
    if request.param == "postgresql":
        create = request.getfixturevalue("empty_postgresql")
    return load(tmp_path, create)


def opened(released: Released, before: str = "") -> subprocess.Popen[str]:
    """A process that opens the database."""
    code = f"import os, sys; {before}{OPEN}"
    return subprocess.Popen(
        [sys.executable, "-c", code, released.url], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )


def facts(database: Database) -> dict[str, Any]:
    """What is known of each operation, and all that the workflow library has recorded."""
    schema = "" if database.is_sqlite else "refloat_engine."
    with database.session() as session:
        rows = {row.id: row for row in session.scalars(sa.select(OperationRow))}
        steps = f"SELECT workflow_uuid, function_id, output FROM {schema}operation_outputs"
        recorded = sorted(tuple(row) for row in session.execute(sa.text(steps)))
    names = ("state", "requested", "attempt", "executor", "result", "error", "on_failure")
    return {key: tuple(getattr(row, name) for name in names) for key, row in rows.items()} | {"": recorded}


def check(released: Released, database: Database) -> None:
    """All is where it belongs."""
    known = facts(database)
    assert known.keys() - {""} == released.contents["operations"].keys()
    for key, about in released.contents["operations"].items():
        records, engine = about["records"], about["engine"]
        state, requested, attempt, executor, *_ = known[key]
        assert bool(attempt) == (engine is not None), about
        if records["state"] in ("succeeded", "failed", "cancelled"):
            assert (state, requested, executor) == (records["state"], "", ""), about
        elif engine is None:
            assert state == {"running": "queued"}.get(records["state"], records["state"]), about
        elif engine["state"] == "running":
            assert state == "running", about
            assert executor, about
        else:
            assert executor == "", about
        if "cancel" in records["wish"]:
            assert requested == "cancel", about
    with database.session() as session:
        for table, count in released.contents["rows"].items():
            assert session.scalar(sa.text(f"SELECT count(*) FROM {table}")) == count, table
    assert known[""], "what was recorded of steps is there"


def test_all_is_brought_along(released: Released) -> None:
    database = Database(released.url)
    try:
        check(released, database)
        before = facts(database)
        Database(released.url).close()  # once more is no matter
        assert facts(database) == before
        names = set(sa.inspect(database.engine).get_table_names())
        if not database.is_sqlite:
            names |= set(sa.inspect(database.engine).get_table_names(schema="refloat_engine"))
        assert "engine_operation" not in names
        assert "workflow_status" in names
    finally:
        database.close()
    left = sorted(path.name for path in released.folder.glob("refloat*.sqlite*"))
    assert left == (["refloat-engine.sqlite.merged", "refloat.sqlite"] if database.is_sqlite else [])


@pytest.mark.parametrize("when", KILLED)
def test_killed_it_is_made_again(released: Released, when: str) -> None:
    if not released.url.startswith("sqlite") and "file" in when:
        return  # there is none
    killed = opened(released, KILLED[when])
    assert killed.wait(120) == 9, killed.communicate()
    killed.communicate()
    database = Database(released.url)
    try:
        check(released, database)
    finally:
        database.close()


def test_several_at_once(released: Released) -> None:
    processes = [opened(released) for _ in range(4)]
    for process in processes:
        _, said = process.communicate(timeout=240)
        assert process.returncode == 0, said
    database = Database(released.url)
    try:
        check(released, database)
    finally:
        database.close()


def test_a_new_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/new/refloat.sqlite")
    try:
        modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "new").iterdir()}
        assert set(modes.values()) == {0o600}, modes
        assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    finally:
        database.close()


def test_m8_a_file_in_a_folder_that_others_read_becomes_its_owners_alone(tmp_path: Path) -> None:
    """M8: the database is as secret as what it remembers, and so is what SQLite puts beside it."""
    folder = tmp_path / "open"
    folder.mkdir(mode=0o755)
    first = Database(f"sqlite:///{folder}/refloat.sqlite")
    for path in folder.iterdir():
        path.chmod(0o644)  # as an older version, or another umask, has left them
    again = Database(f"sqlite:///{folder}/refloat.sqlite")
    try:
        with again.session() as session:
            session.execute(sa.text("CREATE TABLE more (id INTEGER)"))
        modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
        assert len(modes) == 3
        assert set(modes.values()) == {0o600}, modes
        assert folder.stat().st_mode & 0o777 == 0o755  # somebody else's
    finally:
        first.close()
        again.close()

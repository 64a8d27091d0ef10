"""The database of 29113ea that upgrades are tested with: it loads, and holds what it is said to hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from refloat.bank import Bank, keys
from tests.unit.support.released_database import Released, load

STATES = {"running", "parked", "succeeded", "failed", "cancelled"}


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)],
)
def released(request: pytest.FixtureRequest, tmp_path: Path) -> Released:
    create: Callable[[], str] | None = None
    if request.param == "postgresql":
        create = request.getfixturevalue("empty_postgresql")
    return load(tmp_path, create)


def rows(url: str, query: str) -> list[Any]:
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    try:
        with engine.connect() as connection:
            return list(connection.execute(sa.text(query)).mappings())
    finally:
        engine.dispose()


def test_it_holds_what_it_says(released: Released) -> None:
    said = released.contents
    records = {row["id"]: row for row in rows(released.url, "SELECT * FROM operations")}
    assert records.keys() == said["operations"].keys()
    sqlite = released.url.startswith("sqlite")
    url = released.url.removesuffix(".sqlite") + "-engine.sqlite" if sqlite else released.url
    table = "engine_operation" if sqlite else "refloat_engine.engine_operation"
    engine = {row["id"]: row for row in rows(url, f"SELECT * FROM {table}")}
    for identity, about in said["operations"].items():
        row = records[identity]
        assert {"state": row["state"], "wish": row["wish"]} == about["records"]
        assert (row["runner"], row["kind"]) == (about["runner"], about["kind"])
        ran = engine.get(identity)
        assert about["engine"] == (ran and {"state": ran["state"], "wish": ran["wish"]})
    checkpoints = {row["id"]: row["status"] for row in rows(released.url, "SELECT * FROM checkpoints")}
    assert checkpoints == said["checkpoints"]
    for table, count in said["rows"].items():
        assert len(rows(released.url, f"SELECT * FROM {table}")) == count, table


def test_every_state_is_there(released: Released) -> None:
    found = Counter(
        (about["runner"], about["records"]["state"], (about["engine"] or {}).get("state"))
        for about in released.contents["operations"].values()
    )
    for runner in ("command", "service"):
        for state in STATES:
            assert found[runner, state, state], (runner, state)
        for state in ("parked", "succeeded", "failed"):
            assert found[runner, "running", state], f"{runner}: ended, and not written down: {state}"
        assert found[runner, "running", None], f"{runner}: queued"
    wishes = {about["records"]["wish"] for about in released.contents["operations"].values()}
    assert wishes == {"", "cancel", "park", "resume", "cancelling"}
    statuses = {"protecting", "available", "error", "deleting", "deleted", "error-deleting", "wait_copying"}
    assert statuses | {"copying"} == set(released.contents["checkpoints"].values())


@pytest.mark.parametrize("bank", ["bank", "away"])
def test_its_banks_are_whole(released: Released, bank: str) -> None:
    found = Bank.open(str(released.folder / bank), keys.load_key(released.folder / f"{bank}.key"))
    there = {info.id for info in found.checkpoints() if not info.damaged}
    known = {key for key, status in released.contents["checkpoints"].items() if status == "available"}
    assert there
    assert not found.verify_all().damages
    if bank == "bank":
        assert known - there == known & {info.id for info in _away(released).checkpoints()}


def _away(released: Released) -> Bank:
    return Bank.open(str(released.folder / "away"), keys.load_key(released.folder / "away.key"))

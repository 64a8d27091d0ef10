"""How connections to PostgreSQL are set up, and how an engine goes on where another was held up."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
import sqlalchemy as sa

from refloat import postgresql
from refloat.engine import lease
from refloat.records.database import Database
from tests import pgserver

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.skipif(not pgserver.is_installed(), reason=pgserver.NOT_INSTALLED),
]


def test_a_transaction_that_is_left_alone_ends_before_a_lease_does() -> None:
    # A lease that was not renewed just before its owner was stopped has as much left at the least.
    assert postgresql.IDLE_IN_TRANSACTION < lease.LASTS * 3 / 4 - 1


@pytest.fixture(scope="module")
def postgresql_url() -> Iterator[str]:
    server = pgserver.PostgreSQL()
    try:
        yield server.create()
    finally:
        server.close()


def test_the_database_is_opened_so_that_nobody_waits_for_ever(postgresql_url: str) -> None:
    database = Database(postgresql_url)
    try:
        with database.engine.connect() as connection:
            shown = {
                name: connection.scalar(sa.text(f"SHOW {name}"))
                for name in ("idle_in_transaction_session_timeout", "lock_timeout", "statement_timeout")
            }
        assert shown == {
            "idle_in_transaction_session_timeout": "8s",
            "lock_timeout": "10s",
            "statement_timeout": "1min",
        }
    finally:
        database.close()


def test_who_leaves_a_transaction_alone_loses_it(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "IDLE_IN_TRANSACTION", 0.3)
    url = sa.make_url(postgresql_url)
    stopped, other = postgresql.make_engine(url), postgresql.make_engine(url)
    try:
        with other.begin() as connection:
            connection.execute(sa.text("CREATE TABLE things (number INTEGER)"))
            connection.execute(sa.text("INSERT INTO things VALUES (1)"))
        with stopped.connect() as holding:
            holding.execute(sa.text("UPDATE things SET number = 2"))
            with other.begin() as connection:  # waits until the server has ended the first
                connection.execute(sa.text("UPDATE things SET number = number + 10"))
            with pytest.raises(sa.exc.DBAPIError):
                holding.execute(sa.text("SELECT 1"))
        with stopped.connect() as connection:
            assert connection.scalar(sa.text("SELECT number FROM things")) == 11
    finally:
        stopped.dispose()
        other.dispose()


def test_the_end_of_the_line_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {}

    def connect(*_arguments: object, **options: object) -> None:
        given.update(options)
        raise psycopg.OperationalError("enough")

    monkeypatch.setattr(psycopg, "connect", connect)
    monkeypatch.setattr(psycopg.Connection, "connect", connect)
    url = sa.make_url("postgresql://someone@db.example/refloat?connect_timeout=3")
    engine = postgresql.make_engine(url)
    with pytest.raises(sa.exc.OperationalError), engine.connect():
        pass
    assert given["connect_timeout"] == "3"
    assert given["tcp_user_timeout"] == 20_000
    assert given["keepalives_idle"] == 10

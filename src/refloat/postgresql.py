"""How every connection to PostgreSQL is opened: nobody holds up the others, and nobody waits for ever.

A process that is stopped, or whose host vanishes, in the middle of a transaction holds the rows that it has
locked: whoever is to take its operations over would wait for it. So the server ends a session that leaves a
transaction alone for :data:`IDLE_IN_TRANSACTION` seconds, which is less than a lease can last from then on
(see :mod:`refloat.engine.lease`). What such a process had not committed is undone; when it wakes, its next
statement fails. Waits for locks and statements are bounded too, and both ends find out by themselves when
the other end of a TCP connection is gone.

What the URL says of the connection itself (``?connect_timeout=3``) goes before what is said here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

IDLE_IN_TRANSACTION = 8.0
"""Seconds without a statement after which the server ends a session that is in a transaction."""
LOCK = 10.0
"""Seconds that a statement waits for a lock."""
STATEMENT = 60.0
"""Seconds that a statement may take, waits for locks included."""

_CLIENT: Mapping[str, int] = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""This end's view of the connection (libpq): seconds, but ``tcp_user_timeout`` milliseconds."""

_SERVER: Mapping[str, str] = {
    "tcp_keepalives_idle": "10s",
    "tcp_keepalives_interval": "5s",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "20s",
}
"""The server's view of it."""


def make_engine(url: sa.URL, **options: Any) -> sa.Engine:
    """SQLAlchemy's engine for a PostgreSQL database.

    :param options: as for ``sqlalchemy.create_engine``.
    """
    connect = {name: value for name, value in _CLIENT.items() if name not in url.query}
    engine = sa.create_engine(
        url.set(drivername="postgresql+psycopg"), connect_args=connect, pool_pre_ping=True, **options
    )
    sa.event.listen(engine, "connect", _set_up)
    return engine


def take_time(connection: sa.Connection) -> None:
    """In this transaction statements and waits for locks may take as long as they do: for migrations."""
    for name in ("statement_timeout", "lock_timeout"):
        connection.exec_driver_sql(f"SET LOCAL {name} = 0")
    connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = '5min'")


def _set_up(connection: Any, _record: Any) -> None:
    settings = {
        "idle_in_transaction_session_timeout": f"{int(IDLE_IN_TRANSACTION * 1000)}ms",
        "lock_timeout": f"{int(LOCK * 1000)}ms",
        "statement_timeout": f"{int(STATEMENT * 1000)}ms",
        **_SERVER,
    }
    if connection.info.server_version >= 140000:
        # A statement that waits, for a lock say, ends when nobody is there any more to hear of it.
        settings["client_connection_check_interval"] = "10s"
    # Statements rather than the option "options": connection poolers refuse that one.
    calls = ", ".join("set_config(%s, %s, false)" for _ in settings)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {calls}", [part for item in settings.items() for part in item])
    connection.commit()

"""What is being granted for operations that are not written down yet: whoever dies meanwhile leaves this."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from refloat.records.database import Database
from refloat.records.tables import GrantRow

_SPREAD = 86_400
"""Within so many seconds after its lifetime, by chance, something ends."""


@dataclass(frozen=True, slots=True)
class Intent:
    """Something that is about to be granted.

    :param until: when it ends by itself (UTC), in whole seconds. Of one user in one project no two things
        granted end in the same second: what was granted is found by it.
    """

    id: str
    user_id: str
    project_id: str
    target: str
    until: datetime
    created_at: datetime


class Intents:
    """All that is being granted."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, user_id: str, project_id: str, target: str, lifetime: timedelta) -> Intent:
        now = datetime.now(UTC).replace(tzinfo=None)
        # In whole seconds: Keystone leaves out what is less.
        odd = timedelta(seconds=secrets.randbelow(_SPREAD))
        until = now.replace(microsecond=0) + lifetime + odd
        intent = Intent(str(uuid.uuid4()), user_id, project_id, target, until, now)
        with self._database.session() as session:
            session.add(GrantRow(**{name: getattr(intent, name) for name in Intent.__slots__}))
        return intent

    def settle(self, session: Session, identity: str) -> None:
        """Forget it, in a session of the caller's: the operation is written down."""
        session.execute(delete(GrantRow).where(GrantRow.id == identity))

    def forget(self, identity: str) -> None:
        with self._database.session() as session:
            self.settle(session, identity)

    def older_than(self, age: timedelta) -> Sequence[Intent]:
        """Those that were written down so long ago that nobody can still be at it."""
        before = datetime.now(UTC).replace(tzinfo=None) - age
        query = select(GrantRow).where(GrantRow.created_at < before).order_by(GrantRow.created_at)
        with self._database.session() as session:
            return [
                Intent(**{name: getattr(row, name) for name in Intent.__slots__})
                for row in session.scalars(query)
            ]

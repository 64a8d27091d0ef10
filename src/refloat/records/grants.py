"""What is being granted for operations that are not written down yet: whoever dies meanwhile leaves this."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from refloat.database import now
from refloat.records.database import Database, of_row
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
        moment = now()
        # In whole seconds: Keystone leaves out what is less.
        odd = timedelta(seconds=secrets.randbelow(_SPREAD))
        until = moment.replace(microsecond=0) + lifetime + odd
        intent = Intent(str(uuid.uuid4()), user_id, project_id, target, until, moment)
        with self._database.session() as session:
            session.add(GrantRow(**asdict(intent)))
        return intent

    def settle(self, session: Session, identity: str) -> None:
        """Forget it, in a session of the caller's: the operation is written down."""
        session.execute(delete(GrantRow).where(GrantRow.id == identity))

    def forget(self, identity: str) -> None:
        with self._database.session() as session:
            self.settle(session, identity)

    def older_than(self, age: timedelta) -> Sequence[Intent]:
        """Those that were written down so long ago that nobody can still be at it."""
        before = now() - age
        query = select(GrantRow).where(GrantRow.created_at < before).order_by(GrantRow.created_at)
        return self._database.read(query, partial(of_row, Intent))

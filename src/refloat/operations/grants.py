"""What an operation acts with: granted before it is written down, and never left behind.

Between making a trust and writing the operation down, a process may die. So the intention is written down
first; it goes in the transaction that writes the operation down. What is old and still there, a worker looks
for and gives back.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from refloat.cloud.authority import Authority, Caller
from refloat.cloud.errors import status_of
from refloat.errors import CloudError, RefloatError
from refloat.records.database import Database
from refloat.records.grants import Intents

_LOG = logging.getLogger(__name__)

ABANDONED = timedelta(minutes=15)
"""So long after it was written down, nobody is about to make a trust any more: requests end sooner."""


class Grant:
    """What is granted for one operation.

    :param authority: JSON, no secrets; None: the operation has no rights in any cloud.
    """

    def __init__(self, authority: dict[str, Any] | None, intent_id: str = "") -> None:
        self.authority = authority
        self.kept = False
        self._intent_id = intent_id

    def settle(self, session: Session, intents: Intents) -> None:
        """The operation is being written down in this session."""
        if self._intent_id:
            intents.settle(session, self._intent_id)

    def keep(self) -> None:
        """The operation is written down."""
        self.kept = True


NOTHING = Grant(None)
"""For operations that have nothing to do in any cloud."""


class Grants:
    """Grants what operations act with.

    :param lifetime: what nobody can give back ends by itself after that.
    """

    def __init__(self, database: Database, authority: Authority, lifetime: timedelta) -> None:
        self._authority = authority
        self._lifetime = lifetime
        self.intents = Intents(database)

    @contextmanager
    def to(self, caller: Caller) -> Iterator[Grant]:
        """What an operation for a caller acts with; given back when the operation was not written down.

        :raises CloudError: the identity service refuses.
        """
        intent = self.intents.add(caller.user_id, caller.project_id, caller.target, self._lifetime)
        try:
            grant = Grant(self._authority.grant(caller, intent.until), intent.id)
        except RefloatError as exc:
            # When there was no answer, it may be granted all the same, and a worker looks for it.
            if not isinstance(exc, CloudError) or status_of(exc) is not None:
                self.intents.forget(intent.id)
            raise
        try:
            yield grant
        finally:
            if not grant.kept:
                self._give_back(grant, intent.id)

    def _give_back(self, grant: Grant, intent_id: str) -> None:
        try:
            self._authority.revoke(grant.authority or {})
            self.intents.forget(intent_id)
        except RefloatError as exc:  # the caller must hear why the operation was not written down
            _LOG.warning("what was granted for an operation that did not begin stays for a while: %s", exc)

    def sweep(self) -> None:
        """Give back what was granted when nobody was left to write it down."""
        for intent in self.intents.older_than(ABANDONED):
            try:
                found = self._authority.stray(intent)
                if found is not None:
                    self._authority.revoke(found)
                self.intents.forget(intent.id)
            except RefloatError as exc:
                _LOG.warning("could not look for what was granted %s: %s", intent.created_at, exc)

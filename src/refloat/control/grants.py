"""What an operation acts with: granted before it is written down, and never left behind.

Between making a trust and writing the operation down, a process may die. So the intention is written down
first; it goes in the transaction that writes the operation down. What is old and still there, a worker looks
for and gives back.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from itertools import groupby
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

_TRIES = 5


class Grant:
    """What is granted for one operation.

    :param authority: JSON, no secrets; None: the operation has no rights in any cloud.
    :param until: when it ends by itself (UTC), if it is a trust.
    """

    def __init__(
        self, authority: dict[str, Any] | None, intent_id: str = "", until: datetime | None = None
    ) -> None:
        self.authority = authority
        self.until = until
        self.kept = False
        self.intent_id = intent_id

    def settle(self, session: Session, intents: Intents) -> None:
        """The operation is being written down in this session."""
        if self.intent_id:
            intents.settle(session, self.intent_id)

    def keep(self) -> None:
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
        grant = self._made(caller)
        try:
            yield grant
        finally:
            if not grant.kept:
                self._give_back(grant)

    def _made(self, caller: Caller) -> Grant:
        tries = _TRIES
        while True:
            tries -= 1
            intent = self.intents.add(caller.user_id, caller.project_id, caller.target, self._lifetime)
            try:
                return Grant(self._authority.grant(caller, intent.until), intent.id, intent.until)
            except RefloatError as exc:
                status = status_of(exc) if isinstance(exc, CloudError) else 0
                # Without an answer, or with a proxy's, it may be granted all the same: a worker looks.
                if status is not None and status < HTTPStatus.INTERNAL_SERVER_ERROR:
                    self.intents.forget(intent.id)
                # Keystone has no two trusts between the same users that end in the same second; not even
                # when one of them was deleted.
                if status != HTTPStatus.CONFLICT or not tries:
                    raise

    def _give_back(self, grant: Grant) -> None:
        try:
            self._authority.revoke(grant.authority or {})
            self.intents.forget(grant.intent_id)
        except RefloatError as exc:  # the caller must hear why the operation was not written down
            _LOG.warning("what was granted for an operation that did not begin stays for a while: %s", exc)

    def sweep(self) -> None:
        """Give back what was granted when nobody was left to write it down.

        What a listing lacks may be there all the same, and is looked for until it has ended by itself.
        """
        old = sorted(self.intents.older_than(ABANDONED), key=lambda intent: intent.target)
        for target, group in groupby(old, key=lambda intent: intent.target):
            intents = list(group)
            try:
                found = self._authority.strays(target, intents)
            except RefloatError as exc:
                _LOG.warning("could not look for what was granted since %s: %s", intents[0].created_at, exc)
                continue
            for intent, granted in zip(intents, found, strict=True):
                try:
                    if granted is not None:
                        self._authority.revoke(granted)
                    if granted is not None or intent.until < datetime.now(UTC).replace(tzinfo=None):
                        self.intents.forget(intent.id)
                except RefloatError as exc:
                    _LOG.warning("could not give back what was granted %s: %s", intent.created_at, exc)

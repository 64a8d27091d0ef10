"""Cancels, parks and resumes the service's operations: writes down the wish, a worker heeds it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

from refloat.cloud.authority import Authority, Caller
from refloat.control.grants import Grants
from refloat.control.submit import HERE, Elsewhere, own
from refloat.errors import Conflict, InvalidInput
from refloat.records.database import Database
from refloat.records.operations import CANCELLING, SERVICE, Operation, ServiceOperations


class Actions:
    """What callers may have done about operations."""

    def __init__(self, database: Database, authority: Authority, grants: Grants) -> None:
        self._database = database
        self._authority = authority
        self._grants = grants
        self._operations = ServiceOperations(database)

    def cancel(self, caller: Caller, operation: Operation, elsewhere: Elsewhere) -> Operation:
        """Have an operation stopped, and all removed that it created.

        Also one that has ended without being able to remove everything; it then acts with the caller's
        rights, or those of who logs in elsewhere.

        :raises Conflict: it has ended, or is being cancelled.
        """
        unclean = operation.state in ("failed", "cancelled") and bool(
            (operation.error or {}).get("left_behind")
        )
        if operation.state not in ("running", "parked") and not unclean:
            raise _over(operation, "cancel")
        return self._wish(caller, operation, "cancel", (operation.state,), elsewhere, {"state": "running"})

    def park(self, caller: Caller, operation: Operation) -> Operation:
        """Have an operation stopped where it is, until it is resumed.

        :raises Conflict: it has ended, is parked, or is being cancelled.
        """
        return self._wish(caller, operation, "park", ("running",), HERE, {})

    def resume(self, caller: Caller, operation: Operation) -> Operation:
        """Have an operation go on that is parked.

        :raises Conflict: it is not.
        """
        return self._wish(caller, operation, "resume", ("parked",), HERE, {})

    def _wish(
        self,
        caller: Caller,
        operation: Operation,
        wish: str,
        states: tuple[str, ...],
        elsewhere: Elsewhere,
        values: Mapping[str, Any],
    ) -> Operation:
        own(caller, operation.project_id)
        if operation.runner != SERVICE:
            raise Conflict(f"operation {operation.id} is run by a command, and no worker of the service")
        if operation.state not in states:
            raise _over(operation, wish)
        changes = dict(values)
        with self._new_grant(caller, operation, elsewhere) as grant:
            with self._database.session() as session:
                if grant is not None:
                    grant.settle(session, self._grants.intents)
                    changes["authority"] = grant.authority
                if not self._operations.wish(session, operation.id, wish, states, **changes):
                    raise _over(operation, wish)
            if grant is not None:
                grant.keep()
        return self._operations.get(operation.id, None)

    def _new_grant(self, caller: Caller, operation: Operation, elsewhere: Elsewhere) -> Any:
        """What the operation acts with from now on, when what it had is given back already."""
        if operation.authority is not None or operation.state in ("running", "parked"):
            return nullcontext(None)
        acting = self._authority.login(elsewhere.target, elsewhere.auth) if elsewhere.auth else caller
        # Elsewhere, what is to be removed is not there, which would look as if it had been removed.
        if acting.project_id != operation.payload.get("elsewhere", operation.project_id):
            raise InvalidInput(
                "this would work in another project than the operation did",
                advice="Say with restore_target and restore_auth where that was",
            )
        return self._grants.to(acting)


def _over(operation: Operation, wish: str) -> Conflict:
    being_cancelled = operation.wish in ("cancel", CANCELLING)
    words = "being cancelled" if being_cancelled else operation.state
    return Conflict(f"operation {operation.id} cannot be told to {wish}: it is {words}")

"""Cancels, parks and resumes operations: writes down what is requested, whoever runs them heeds it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import nullcontext
from typing import Any

from refloat.cloud.authority import Authority, Caller
from refloat.control.brought_back import is_brought_back
from refloat.control.elsewhere import HERE, Elsewhere
from refloat.control.grants import Grants
from refloat.control.submit import own
from refloat.errors import Conflict, InvalidInput
from refloat.records.database import Database
from refloat.records.operations import OPEN, SERVICE, Operation, Operations


class Actions:
    """What callers may have done about operations.

    :param runners: whose operations.
    """

    def __init__(
        self,
        database: Database,
        authority: Authority,
        grants: Grants,
        runners: Collection[str] = (SERVICE,),
    ) -> None:
        self._database = database
        self._authority = authority
        self._grants = grants
        self._runners = runners
        self._operations = Operations(database)

    def cancel(self, caller: Caller, operation: Operation, elsewhere: Elsewhere) -> Operation:
        """Have an operation stopped, and all removed that it created.

        Also one that has ended without being able to remove everything; it then acts with the caller's
        rights, or those of who logs in elsewhere.

        :raises Conflict: it has ended, or is being cancelled.
        """
        unclean = operation.state in ("failed", "cancelled") and bool(
            (operation.error or {}).get("left_behind")
        )
        if operation.state not in OPEN and not unclean:
            raise _over(operation, "cancel")
        # One that has ended is then as if its worker had died while it was being cancelled.
        again = {"state": "running", "ended_at": None} if unclean else {}
        states = (operation.state,) if unclean else OPEN
        return self._request(caller, operation, "cancel", states, elsewhere, again)

    def park(self, caller: Caller, operation: Operation) -> Operation:
        """Have an operation stopped where it is, until it is resumed.

        :raises Conflict: it has ended, is parked, or is being cancelled.
        """
        return self._request(caller, operation, "park", ("queued", "running"), HERE, {})

    def resume(self, caller: Caller, operation: Operation) -> Operation:
        """Have an operation go on that is parked, or of which the command that ran it is gone.

        :raises Conflict: it is not.
        """
        states = ("parked",) if operation.runner == SERVICE else OPEN
        return self._request(caller, operation, "resume", states, HERE, {})

    def _request(
        self,
        caller: Caller,
        operation: Operation,
        what: str,
        states: tuple[str, ...],
        elsewhere: Elsewhere,
        values: Mapping[str, Any],
    ) -> Operation:
        own(caller, operation.project_id)
        if operation.runner not in self._runners:
            raise Conflict(f"operation {operation.id} is run by a command, and no worker of the service")
        if operation.state not in states:
            raise _over(operation, what)
        changes = dict(values)
        with self._new_grant(caller, operation, elsewhere) as grant:
            with self._database.session() as session:
                if grant is not None:
                    grant.settle(session, self._grants.intents)
                    changes["authority"] = grant.authority
                if not self._operations.request(session, operation.id, what, states, **changes):
                    raise _over(operation, what)
            if grant is not None:
                grant.keep()
        return self._operations.get(operation.id)

    def _new_grant(self, caller: Caller, operation: Operation, elsewhere: Elsewhere) -> Any:
        """What the operation acts with from now on, when what it had is given back already."""
        # What a database that was brought back says of it may have been given back since.
        back = is_brought_back(operation) and not operation.payload.get("elsewhere")
        if not back and (operation.authority is not None or operation.state in OPEN):
            return nullcontext(None)
        acting = elsewhere.login(self._authority) if elsewhere.auth else caller
        # Elsewhere, what is to be removed is not there, which would look as if it had been removed.
        if acting.project_id != operation.payload.get("elsewhere", operation.project_id):
            raise InvalidInput(
                "this would work in another project than the operation did",
                advice="Say with restore_target and restore_auth where that was",
            )
        return self._grants.to(acting)


def _over(operation: Operation, what: str) -> Conflict:
    state = "running" if operation.state == "queued" else operation.state
    words = "being cancelled" if operation.requested == "cancel" else state
    return Conflict(f"operation {operation.id} cannot be told to {what}: it is {words}")

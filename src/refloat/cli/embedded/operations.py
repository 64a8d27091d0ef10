"""Operations: begun as everywhere (:mod:`refloat.control.submit`), and run by a worker in this process.

A worker of the command runs the one operation that it was asked for, and nothing else. Operations of a
service on the same database are left to its workers: here they are looked at, and asked for things.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from refloat.cli.embedded.checkpoints import EmbeddedCheckpoints
from refloat.cli.embedded.plans import EmbeddedPlans
from refloat.cli.views import Json, OperationView, Parameters, by_id
from refloat.control import copies, deletions, held
from refloat.control.actions import Actions
from refloat.control.elsewhere import HERE
from refloat.control.progress import created_lines, status_of
from refloat.control.settings import Settings
from refloat.engine.reader import Reader
from refloat.errors import Conflict, RefloatError
from refloat.graph import Graph
from refloat.operations.choices import Choices
from refloat.operations.restoreplan import named_in
from refloat.records.checkpoints import CheckpointRecord
from refloat.records.journal import SqlJournal
from refloat.records.operations import COMMAND, OPEN, SERVICE, Operation, Operations
from refloat.records.tables import OPERATIONS

if TYPE_CHECKING:
    from refloat.control.worker import Worker
    from refloat.engine.program import Milestone

_POLL, _POLL_LAST = 0.2, 1.0


class EmbeddedOperations(EmbeddedCheckpoints, EmbeddedPlans):
    """The project's operations."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._mine: set[str] = set()
        self._ended = threading.Event()

    @cached_property
    def reader(self) -> Reader:
        return Reader(self.database, OPERATIONS)

    @cached_property
    def _actions(self) -> Actions:
        return Actions(self.database, self.authority, self.grants, (COMMAND, SERVICE))

    # --- begun

    def protect(self, plan_name_or_id: str, said: Mapping[str, Any] | None = None) -> Operation:
        """Write down that a plan is to be protected; the checkpoint's id is in the operation.

        What is written down is run with :meth:`begin`, in this or another process.

        :param said: what is said of the checkpoint: ``name``, ``note``, ``labels``, ``expires_at``, ``keep``.
        """
        plan = self.plans.find(plan_name_or_id)
        _record, operation = self.submitter().protect(self.caller, plan, said=said)
        return operation

    def restore(
        self, checkpoint: str, *, keep_on_failure: bool = False, dry_run: bool = False, **choices: Any
    ) -> Operation:
        """The same for a restore.

        :param choices: of :class:`refloat.operations.choices.Choices`.
        """
        found = self.found(checkpoint)
        record = self.record_of(found)
        parameters = self._by_id_in(record, choices.get("parameters"))
        chosen = Choices.of({**choices, "parameters": parameters})
        how: dict[str, Any] = {"keep_on_failure": keep_on_failure, "dry_run": dry_run}
        return self.submitter().restore(self.caller, record, chosen, HERE, more=self.elsewhere(found), **how)

    def _by_id_in(self, record: CheckpointRecord, parameters: Parameters | None) -> Parameters:
        if record.graph is None or not parameters:
            return self.by_id(parameters or {})
        return by_id(parameters, partial(named_in, Graph.from_json(record.graph)))

    def dry_run(self, checkpoint: str, **choices: Any) -> Json:
        """What such a restore would do: ``possible``, ``problems``, ``needs``, ``resources``..."""
        return self._result_of(self.restore(checkpoint, dry_run=True, **choices))

    def verify(self, checkpoint: str, *, parameters: Parameters | None = None) -> Operation:
        found = self.found(checkpoint)
        record = self.record_of(found)
        given, more = self._by_id_in(record, parameters), self.elsewhere(found)
        return self.submitter().verify(self.caller, record, given, more=more)

    def copy(self, checkpoint: str, to: str, *, allow_incomplete: bool = False) -> Operation:
        """Copy a checkpoint to the bank of another provider. One that is there already is found there.

        :param allow_incomplete: copy it although some of its data stays in the cloud.
        :raises NotFound: there is no such checkpoint or provider.
        :raises Conflict: it is being copied there, or it is the same bank.
        """
        order, found = self._order(to, allow_incomplete), self.found(checkpoint)
        record, more = self.record_of(found), self.elsewhere(found)
        (operation,) = copies.copy(
            self.submitter(), self.caller, [record], order, source=found.bank, more=more
        )
        return operation

    def copy_dry_run(self, checkpoint: str, to: str) -> Json:
        order, found = self._order(to, allow_incomplete=True), self.found(checkpoint)
        record, more = self.record_of(found), self.elsewhere(found)
        return self._result_of(copies.plan_copy(self.submitter(), self.caller, record, order, more=more))

    def _order(self, to: str, allow_incomplete: bool) -> copies.CopyOrder:
        return copies.CopyOrder(self.providers.find(to), self.bank_of, allow_incomplete, find_existing=True)

    def delete_checkpoint(self, checkpoint: str) -> Operation:
        """Delete a checkpoint. :raises Conflict: it is on hold, too young, or in use."""
        found = self.found_or_missing(checkpoint, exactly=True)
        if isinstance(found, CheckpointRecord):
            operation = deletions.delete(self.submitter(), self.caller, found)
        else:
            record, more = self.record_of(found), self.elsewhere(found)
            held.take_up(self.database, found.bank, record.id)
            operation = deletions.delete(self.submitter(), self.caller, record, more=more)
        assert operation is not None  # noqa: S101 - it is or was in the bank, so it was completed
        return operation

    # --- run here

    def begin(self, operation: Operation) -> Operation:
        """Have the worker of this process run what was written down."""
        self._ended.clear()
        started = bool(self._mine)
        safety = operation.payload.get("safety") or {}
        self._mine |= {operation.id, *([safety["operation_id"]] if safety else [])}
        self.worker.refused = None
        if started:
            self.worker.wake()
        else:
            self.worker.start()
        return operation

    @cached_property
    def worker(self) -> Worker:
        from refloat.control.worker import Worker

        # A bank that was only found is not told what databases there are here.
        settings = self.settings if self.reach is None else Settings.load()
        return Worker(
            settings,
            self.database,
            self.providers,
            self.authority,
            self.grants,
            only=self._mine,
            milestones=self._hear,
            notices=self.notices,
            banks=self.banks,
            tick=_POLL,
        )

    def _hear(self, milestone: Milestone) -> None:
        if milestone.what in ("ended", "released"):
            self._ended.set()

    def wait(self, operation_id: str, timeout: float | None = None) -> Operation:
        """Wait for an operation to end or be parked.

        :param timeout: seconds.
        :raises TimeoutError: it has not ended.
        :raises Conflict: it was interrupted.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        pause = _POLL
        while True:
            self._ended.clear()  # another may have ended: this one is waited for on
            operation = Operations(self.database).get(operation_id)
            if operation.state not in OPEN:  # to look would be to read its result, which may be large, twice
                return operation
            view = self._view(operation)
            if view.state == "interrupted" and operation_id not in self._mine:
                raise Conflict(f"operation {operation_id} was interrupted", advice="Resume it or cancel it")
            if not view.live and view.state != "interrupted":
                return operation
            self._raise_refusal(operation_id)
            left = pause if deadline is None else min(pause, deadline - time.monotonic())
            if left <= 0:
                raise TimeoutError(f"operation {operation_id} still runs after {timeout:g} seconds")
            self._ended.wait(left)
            if operation_id in self._mine:  # that it ends here is told at once
                pause = min(2 * pause, _POLL_LAST)

    def _raise_refusal(self, operation_id: str) -> None:
        """:raises RefloatError: the operation could not be taken up here; it can be resumed."""
        if operation_id in self._mine and self.worker.refused is not None:
            raise self.worker.refused

    def stop(self, operation_id: str) -> None:
        operation = self.operations.get(operation_id)
        if operation.state in OPEN and operation.state != "parked":
            self._actions.park(self.caller, operation)
            self._wake(operation_id)

    def _wake(self, operation_id: str) -> None:
        if operation_id in self._mine:
            self.worker.wake()

    def _result_of(self, operation: Operation) -> Json:
        self.begin(operation)
        ended = self.wait(operation.id)
        if ended.error:
            raise RefloatError.from_json(dict(ended.error))
        return dict(ended.result or {})

    def close(self) -> None:
        if "worker" in self.__dict__:
            self.worker.close()
        super().close()

    # --- looked at, and asked for things

    def runs_elsewhere(self, operation: Operation | None = None) -> bool:
        """Whether an operation runs without this process, as soon as it is written down.

        :param operation: None: whatever a schedule begins.
        """
        return operation is not None and operation.runner == SERVICE

    def look(self, identity: str, *, outcomes: bool = False) -> OperationView:
        """How an operation is now, whoever runs it.

        :param outcomes: also how each of its steps ended.
        :raises NotFound: there is no such operation.
        """
        return self._view(self.operations.get(identity), outcomes=outcomes)

    def _view(self, operation: Operation, *, outcomes: bool = False) -> OperationView:
        if outcomes:
            read = self.reader.read(operation.id)
            snapshot = read[0] if read else None
        else:
            snapshot = self.reader.look(operation.id)
        return OperationView(operation, status_of(operation, snapshot), snapshot)

    def look_at_all(self) -> list[OperationView]:
        return [
            self._view(operation)
            if operation.state in OPEN
            else OperationView(operation, operation.state, None)
            for operation in self.operations.list()
        ]

    def created(self, operation_id: str) -> list[Json]:
        return created_lines(SqlJournal(self.database, operation_id).entries())

    def resumable(self, identity: str) -> OperationView:
        """An operation that can be resumed. :raises Conflict: it runs, or has ended."""
        view = self.look(identity)
        if view.state in {"parked", "interrupted"} or (view.state == "starting" and not view.snapshot):
            return view
        if view.live:
            where = view.snapshot.owner if view.snapshot else ""
            raise Conflict(
                f"operation {view.operation.id} is run by {where or 'another process'}",
                advice=f"Follow it with: refloat operation watch {view.operation.id}",
            )
        raise Conflict(f"the operation has ended ({view.state}); there is nothing to resume")

    def resume(self, identity: str) -> Operation:
        """Go on with an operation that was parked or whose process is gone.

        :raises Conflict: it runs in another process, or has ended.
        """
        view = self.resumable(identity)
        operation = view.operation
        if view.state == "parked" or operation.runner == SERVICE:
            operation = self._actions.resume(self.caller, operation)
        if operation.runner == COMMAND:
            self.begin(operation)
        return operation

    def cancel(self, identity: str) -> Operation:
        view = self.look(identity)
        operation = view.operation
        if view.state in {"succeeded", "cancelled"} and not (operation.error or {}).get("left_behind"):
            raise Conflict(f"the operation has ended ({view.state}); there is nothing to cancel")
        if operation.requested != "cancel":
            operation = self._actions.cancel(self.caller, operation, HERE)
        if operation.runner == COMMAND and not (view.snapshot and view.snapshot.owner):
            self.begin(operation)
        self._wake(operation.id)
        return operation

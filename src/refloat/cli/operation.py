"""``refloat operation``: what is or was being done."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from refloat.cli.base import Argument, Lister, ShowOne
from refloat.cli.operation_base import NO_WAIT, OperationCommand, result_of
from refloat.cli.output import Bytes, Created, Items, Time
from refloat.cli.progress import standing_of
from refloat.cli.running import OperationRunner, error_of, how_to_go_on

if TYPE_CHECKING:
    from refloat.cli.backend import Backend
    from refloat.cli.views import OperationView


_OPERATION = Argument("operation", "id, or its beginning")


class ListOperation(Lister):
    """List the project's operations, newest first, as they are now.

    State: starting, running, stopping, cancelling; parked (stopped, or kept after a failure) or interrupted
    (its process is gone): both can be resumed or cancelled; succeeded; failed or cancelled: nothing
    is left of them.
    """

    columns = ("id", "kind", "state", "plan", "checkpoint_id", "created_at", "ended_at")
    examples = """
        refloat operation list
        refloat operation list --state interrupted -f value -c id
    """

    args = (Argument("--state", "only those in this state"),)

    def ask(self, refloat: Backend, parsed_args: argparse.Namespace) -> Iterable[Mapping[str, Any]]:
        return [_head(view) for view in refloat.look_at_all() if parsed_args.state in (None, view.state)]


class ShowOperation(ShowOne):
    """Show an operation: state, progress, what it has created, what went wrong."""

    args = (_OPERATION,)

    def ask(self, refloat: Backend, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        view = refloat.look(parsed_args.operation, outcomes=True)
        found = {**_head(view)}
        snapshot = view.snapshot
        if snapshot is not None:
            found["steps"] = snapshot.steps
            found["steps_done"] = snapshot.done
            found["steps_failed"] = snapshot.failed
            found["bytes_done"] = Bytes(snapshot.bytes_done)
            found["bytes_total"] = Bytes(snapshot.bytes_total)
            found["running"] = Items(list(standing_of(snapshot).active))
            found["attempt"] = snapshot.attempt
            found["run_by"] = snapshot.owner
        found["created"] = Created(refloat.created(view.operation.id))
        result = result_of(view)
        found |= {
            name: result[name]
            for name in ("resources", "lacks", "missed", "plans", "stays", "removed")
            if name in result
        }
        error = error_of(view.operation, view.state)
        found["error"] = str(error) if error is not None else ""
        if view.state in {"parked", "interrupted"}:
            self.say(how_to_go_on(view.operation.id))
        return found


class WatchOperation(OperationCommand):
    """Follow an operation that runs in any process until it ends; then print its result.

    Ctrl-C only stops watching.
    """

    args = (_OPERATION,)

    def ask(self, refloat: Backend, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        identity = refloat.look(parsed_args.operation).operation.id
        OperationRunner(self.app).watch(refloat, identity)
        return self.conclude(refloat, identity)


class ResumeOperation(OperationCommand):
    """Go on with an operation that was stopped, failed and was kept, or whose process is gone.

    What was done stays done. Prints what the operation itself would have printed.
    """

    examples = """
        refloat operation resume 9b1e
        refloat operation resume 9b1e --no-wait
    """
    args = (NO_WAIT, _OPERATION)

    def show(self, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        runner = OperationRunner(self.app)
        with self.open() as refloat:
            operation = refloat.resumable(parsed_args.operation).operation
            if parsed_args.no_wait:
                if refloat.runs_elsewhere(operation):
                    refloat.resume(operation.id)
                return self.detach(refloat, runner, operation)
            runner.run(refloat, operation, lambda: refloat.resume(operation.id))
            return self.conclude(refloat, operation.id)


class CancelOperation(OperationCommand):
    """Stop an operation, wherever it runs, and remove all that it has created.

    Also tries again for one that has failed to remove everything.
    """

    args = (NO_WAIT, _OPERATION)

    def show(self, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        runner = OperationRunner(self.app)
        with self.open() as refloat:
            view = refloat.look(parsed_args.operation)
            operation = view.operation
            if not parsed_args.no_wait:
                runner.run(refloat, operation, lambda: refloat.cancel(operation.id), "Undoing")
            elif refloat.runs_elsewhere(operation) or view.live or view.state in {"succeeded", "cancelled"}:
                refloat.cancel(operation.id)
            else:
                runner.detach(operation.id, "cancel")
            view = refloat.look(operation.id, outcomes=True)
            error = error_of(view.operation, view.state)
            clean = view.state == "cancelled" or (view.state == "failed" and error and not error.left_behind)
            if error is not None and not clean:
                self.exit_status = self.app.tell(error)
            elif view.state == "succeeded":
                self.exit_status = 1
                self.app.stderr.write("refloat: it succeeded before it could be cancelled\n")
            return {**result_of(view), "status": view.state}

    def text(self, parsed_args: argparse.Namespace, data: Mapping[str, Any]) -> Iterable[str] | None:
        return None


def _head(view: OperationView) -> dict[str, Any]:
    operation = view.operation
    return {
        "id": operation.id,
        "kind": operation.kind,
        "state": view.state,
        "plan": str(operation.payload["plan"].get("name", "")),
        "checkpoint_id": operation.checkpoint_id,
        "created_at": Time(operation.created_at),
        "ended_at": Time(operation.ended_at),
    }

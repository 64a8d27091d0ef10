"""What the commands that run operations share: begin, follow, conclude."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cliff.columns import FormattableColumn

from refloat.cli.base import Argument, Display, ShowOne
from refloat.cli.output import Bytes, Created, Items, Resources, Stays, resource_line, stays_lines
from refloat.cli.running import LIVE_WORDS, OperationRunner, error_of, how_to_go_on

if TYPE_CHECKING:
    from refloat.cli.backend import Backend
    from refloat.cli.views import OperationView
    from refloat.records.operations import Operation

NO_WAIT = Argument(
    "--no-wait",
    "print the ids and return at once; a process of its own, or the service, does the work",
    "--detach",
    action="store_true",
)


_TOLD: Mapping[str, tuple[str, type[FormattableColumn[Any]]]] = {
    "lacks": ("lacks", Resources),
    "missed": ("missed", Resources),
    "plans": ("plans", Items),
    "stays": ("stays", Stays),
    "removed": ("undone", Created),
}
"""What is told of a result when there is something to tell: where it stands, and how it is shown."""


class Operating(Display):
    """A command that begins operations, or follows them."""

    def perform(
        self, parsed_args: argparse.Namespace, write_down: Callable[[Backend], Operation]
    ) -> Mapping[str, Any]:
        """Run an operation to its end, or leave it to a worker; what to print."""
        runner = OperationRunner(self.app)
        with self.open() as refloat:
            operation = write_down(refloat)
            if parsed_args.no_wait:
                return self.detach(refloat, runner, operation)
            runner.run(refloat, operation, lambda: refloat.begin(operation))
            return self.conclude(refloat, operation.id)

    def detach(self, refloat: Backend, runner: OperationRunner, operation: Operation) -> Mapping[str, Any]:
        """Leave it to a worker; what to print meanwhile."""
        from refloat.cli.views import OperationView

        if refloat.runs_elsewhere(operation):
            refloat.begin(operation)
            self.say(f"Follow it with: refloat operation watch {operation.id}")
        else:
            runner.detach(operation.id)
        return result_of(OperationView(replace(operation, result=None, error=None), "starting", None))

    def conclude(self, refloat: Backend, identity: str) -> Mapping[str, Any]:
        """What an operation has come to; what went wrong is told on stderr."""
        view = refloat.look(identity, outcomes=True)
        error = error_of(view.operation, view.state)
        if error is not None:
            self.exit_status = self.app.tell(error)
        if view.state in {"parked", "interrupted"}:
            self.say(how_to_go_on(view.operation.id))
        result = result_of(view)
        stays = stays_lines((view.operation.result or {}).get("stays", ()))
        for line in (*lacks_told(view.operation), *plans_told(view.operation), *stays):
            self.app.stderr.write(f"refloat: {line}\n")
        if result["status"] == "bad":
            self.exit_status = 1
            self.app.stderr.write("refloat: the checkpoint could not be restored as it is\n")
        return result


class OperationCommand(Operating, ShowOne):
    """A command that prints one operation's result."""

    def text(self, parsed_args: argparse.Namespace, data: Mapping[str, Any]) -> Iterable[str] | None:
        """Of what went wrong, people need only what is not in the message."""
        if not data.get("error"):
            return None
        return [resource_line(item) for item in data["resources"].machine_readable()]


def result_of(view: OperationView) -> dict[str, Any]:
    """What the commands print of an operation. ``id`` is a restore's own, else the checkpoint's."""
    operation = view.operation
    result = dict(operation.result or {})
    status = str(result.get("status") or (LIVE_WORDS[operation.kind] if view.live else view.state))
    checkpoint_id = operation.checkpoint_id
    found: dict[str, Any] = {"id": checkpoint_id, "status": status, "operation_id": operation.id}
    outcomes = view.snapshot.outcomes if view.snapshot else {}
    if operation.kind == "restore":
        found = {"id": operation.id, "status": status, "checkpoint_id": checkpoint_id}
        from refloat.control.progress import restored_so_far

        found["resources"] = Resources(restored_so_far(operation, outcomes, view.state))
        if safety := result.get("safety_checkpoint_id"):
            found["safety_checkpoint_id"] = str(safety)
    else:
        found["plan"] = str(operation.payload["plan"].get("name", ""))
        found["provider"] = str(operation.payload.get("provider_name") or operation.payload["provider"])
        found["resources"] = Resources(list(result.get("resources", ())))
    if operation.kind == "copy":
        found |= {"id": str(result.get("id") or operation.payload["copy_id"]), "copied_from": checkpoint_id}
        found["provider"] = str(operation.payload["to_name"])
        for name in ("existed", "complete"):
            found[name] = bool(result.get(name, False))
        for name in ("size", "stored"):
            found[name] = Bytes(int(result.get(name, 0)))
    if operation.kind == "delete":
        del found["resources"]
        found["freed_bytes"] = Bytes(int(result.get("freed_bytes", 0)))
    for name, (source, column) in _TOLD.items():
        if result.get(source):
            found[name] = column(list(result[source]))
    error = error_of(operation, view.state)
    if error is not None:
        found["error"] = str(error)
        found.setdefault("resources", Resources([]))
    return found


def lacks_told(operation: Operation) -> list[str]:
    """What a partial checkpoint lacks, and what to do about it."""
    result, plan = operation.result or {}, operation.payload.get("plan") or {}
    if operation.kind != "protect":
        return []
    lines = [
        f"warning: the checkpoint is partial: it lacks {resource_line(x)}" for x in result.get("lacks", ())
    ]
    missed = [f"warning: {resource_line(item)}" for item in result.get("missed", ())]
    if not lines:
        return missed
    return [
        *lines,
        *missed,
        f"leave out what is not to be protected any more: "
        f"refloat plan set {plan.get('name') or plan.get('id')} --exclude TYPE=ID",
    ]


def plans_told(operation: Operation) -> list[str]:
    """Which plans name what a restore has made, and which do not."""
    lines = []
    for item in (operation.result or {}).get("plans") or ():
        new = resource_line({"type": item["type"], "name": item["name"], "id": item["new_id"]})
        how, why = ("still", f": {item['reason']}") if item["reason"] else ("now", "")
        pair = (item["source_id"], f"and not {new}") if why else (new, f"instead of {item['source_id']}")
        lines.append(f"plan {item['plan_name']} {how} names {' '.join(pair)}{why}")
    return lines

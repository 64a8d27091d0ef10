"""``refloat checkpoint``: what has been protected, what of it nobody may delete; and ``refloat verify``."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from refloat.cli.arguments import parse_parameters, said
from refloat.cli.bank_command import BANK, OF_PROJECT, FromBank
from refloat.cli.base import CHECKPOINT, PARAMETER, SAID, Argument, BaseCommand, Lister, ShowOne
from refloat.cli.operation_base import NO_WAIT, Operating, OperationCommand
from refloat.cli.output import Bytes, Items, Resources, Time
from refloat.errors import RefloatError

if TYPE_CHECKING:
    from refloat.cli.backend import Backend
    from refloat.cli.views import CheckpointState
    from refloat.records.holds import Hold


class ListCheckpoint(FromBank, Lister):
    """List the project's checkpoints, newest first, and those that are being made.

    With --bank and --key, those in any bank that one has the key of; with --all-projects those of all, of
    other clouds too: no cloud is asked for that.

    Status: available; protecting, parked or interrupted (not yet a checkpoint: see its operation);
    deleting; damaged; missing (nobody has deleted it, and it is not in the bank).
    Verified: never, good or bad, as verifications and restores have found.
    Partial: it lacks something of its plan, as 'refloat checkpoint show' says.
    """

    columns: tuple[str, ...] = (
        *("id", "status", "created_at", "plan", "provider", "operation_id", "verified", "partial"),
        *("name", "size", "made_by", "expires_at"),
    )
    examples = """
        refloat checkpoint list --plan shop
        refloat checkpoint list -f value -c id
        refloat checkpoint list --bank s3://backup/bank --key bank.key --all-projects
    """

    args = (
        Argument("--plan", "only those of this plan (name or id)"),
        *BANK,
        OF_PROJECT,
        Argument("--all-projects", "of all projects that the key opens", action="store_true"),
    )

    def ask(self, refloat: Backend, parsed_args: argparse.Namespace) -> Iterable[Mapping[str, Any]]:
        states = refloat.checkpoints(parsed_args.plan or "")
        if parsed_args.all_projects or parsed_args.project:
            self.columns = (*self.columns, "project_id")
        if not states:
            self.say(f"No checkpoints: {self._why_none(refloat, parsed_args.plan)}")
        return [_shown(refloat, state, _schedules(refloat, states)) for state in states]

    def _why_none(self, refloat: Backend, plan: str | None) -> str:
        if plan and (others := len(refloat.checkpoints())):
            return f"none is of the plan '{plan}'; there are {others} of other plans"
        return refloat.why_none()


class ShowCheckpoint(FromBank, ShowOne):
    """Show a checkpoint and the resources in it."""

    args = (CHECKPOINT, *BANK, OF_PROJECT)

    def ask(self, refloat: Backend, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        state = refloat.find_checkpoint(parsed_args.checkpoint)
        found = _described(refloat, state)
        found |= {"verified_at": Time(state.verified_at), "verified_depth": state.verified_depth}
        if state.status in {"available", "deleting"}:
            contents = refloat.contents(state.id)
            resources = Resources(contents.pop("resources"))
            found |= {name: Items(value) for name, value in contents.items()}
            found["resources"] = resources
        found["lacks"] = Resources(list(state.lacks))
        if state.reason:
            found["reason"] = state.reason
        return found


class CopyCheckpoint(OperationCommand):
    """Copy a checkpoint to the bank of another provider.

    Only data which that bank does not have is stored there, encrypted with that bank's key. The copy is a
    checkpoint by itself, with an id of its own: always the same one, so copying again finds that it
    is there. Prints it: id, status, copied_from, provider, existed, complete, size, stored, resources.

    Data that stays in the cloud (Cinder backups and snapshots) is in no bank and cannot be copied. Such
    a checkpoint is refused, unless --allow-incomplete is given; the copy then refers to what is in
    the cloud, and restores it only as long as that is there.
    """

    examples = """
        refloat checkpoint copy 5d0f1c6a-... --to offsite --dry-run
        refloat checkpoint copy 5d0f --to offsite
    """

    args = (
        NO_WAIT,
        CHECKPOINT,
        Argument("--to", "the provider to whose bank it is copied", metavar="PROVIDER", required=True),
        Argument("--dry-run", "only say what would be copied", action="store_true"),
        Argument("--allow-incomplete", "copy it although some data stays in the cloud", action="store_true"),
    )

    def show(self, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        if parsed_args.dry_run:
            return self._plan(parsed_args)
        found = self.perform(
            parsed_args,
            lambda refloat: refloat.copy(
                parsed_args.checkpoint,
                parsed_args.to,
                allow_incomplete=parsed_args.allow_incomplete,
            ),
        )
        if found.get("existed"):
            self.say(f"It was there already: {found['id']}")
        return found

    def _plan(self, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        with self.open() as refloat:
            data = refloat.copy_dry_run(parsed_args.checkpoint, parsed_args.to)
        if not (data["complete"] or data["exists"] or parsed_args.allow_incomplete):
            self.exit_status = 1
            self.app.stderr.write("refloat: the copy would not be complete: see --allow-incomplete\n")
        return {**data, "size": Bytes(data["size"]), "resources": Resources(data["resources"])}


class Verify(OperationCommand):
    """Verify a checkpoint: is everything that it needs there and unharmed.

    Reads all its data back from the bank and asks the cloud for what is kept there. Prints the
    checkpoint's id, its status (good or bad), operation_id, and a status and reason for each resource: what
    a service keeps and nobody can read back is 'not read' ("read": false in JSON, where its status is good).
    The exit status is 0 only if all of it is good.
    """

    examples = """
        refloat verify 5d0f1c6a-...
        refloat verify 5d0f -f json
    """

    args = (NO_WAIT, CHECKPOINT, PARAMETER)

    def show(self, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        return self.perform(
            parsed_args,
            lambda refloat: refloat.verify(
                parsed_args.checkpoint,
                parameters=parse_parameters(parsed_args.parameter or (), refloat.types()),
            ),
        )


class DeleteCheckpoint(Operating, Lister):
    """Delete checkpoints, with all that they keep in the cloud and in the bank.

    Data that another checkpoint shares stays. Prints id, status and operation_id of each.
    """

    columns = ("id", "status", "operation_id")

    args = (NO_WAIT, Argument("checkpoint", "id, or its beginning", nargs="+"))

    def rows(self, parsed_args: argparse.Namespace) -> Iterable[Mapping[str, Any]]:
        """One after the other; one that cannot be deleted does not keep the others from it."""
        with self.open() as refloat:
            wanted = [refloat.checkpoint_id(identity) for identity in parsed_args.checkpoint]
        rows = []
        for identity in dict.fromkeys(wanted):
            try:
                rows.append(self._delete(parsed_args, identity))
            except RefloatError as exc:
                self.exit_status = self.app.tell(exc)
        return rows

    def _delete(self, parsed_args: argparse.Namespace, identity: str) -> Mapping[str, Any]:
        return self.perform(parsed_args, lambda refloat: refloat.delete_checkpoint(identity))


def _schedules(refloat: Backend, states: Iterable[CheckpointState]) -> Mapping[str, str]:
    """What the schedules are called that made checkpoints."""
    if refloat.reach is not None or not any(state.scheduled_operation_id for state in states):
        return {}
    return {view.schedule.id: view.schedule.name for view in refloat.schedules.list()}


def _described(refloat: Backend, state: CheckpointState) -> dict[str, Any]:
    """All that is known of a checkpoint without looking into it."""
    found = dict(_shown(refloat, state, _schedules(refloat, [state])))
    return found | {
        "note": str(state.about.get("note") or ""),
        "labels": Items(dict(state.about.get("labels") or {})),
        "keep": bool(state.about.get("keep")),
        "user_id": str(state.about.get("user_id") or ""),
        "seconds": "" if state.seconds is None else state.seconds,
    }


def _shown(refloat: Backend, state: CheckpointState, schedules: Mapping[str, str]) -> Mapping[str, Any]:
    scheduled = state.scheduled_operation_id
    return {
        "id": state.id,
        "status": state.status,
        "created_at": Time(state.created_at),
        "plan": str(state.plan.get("name", "")),
        "provider": refloat.provider_name(state.provider),
        "operation_id": state.operation_id,
        "verified": state.verified,
        "partial": bool(state.lacks),
        "name": str(state.about.get("name") or ""),
        "size": "" if state.size is None else Bytes(state.size),
        "made_by": f"schedule {schedules.get(scheduled, scheduled)}" if scheduled else "hand",
        "expires_at": Time(str(state.about.get("expires_at") or "")),
        "project_id": state.project_id,
    }


class SetCheckpoint(ShowOne):
    """Change what is said of a checkpoint: its name, note and labels, when it expires, whether it is kept.

    What is not named stays. An expired checkpoint goes with the next run of a schedule of its plan, unless it
    is the last good one; one that is kept is taken by no retention. A hold is stronger: see 'checkpoint
    hold'.
    """

    examples = """
        refloat checkpoint set 5d0f1c6a --name before-2.4 --label ticket=1234 --expires 30d
        refloat checkpoint set before-2.4 --keep --expires never
    """

    args = (
        CHECKPOINT,
        *SAID,
        Argument("--unlabel", "take a label away", metavar="KEY", action="append"),
        Argument("--no-keep", "retention may take it", dest="keep", action="store_false"),
    )

    def ask(self, refloat: Backend, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        wanted = said(parsed_args)
        if parsed_args.unlabel:
            wanted["labels"] = {**dict.fromkeys(parsed_args.unlabel), **wanted.get("labels", {})}
        if not wanted:
            return _described(refloat, refloat.find_checkpoint(parsed_args.checkpoint))
        return _described(refloat, refloat.describe(parsed_args.checkpoint, wanted))


class SetHold(ShowOne):
    """Put a checkpoint on legal hold: neither people nor schedules can delete it until it is released.

    A hold on a checkpoint that is on hold replaces the reason.
    """

    examples = """
        refloat checkpoint hold set 5d0f1c6a "Case 1234: keep until the court has decided"
    """

    args = (CHECKPOINT, Argument("reason", "why; it is told to whoever wants to delete it"))

    def ask(self, refloat: Backend, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        return _hold(refloat.place_hold(parsed_args.checkpoint, parsed_args.reason))


class ShowHold(ShowOne):
    """Show who put a checkpoint on hold, when and why."""

    args = (CHECKPOINT,)

    def ask(self, refloat: Backend, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        return _hold(refloat.hold(parsed_args.checkpoint))


class UnsetHold(BaseCommand):
    """Release a checkpoint, so that it can be deleted again. Behind the service this is for managers."""

    args = (CHECKPOINT,)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        with self.open() as refloat:
            identity = refloat.release_hold(parsed_args.checkpoint)
        self.say(f"Checkpoint {identity} can be deleted again.")


def _hold(hold: Hold) -> Mapping[str, Any]:
    return {
        "checkpoint_id": hold.checkpoint_id,
        "reason": hold.reason,
        "user_id": hold.user_id,
        "created_at": Time(hold.created_at.isoformat(timespec="seconds")),
    }

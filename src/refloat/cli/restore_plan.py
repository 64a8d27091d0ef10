"""``refloat restore plan``: what a restore will do, kept to be looked at, changed, approved and run."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from refloat.cli.base import NEW_NAME, Argument, BaseCommand, Either, Lister, ShowOne
from refloat.cli.operation_base import NO_WAIT, OperationCommand
from refloat.cli.output import Items, Time
from refloat.cli.restore import CHOICES, VERBOSE, choices_of, plain
from refloat.cli.restore_screen import plan_text

if TYPE_CHECKING:
    from refloat.cli.backend import Backend
    from refloat.records.restore_plans import KeptPlan

_PLAN = Argument("restore_plan", "name or id", metavar="RESTORE_PLAN")
_OF: dict[str, Any] = {"dest": "approval", "default": None}
_APPROVAL = Either(
    Argument("--approval", "it is run only when somebody else has approved it", **_OF, action="store_true"),
    Argument("--no-approval", "nobody has to approve it", **_OF, action="store_false"),
)
_HEAD = ("id", "name", "status", "reason", "checkpoint_id", "user_id", "approval", "approved_by")
_TIMES = ("approved_at", "created_at", "updated_at")


def shown(plan: KeptPlan) -> dict[str, Any]:
    """What is printed of one: its head, what was chosen, and all that it says."""
    told = (plan.content or {}).items()
    content = {name: Items(value) if isinstance(value, dict | list) else value for name, value in told}
    return {
        **{name: getattr(plan, name) for name in _HEAD},
        **{name: Time(getattr(plan, name)) for name in _TIMES},
        "choices": Items(dict(plan.choices)),
        **content,
    }


class _Shown(ShowOne):
    """A command that prints a restore plan: for people as a dry run does."""

    def text(self, parsed_args: argparse.Namespace, data: Mapping[str, Any]) -> Iterable[str] | None:
        return self._lines(data, verbose=getattr(parsed_args, "verbose", False))

    def _lines(self, data: Mapping[str, Any], *, verbose: bool) -> Iterator[str]:
        head = f"The restore plan {data['name']} ({data['id']}) is {data['status']}"
        if data["reason"]:
            head += f": {data['reason']}"
        if data["approved_by"]:
            head += f"; approved by {data['approved_by']}"
        elif data["approval"]:
            head += "; somebody else has to approve it"
        yield f"{head}."
        if "resources" in data:
            yield from plan_text(plain(data), verbose=verbose)


class CreateRestorePlan(_Shown):
    """Make a restore plan: what a restore of a checkpoint will do, kept until it is run or deleted.

    Of a plan, the newest checkpoint is taken. Nothing is changed in the cloud. The exit status is 1 when the
    restore would not be possible.
    """

    examples = """
        refloat restore plan create 5d0f1c6a-...
        refloat restore plan create shop --at 2026-11-29T02:30 --name 'after the flood'
        refloat restore plan create shop --existing beside --approval
    """
    args = (
        Argument("checkpoint", "checkpoint (id, or its beginning), or plan", metavar="CHECKPOINT|PLAN"),
        Argument("--at", "of a plan: the newest of this time (ISO 8601) or before", metavar="TIME|latest"),
        Argument("--name", "what to call it"),
        *CHOICES,
        _APPROVAL,
        VERBOSE,
    )

    def ask(self, refloat: Backend, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        at = "" if parsed_args.at in (None, "latest") else parsed_args.at
        made = refloat.create_restore_plan(
            parsed_args.checkpoint,
            at=at,
            name=parsed_args.name or "",
            approval=bool(parsed_args.approval),
            **choices_of(refloat, parsed_args),
        )
        self.exit_status = 0 if (made.content or {}).get("possible") else 1
        return shown(made)


class ShowRestorePlan(_Shown):
    """Show a restore plan."""

    args = (_PLAN, VERBOSE)

    def ask(self, refloat: Backend, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        return shown(refloat.find_restore_plan(parsed_args.restore_plan))


class ListRestorePlan(Lister):
    """List restore plans."""

    columns = ("id", "name", "status", "checkpoint_id", "approved_by", "created_at")

    def ask(self, refloat: Backend, parsed_args: argparse.Namespace) -> Iterable[Mapping[str, Any]]:
        for plan in refloat.restore_plans():
            fields = {name: getattr(plan, name) for name in self.columns}
            yield {**fields, "created_at": Time(plan.created_at)}


class SetRestorePlan(_Shown):
    """Choose otherwise for a restore plan; without options, have it made again as the cloud is now.

    Options that are given take the place of what was chosen; mappings are added to those that there are.
    Whoever has approved it has to do so again.
    """

    examples = """
        refloat restore plan set 'after the flood' --leave-out server=web
        refloat restore plan set 'after the flood' --map external-network:public=internet
        refloat restore plan set 'after the flood' --no-map
        refloat restore plan set 'after the flood'
    """
    args = (
        *(_PLAN, NEW_NAME, *CHOICES, _APPROVAL, VERBOSE),
        Argument("--no-map", "forget the mappings that it has", action="store_true"),
    )

    def ask(self, refloat: Backend, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        mapped = {} if parsed_args.no_map else refloat.find_restore_plan(parsed_args.restore_plan).choices
        changes = choices_of(refloat, parsed_args, existing="", mapped=mapped.get("mappings"))
        if parsed_args.no_map:
            changes.setdefault("mappings", {})
        for name in ("name", "approval"):
            if getattr(parsed_args, name) is not None:
                changes[name] = getattr(parsed_args, name)
        made = refloat.change_restore_plan(parsed_args.restore_plan, **changes)
        self.exit_status = 0 if (made.content or {}).get("possible") else 1
        return shown(made)


class ApproveRestorePlan(_Shown):
    """Approve a restore plan as it is: of one that needs it, somebody else than who made it."""

    args = (_PLAN,)

    def ask(self, refloat: Backend, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        return shown(refloat.approve_restore_plan(parsed_args.restore_plan))


class RunRestorePlan(OperationCommand):
    """Restore what a restore plan says; prints what restore prints.

    When the cloud is not as it was when the restore plan was made, in a way that matters, it says what has
    changed and does nothing.
    """

    args = (
        NO_WAIT,
        _PLAN,
        Argument(
            "--keep-on-failure",
            "when it fails, keep what was created, to be resumed or cancelled later",
            action="store_true",
        ),
    )

    def show(self, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        keep = parsed_args.keep_on_failure
        return self.perform(
            parsed_args,
            lambda refloat: refloat.run_restore_plan(parsed_args.restore_plan, keep_on_failure=keep),
        )


class DeleteRestorePlan(BaseCommand):
    """Forget restore plans; checkpoints and what was restored stay."""

    args = (Argument("restore_plan", "name or id", metavar="RESTORE_PLAN", nargs="+"),)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        with self.open() as refloat:
            found = [refloat.find_restore_plan(name).id for name in parsed_args.restore_plan]
            for identity in dict.fromkeys(found):
                refloat.delete_restore_plan(identity)
                self.say(f"Deleted restore plan {identity}")

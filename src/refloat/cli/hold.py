"""``refloat checkpoint hold``: checkpoints that nobody may delete."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from refloat.cli.base import CHECKPOINT, Argument, BaseCommand, ShowOne
from refloat.cli.output import Time

if TYPE_CHECKING:
    from refloat.cli.backend import Backend
    from refloat.records.holds import Hold


class SetHold(ShowOne):
    """Put a checkpoint on legal hold: neither people nor schedules can delete it until it is released.

    A hold on a checkpoint that is on hold replaces the reason.
    """

    examples = """
        refloat checkpoint hold set 5d0f1c6a "Case 1234: keep until the court has decided"
    """

    args = (CHECKPOINT, Argument("reason", "why; it is told to whoever wants to delete it"))

    def ask(self, refloat: Backend, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        return _shown(refloat.place_hold(parsed_args.checkpoint, parsed_args.reason))


class ShowHold(ShowOne):
    """Show who put a checkpoint on hold, when and why."""

    args = (CHECKPOINT,)

    def ask(self, refloat: Backend, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        return _shown(refloat.hold(parsed_args.checkpoint))


class UnsetHold(BaseCommand):
    """Release a checkpoint, so that it can be deleted again. Behind the service this is for managers."""

    args = (CHECKPOINT,)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        with self.open() as refloat:
            identity = refloat.release_hold(parsed_args.checkpoint)
        self.say(f"Checkpoint {identity} can be deleted again.")


def _shown(hold: Hold) -> Mapping[str, Any]:
    return {
        "checkpoint_id": hold.checkpoint_id,
        "reason": hold.reason,
        "user_id": hold.user_id,
        "created_at": Time(hold.created_at.isoformat(timespec="seconds")),
    }

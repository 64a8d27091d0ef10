"""Copies of checkpoints."""

from __future__ import annotations

import argparse
from typing import Any

from refloat.client.osc.arguments import Arg
from refloat.client.osc.base import PROVIDER, Create


class CopyCreate(Create):
    """Start to copy the checkpoints of a plan, or one checkpoint, to the bank of another provider."""

    verb, within = "create_copy", PROVIDER
    args = (
        PROVIDER,
        Arg("--to", "the provider (name or id) to whose bank they are copied", None, required=True),
        Arg("--plan", "id of the plan", "plan_id"),
        Arg("--checkpoint", "id of the checkpoint", "checkpoint_id"),
        Arg(
            "--allow-incomplete",
            "although some data stays in the cloud",
            None,
            action="store_true",
            default=False,
        ),
    )

    def sent(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        settings = {"to": parsed_args.to, "allow_incomplete": parsed_args.allow_incomplete}
        return {**super().sent(parsed_args), "parameters": settings}

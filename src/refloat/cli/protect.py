"""``refloat protect``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from refloat.cli.operation_base import NO_WAIT, OperationCommand
from refloat.cli.plan import PLAN


class Protect(OperationCommand):
    """Protect a plan: write a checkpoint of all its resources and all that they depend on.

    Prints the checkpoint: id, status, operation_id, plan, provider, resources. When it fails,
    everything that was made on the way is removed again and there is no checkpoint.
    """

    examples = """
        refloat protect shop
        CHECKPOINT=$(refloat protect shop -f value -c id)
        refloat protect shop --no-wait -f json
    """

    args = (NO_WAIT, PLAN)

    def show(self, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        return self.perform(parsed_args, lambda refloat: refloat.protect(parsed_args.plan, begin=False))

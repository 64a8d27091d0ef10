"""``refloat verify``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from refloat.cli.arguments import parse_parameters
from refloat.cli.base import CHECKPOINT, PARAMETER
from refloat.cli.operation_base import NO_WAIT, OperationCommand


class Verify(OperationCommand):
    """Verify a checkpoint: is everything that it needs there and unharmed.

    Reads all its data back from the bank and asks the cloud for what is kept there. Prints the
    checkpoint's id, its status (good or bad), operation_id, and a status and reason for each resource.
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
                begin=False,
            ),
        )

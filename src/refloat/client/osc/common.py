"""Arguments that several commands take."""

from __future__ import annotations

import argparse
from typing import Any

from osc_lib import exceptions

from refloat.client.osc import arguments as a
from refloat.client.osc.arguments import arg
from refloat.client.osc.base import Show

PROVIDER = arg("provider_id", "id of the provider")
NAME = arg("--name", "whose name contains this")
STATUS = arg("--status", "in this status")
SETTINGS = (
    arg("--parameters-json", "the parameters as JSON", "parameters", a.read_json),
    arg(
        "--parameters",
        "settings for a type of resources, or for one resource; can be repeated",
        read=a.parameters,
        action="append",
        metavar="resource_type=<type>[,resource_id=<id>,key=val,...]",
    ),
)


class WithSettings(Show):
    """Creates something that has parameters."""

    def sent(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """Parameters are always sent."""
        if parsed_args.parameters and parsed_args.parameters_json:
            raise exceptions.CommandError("Must provide parameters or parameters-json, not both")
        return {"parameters": {}, **super().sent(parsed_args)}

"""How things can be protected, and which."""

from __future__ import annotations

import argparse
from typing import Any

from refloat.client.osc import base as o

ProviderList = o.List.of(
    "List providers.",
    "providers",
    o.Arg("--name", "of this name"),
    o.Arg("--description", "of this description"),
    *o.PAGE,
    columns=("Id", "Name", "Description"),
)
ProviderShow = o.Find.of(
    "Show a provider: its parameters for protecting, restoring and verifying.",
    "find_provider",
    o.Arg("provider", "name or id"),
)


_TYPE = o.Arg("protectable_type", "as in OS::Nova::Server")
_SETTINGS = o.Arg("--parameters", "parameters of the search", None, nargs="*", metavar="<key=value>")


class ProtectableList(o.List):
    """List the types of resources that can be protected."""

    verb = "protectables"
    columns = ("Protectable type",)

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        return self.columns, ((item.id,) for item in self.call(parsed_args))


ProtectableShow = o.Show.of(
    "Show a type of resources: on which others they may depend.", "get_protectable", _TYPE
)


class _OnInstances:
    def sent(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        found: dict[str, Any] = super().sent(parsed_args)  # type: ignore[misc]
        if parsed_args.parameters:
            found["parameters"] = o.write_json(o.words(parsed_args.parameters))
        return found


class InstanceList(_OnInstances, o.List):
    """List the project's resources of a type."""

    verb = "instances"
    columns = ("Id", "Type", "Dependent resources", "Extra info")
    args = (_TYPE, o.Arg("--type", "the same type again; without effect", None), *o.PAGE, _SETTINGS)


class InstanceShow(_OnInstances, o.Show):
    """Show a resource that can be protected, and what it depends on."""

    verb = "get_instance"
    args = (_TYPE, o.Arg("protectable_id", "id of the resource"), _SETTINGS)

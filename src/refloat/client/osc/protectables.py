"""How things can be protected, and which."""

from __future__ import annotations

import argparse
from typing import Any

from refloat.client.osc.base import PAGE, Arg, Find, List, Show, words, write_json

ProviderList = List.of(
    "List providers.",
    "providers",
    Arg("--name", "of this name"),
    Arg("--description", "of this description"),
    *PAGE,
    columns=("Id", "Name", "Description"),
)
ProviderShow = Find.of(
    "Show a provider: its parameters for protecting, restoring and verifying.",
    "find_provider",
    Arg("provider", "name or id"),
)


_TYPE = Arg("protectable_type", "as in OS::Nova::Server")
_SETTINGS = Arg("--parameters", "parameters of the search", None, nargs="*", metavar="<key=value>")


class ProtectableList(List):
    """List the types of resources that can be protected."""

    verb = "protectables"
    columns = ("Protectable type",)

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        return self.columns, ((item.id,) for item in self.call(parsed_args))


ProtectableShow = Show.of(
    "Show a type of resources: on which others they may depend.", "get_protectable", _TYPE
)


class _OnInstances:
    def sent(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        found: dict[str, Any] = super().sent(parsed_args)  # type: ignore[misc]
        if parsed_args.parameters:
            found["parameters"] = write_json(words(parsed_args.parameters))
        return found


class InstanceList(_OnInstances, List):
    """List the project's resources of a type."""

    verb = "instances"
    columns = ("Id", "Type", "Dependent resources", "Extra info")
    args = (_TYPE, Arg("--type", "the same type again; without effect", None), *PAGE, _SETTINGS)


class InstanceShow(_OnInstances, Show):
    """Show a resource that can be protected, and what it depends on."""

    verb = "get_instance"
    args = (_TYPE, Arg("protectable_id", "id of the resource"), _SETTINGS)

"""Providers."""

from __future__ import annotations

from refloat.client.osc.arguments import Arg
from refloat.client.osc.base import PAGE, Find, List

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

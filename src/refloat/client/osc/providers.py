"""Providers."""

from __future__ import annotations

from refloat.client.osc.arguments import Arg
from refloat.client.osc.base import PAGE, Find, List


class ProviderList(List):
    """List providers."""

    verb = "providers"
    columns = ("Id", "Name", "Description")
    args = (Arg("--name", "of this name"), Arg("--description", "of this description"), *PAGE)


class ProviderShow(Find):
    """Show a provider: its parameters for protecting, restoring and verifying."""

    verb = "find_provider"
    args = (Arg("provider", "name or id"),)

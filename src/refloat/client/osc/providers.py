"""Providers."""

from __future__ import annotations

from refloat.client.osc.arguments import arg
from refloat.client.osc.base import PAGE, Find, List


class ProviderList(List):
    """List providers."""

    verb = "providers"
    columns = ("Id", "Name", "Description")
    args = (arg("--name", "of this name"), arg("--description", "of this description"), *PAGE)


class ProviderShow(Find):
    """Show a provider: its parameters for protecting, restoring and verifying."""

    verb = "find_provider"
    args = (arg("provider", "name or id"),)

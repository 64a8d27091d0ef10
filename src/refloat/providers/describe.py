"""What people are told of a provider's plugins."""

from __future__ import annotations

from typing import Any

from refloat.providers.provider import Provider
from refloat.resources.base import ProtectionPlugin


def describe_plugins(provider: Provider) -> list[dict[str, Any]]:
    """What each plugin is for, its parameters, and how faithfully each attribute comes back."""
    return [_described(plugin) for plugin in provider.plugins().values()]


def _described(plugin: ProtectionPlugin) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "type": plugin.resource_type,
        "description": plugin.description,
        "parameters": {
            operation: [{"name": option.name, **option.schema()} for option in options]
            for operation, options in plugin.options.items()
            if options
        },
        "attributes": [
            {"name": item.name, "fidelity": item.fidelity, "how": item.how} for item in plugin.attributes
        ],
    }

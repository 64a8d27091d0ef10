"""Finds the kinds of resources that are installed, through the entry point group ``refloat.resources``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from refloat.cloud import services
from refloat.cloud.kinds import add_kind
from refloat.cloud.quota import add_quota
from refloat.cloud.services import add_service
from refloat.errors import InvalidInput
from refloat.resources.base import Protectable, ProtectionPlugin

GROUP = "refloat.resources"


@cache
def _modules() -> tuple[Any, ...]:
    modules = tuple(entry.load() for entry in entry_points(group=GROUP))
    for module in modules:
        for kind in getattr(module, "KINDS", ()):
            add_kind(kind)
        for service in getattr(module, "SERVICES", ()):
            add_service(service)
        for quota in getattr(module, "QUOTAS", ()):
            add_quota(quota)
    return modules


@cache
def protectables() -> Mapping[str, type[Protectable]]:
    """Every protectable by resource type, in alphabetical order of type."""
    found = [module.PROTECTABLE for module in _modules()]
    return {protectable.type: protectable for protectable in sorted(found, key=lambda p: p.type)}


@cache
def plugins() -> Mapping[str, type[ProtectionPlugin]]:
    """Every protection plugin by name."""
    return {plugin.name: plugin for module in _modules() for plugin in module.PLUGINS}


def concurrency_limits() -> Mapping[str, int]:
    """How many hooks of the resources of a service run or wait at once, by the service's name."""
    _modules()
    return services.concurrency_limits()


def protectable(type_name: str) -> type[Protectable]:
    """The protectable of a type. :raises InvalidInput: no kind of that type is installed."""
    found = protectables().get(type_name)
    if found is None:
        raise InvalidInput(
            f"'{type_name}' is not a type of resource that can be protected",
            advice=f"Types: {', '.join(protectables())}",
        )
    return found

"""Finds the kinds of resources that are installed, through the entry point group ``refloat.resources``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from refloat.cloud.kinds import Kind, add_kind
from refloat.cloud.quota import Quota, add_quota
from refloat.cloud.services import SERVICES, Service, add_service
from refloat.entry_points import entry_points
from refloat.errors import InvalidInput
from refloat.resources.base import Protectable, ProtectionPlugin
from refloat.resources.declared import Declared
from refloat.resources.noop import TYPE as NOOP

GROUP = "refloat.resources"


@dataclass(frozen=True)
class Installed:
    """What one entry point brings."""

    protectable: type[Protectable]
    plugins: Sequence[type[ProtectionPlugin]]
    kinds: Sequence[Kind] = ()
    services: Sequence[Service] = ()
    quotas: Sequence[Quota] = ()

    @classmethod
    def of(cls, loaded: Any) -> Installed:
        """What an entry point names: a module, or a kind that is declared, perhaps in several ways."""
        ways = loaded if isinstance(loaded, tuple) else (loaded,)
        if isinstance(way := ways[0], Declared):
            plugins = [each.plugin for each in ways]
            return cls(way.protectable, plugins, (way.kind, *way.more_kinds), way.services, way.quotas)
        more = (getattr(loaded, name, ()) for name in ("KINDS", "SERVICES", "QUOTAS"))
        return cls(loaded.PROTECTABLE, loaded.PLUGINS, *more)


@cache
def installed() -> tuple[Installed, ...]:
    """All that is installed; what the cloud's room has to know of it is made known there."""
    found = tuple(Installed.of(entry.load()) for entry in entry_points(group=GROUP))
    for each in found:
        for kind in each.kinds:
            add_kind(kind)
        for service in each.services:
            add_service(service)
        for quota in each.quotas:
            add_quota(quota)
    return found


@cache
def protectables() -> Mapping[str, type[Protectable]]:
    """Every protectable by resource type, in alphabetical order of type."""
    found = [each.protectable for each in installed()]
    return {protectable.type: protectable for protectable in sorted(found, key=lambda p: p.type)}


@cache
def plugins() -> Mapping[str, type[ProtectionPlugin]]:
    return {plugin.name: plugin for each in installed() for plugin in each.plugins}


def concurrency_limits() -> Mapping[str, int]:
    """How many hooks of the resources of a service run or wait at once, by the service's name."""
    installed()
    return {each.name: each.concurrency for each in SERVICES.values() if each.concurrency}


def protectable(type_name: str) -> type[Protectable]:
    """The protectable of a type. :raises InvalidInput: no kind of that type is installed."""
    found = protectables().get(type_name)
    if found is None:
        raise InvalidInput(
            f"'{type_name}' is not a type of resource that can be protected",
            advice=f"Types: {', '.join(kind for kind in protectables() if kind != NOOP)}",
        )
    return found

"""Resources that are nowhere: for trying Refloat out and for measuring it, without any cloud.

``tree-1000`` is an application of a thousand made-up resources, always the same one. A tree has the shape of
a real application: its root needs servers, each server has a few disks and a network of its own, which the
next server is on too. The ids tell everything, so nothing is kept anywhere: ``tree-1000`` is the root and
``tree-1000-1`` to ``tree-1000-999`` are what it is made of.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, ClassVar

from refloat.errors import NotFound
from refloat.graph import Resource
from refloat.resources.attributes import exact, outcomes
from refloat.resources.base import (
    HOOKS,
    RESTORE_NAME,
    Hook,
    HookContext,
    Hooks,
    PlanContext,
    Planned,
    Protectable,
    ProtectionPlugin,
    Restored,
    hooks,
    restored,
)
from refloat.resources.verifying import checked

TYPE = "Refloat::Noop"

TIER = 8
"""Resources of one server: itself, six disks and a network."""
LARGEST = 1000
_SPELLING = re.compile(r"tree[:-](?P<size>[1-9][0-9]{0,4})(?:-(?P<place>[1-9][0-9]{0,4}))?")


class NoopProtectable(Protectable):
    """Finds the parts of a made-up application; ``find("tree:1000")`` is its root."""

    type = TYPE
    parents = frozenset({TYPE})

    def list(self) -> list[Resource]:
        return []

    def show(self, identity: str) -> Resource:
        match = _SPELLING.fullmatch(identity)
        size, place = (int(part or 0) for part in match.groups()) if match else (0, 0)
        if match is None or place >= size or size > LARGEST:
            raise NotFound(
                f"there is no {TYPE} '{identity}'",
                advice=f"tree:{LARGEST} is the largest",
            )
        return _part(size, place)

    def dependants(self, parent: Resource) -> Iterable[Resource]:
        """What one part of a made-up application needs."""
        match = _SPELLING.fullmatch(parent.id)
        if match is None:
            return []
        size, place = (int(part or 0) for part in match.groups())
        if place == 0:
            return [_part(size, server) for server in range(1, size, TIER)]
        if place % TIER != 1:
            return []
        own = [_part(size, other) for other in range(place + 1, min(place + TIER, size))]
        shared = [_part(size, place - 1)] if place > 1 else []
        return own + shared


def _part(size: int, place: int) -> Resource:
    if place == 0:
        return Resource(TYPE, f"tree-{size}", f"tree:{size}")
    role = {1: "server", 0: "network"}.get(place % TIER, "disk")
    return Resource(TYPE, f"tree-{size}-{place}", f"{role}-{place}")


def _four(**bodies: Hook) -> type[Hooks]:
    """All four hooks, to be measured; those that are not given change nothing and tell nothing."""
    return hooks(**{hook: bodies.get(hook, lambda _context: {}) for hook in HOOKS})


def _made_up(context: HookContext) -> Mapping[str, Any]:
    """The new id: always the same for one operation."""
    key = context.resource.key
    new_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{context.operation_id}:{key}"))
    return restored(Restored(key.type, key.id, new_id, context.planned.name))


NoopHooks = _four()
NoopProtect = _four(on_main=lambda context: {"name": context.resource.name})
NoopRestore = _four(on_complete=_made_up)
NoopVerify = _four(on_main=lambda _context: checked(""))


class NoopPlugin(ProtectionPlugin):
    """Goes through the motions for resources that are nowhere: in all four hooks of all four operations."""

    name = "noop"
    resource_type = TYPE
    description = "Does nothing, for trying out and measuring"
    attributes = exact("name")
    options: ClassVar = {"restore": (RESTORE_NAME,)}

    protect = NoopProtect
    restore: ClassVar[type[Hooks]] = NoopRestore
    verify = NoopVerify
    delete = NoopHooks

    def plan_restore(self, context: PlanContext) -> Planned:
        name, changes = context.renamed(str(context.section.get("name", context.resource.name)))
        return Planned("create", name=name, attributes=outcomes(self.attributes, context.section, changes))


class _NoopElsewhere(NoopPlugin):
    """Goes through the motions for resources that are real: keeps nothing of them, restores nothing."""

    restore = NoopHooks

    def plan_restore(self, context: PlanContext) -> Planned:
        resource = context.resource
        reason = "the no-op plugin keeps nothing and restores nothing"
        return Planned("reuse", name=resource.name, new_id=resource.id, reason=reason)


@cache
def noop_plugin(resource_type: str) -> type[ProtectionPlugin]:
    """A no-op plugin for any type of resource."""
    if resource_type == TYPE:
        return NoopPlugin
    return type("NoopElsewhere", (_NoopElsewhere,), {"resource_type": resource_type})


PROTECTABLE = NoopProtectable
PLUGINS = (NoopPlugin,)

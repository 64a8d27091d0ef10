"""Does nothing, in all four hooks of all four operations."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar

from refloat.resources.attributes import exact, outcomes
from refloat.resources.base import (
    RESTORE_NAME,
    HookContext,
    Hooks,
    PlanContext,
    Planned,
    ProtectionPlugin,
    Restored,
    restored,
)
from refloat.resources.noop.protectable import TYPE

ATTRIBUTES = exact("name")


class NoopHooks(Hooks):
    """Four hooks that change nothing and tell nothing."""

    def on_prepare_begin(self, context: HookContext) -> Mapping[str, Any]:
        return {}

    def on_prepare_finish(self, context: HookContext) -> Mapping[str, Any]:
        return {}

    def on_main(self, context: HookContext) -> Mapping[str, Any]:
        return {}

    def on_complete(self, context: HookContext) -> Mapping[str, Any]:
        return {}


class NoopProtect(NoopHooks):
    """Remembers the name."""

    def on_main(self, context: HookContext) -> Mapping[str, Any]:
        return {"name": context.resource.name}


class NoopRestore(NoopHooks):
    """Makes an id up."""

    def on_complete(self, context: HookContext) -> Mapping[str, Any]:
        """The new id: always the same for one operation."""
        key = context.resource.key
        new_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{context.operation_id}:{key}"))
        return restored(Restored(key.type, key.id, new_id, context.planned.name))


class NoopVerify(NoopHooks):
    """Is always content."""

    def on_main(self, context: HookContext) -> Mapping[str, Any]:
        return {"ok": True, "reason": ""}


class NoopPlugin(ProtectionPlugin):
    """Goes through the motions for resources that are nowhere."""

    name = "noop"
    resource_type = TYPE
    description = "Does nothing, for trying out and measuring"
    attributes = ATTRIBUTES
    options: ClassVar = {"restore": (RESTORE_NAME,)}

    protect = NoopProtect
    restore: ClassVar[type[Hooks]] = NoopRestore
    verify = NoopVerify
    delete = NoopHooks

    def plan_restore(self, context: PlanContext) -> Planned:
        name = context.restored_name(str(context.section.get("name", context.resource.name)))
        return Planned("create", name=name, attributes=outcomes(ATTRIBUTES, context.section))


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

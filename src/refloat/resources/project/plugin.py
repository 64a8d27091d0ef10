"""A project is not made anew: what was in it is restored into the project of whoever restores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refloat.resources.attributes import Attribute, Change, outcomes
from refloat.resources.base import PROJECT, Hooks, PlanContext, Planned, ProtectionPlugin, Restored
from refloat.resources.context import HookContext

_ADMIN = "an administrator sets it; a restore leaves the project as it is"

ATTRIBUTES = (
    Attribute("id", "mapped", "the project that the restore runs in"),
    Attribute("name", "mapped", "the project that the restore runs in"),
    Attribute("description", "lost", _ADMIN),
    Attribute("tags", "lost", _ADMIN),
    Attribute("quotas", "lost", _ADMIN),
    Attribute("role_assignments", "lost", _ADMIN),
)


class ProjectProtect(Hooks):
    """Remembers which project it was."""

    def on_main(self, context: HookContext) -> Mapping[str, Any]:
        """The section: id and name."""
        return {"id": context.resource.id, "name": context.resource.name}


class ProjectRestore(Hooks):
    """Names the project that everything is restored into."""

    def on_main(self, context: HookContext) -> Mapping[str, Any]:
        """The current project stands for the one that was protected."""
        planned = context.planned
        restored = Restored(PROJECT, context.resource.id, planned.new_id, planned.name, True, planned.reason)
        return {"restored": [restored.to_json()]}


class ProjectVerify(Hooks):
    """A project holds nothing that could be damaged."""

    def on_main(self, context: HookContext) -> Mapping[str, Any]:
        """Whether the section says which project it was."""
        known = context.section.get("id") == context.resource.id
        return {"ok": known, "reason": "" if known else "the section does not say which project it is of"}


class ProjectPlugin(ProtectionPlugin):
    """Maps a protected project to the current one."""

    name = "project"
    resource_type = PROJECT
    description = "Restores what was in a project into the project of whoever restores"
    attributes = ATTRIBUTES

    protect = ProjectProtect
    restore = ProjectRestore
    verify = ProjectVerify

    def plan_restore(self, context: PlanContext) -> Planned:
        """Use the current project."""
        own = context.cloud.project_id
        if own == context.resource.id:
            changes: dict[str, Change] = {
                "id": Change(own, "exact", ""),
                "name": Change(context.section.get("name"), "exact", ""),
            }
            reason = "it is still there"
        else:
            changes = {"id": Change(own, "mapped", "the project that the restore runs in")}
            reason = "restored into the project of whoever restores"
        return Planned(
            "reuse",
            name=str(context.section.get("name", "")),
            reason=reason,
            new_id=own,
            attributes=outcomes(ATTRIBUTES, context.section, changes),
        )

"""The project: everything that a user has in one place of a cloud.

It is not made anew: what was in it is restored into the project of whoever restores.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from refloat.cloud import explained
from refloat.errors import NotFound
from refloat.graph import Resource
from refloat.resources.attributes import STILL_THERE, Attribute, Change, outcomes
from refloat.resources.base import (
    PROJECT,
    HookContext,
    PlanContext,
    Planned,
    Protectable,
    ProtectionPlugin,
    hooks,
)
from refloat.resources.verifying import checked

_ADMIN = "an administrator sets it; a restore leaves the project as it is"
_CURRENT = "the project that the restore runs in"


class ProjectProtectable(Protectable):
    """The caller's own project; nobody else's can be seen, let alone protected."""

    type = PROJECT

    def list(self) -> list[Resource]:
        return [self._own()]

    def show(self, identity: str) -> Resource:
        if identity != self.cloud.project_id:
            raise NotFound(
                f"there is no project '{identity}' that you could protect",
                resource=f"{PROJECT} {identity}",
                advice=f"The project you are logged in to is {self.cloud.project_id}",
            )
        return self._own()

    def dependants(self, parent: Resource) -> Iterable[Resource]:
        return ()

    def _own(self) -> Resource:
        identity = self.cloud.project_id
        with explained("read the name of one's own project"):
            session = self.cloud.connection.session
            auth: Any = session.auth
            name = auth.get_access(session).project_name
        return Resource(PROJECT, identity, str(name or ""))


def _verify(context: HookContext) -> Mapping[str, Any]:
    known = context.section.get("id") == context.resource.id
    return checked("" if known else "the section does not say which project it is of")


class ProjectPlugin(ProtectionPlugin):
    """Maps a protected project to the current one."""

    name = "project"
    resource_type = PROJECT
    description = "Restores what was in a project into the project of whoever restores"
    attributes = (
        Attribute("id", "mapped", _CURRENT),
        Attribute("name", "mapped", _CURRENT),
        *(Attribute(name, "lost", _ADMIN) for name in ("description", "tags", "quotas", "role_assignments")),
    )

    protect = hooks(on_main=lambda context: {"id": context.resource.id, "name": context.resource.name})
    restore = hooks(on_main=lambda context: context.restored(context.planned.new_id))
    verify = hooks(on_main=_verify)

    def plan_restore(self, context: PlanContext) -> Planned:
        own, name = context.cloud.project_id, context.section.get("name", "")
        asked = context.mapping("project", context.resource.id, str(name))
        if asked is not None and asked.new != own:
            said = f"{asked.said}, and a restore goes into the project that one is logged in to ({own})"
            return Planned("impossible", str(name), said)
        reason = "restored into the project of whoever restores"
        changes = {"id": Change(own, "mapped", _CURRENT)}
        if own == context.resource.id:
            reason = STILL_THERE
            changes = {"id": Change(own, "exact", ""), "name": Change(name, "exact", "")}
        attributes = outcomes(self.attributes, context.section, changes)
        return Planned("reuse", name=str(name), reason=reason, new_id=own, attributes=attributes)


PROTECTABLE = ProjectProtectable
PLUGINS = (ProjectPlugin,)

"""Decides how a share comes back."""

from __future__ import annotations

from refloat.resources.attributes import Change, nothing_to_lose, outcomes
from refloat.resources.base import PlanContext, Planned
from refloat.resources.share.attributes import ATTRIBUTES
from refloat.resources.share.protect import KEPT


def plan(context: PlanContext) -> Planned:
    section = context.section
    problem = "this cloud has no shared file system service"
    if context.cloud.has("shared_file_system"):
        problem = KEPT.planned(context)
    name, changes = context.renamed(section["name"])
    changes |= nothing_to_lose(section, "share_group_id", "replicas", "snapshots")
    conflicts: list[str] = []
    public = section["is_public"]
    if public and "admin" not in context.cloud.roles:
        public, said = False, "only administrators make a share public"
        changes["is_public"] = Change(False, "degraded", said)
        conflicts.append(f"{said}: the new one is private")
    return Planned(
        "impossible" if problem else "create",
        name=name,
        reason=problem,
        attributes=outcomes(ATTRIBUTES, section, changes),
        needs={"shares": 1, "share_gigabytes": int(section["size"])},
        decisions={"is_public": public},
        conflicts=tuple(conflicts),
    )

"""What a restore will do about an image and the disks that were captured with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from refloat.resources.attributes import (
    Attribute,
    AttributeOutcome,
    Change,
    asked_for,
    nothing_to_lose,
    outcomes,
)
from refloat.resources.base import PlanContext, Planned
from refloat.resources.glance import find_image
from refloat.resources.image.protectable import servers_of
from refloat.resources.image.section import ATTRIBUTES

STILL_THERE = "it is still there, with the same data"

_PUBLIC = frozenset({"public", "community"})


def disk_name(disk: Mapping[str, Any]) -> str:
    """What the image of a server's disk is called."""
    return f"{disk['name']} (disk)"[:255]


def disks_wanted(context: PlanContext) -> Sequence[str]:
    """The servers whose disks are restored: those being restored; all when the image is asked for alone."""
    kept = context.section["disks"]
    servers = servers_of(context.graph, context.resource)
    wanted = [s.id for s in servers if s.id in kept and context.existing(s.key) != "keep"]
    alone = not context.graph.parents(context.resource.key)
    return list(kept) if alone else wanted


def bytes_to_send(section: Mapping[str, Any], decisions: Mapping[str, Any]) -> int:
    """How much a restore that follows these decisions will upload."""
    own = section["data"] if section["data"] and not decisions["reuse"] else {"size": 0}
    return int(own["size"]) + sum(int(section["disks"][i]["ref"]["size"]) for i in decisions["disks"])


def plan(context: PlanContext) -> Planned:
    section = context.section
    disks = disks_wanted(context)
    image = section["image"] or {}
    there = find_image(context.cloud, context.resource.id)
    name = context.restored_name(image.get("name") or "")
    asked_anew = bool(context.parameters.get("restore_name"))
    reuse = section["data"] is not None and not asked_anew and _is_same(there, image)
    makes_own = section["data"] is not None and not reuse
    decisions: dict[str, Any] = {
        "disks": disks,
        "reuse": context.resource.id if reuse else "",
        "visibility": "private",
    }
    if reuse and not disks:
        return Planned(
            "reuse",
            name=image.get("name") or "",
            reason=STILL_THERE,
            new_id=context.resource.id,
            attributes=_reused(section),
            decisions=decisions,
        )
    if not (disks or makes_own):
        kept = any(context.existing(s.key) == "keep" for s in servers_of(context.graph, context.resource))
        said = "only disks of servers were captured that are not restored here"
        return Planned("skip" if kept else "impossible", image.get("name") or "", said, decisions=decisions)
    conflicts: list[str] = []
    if makes_own:
        changes, conflicts = _changes(context, image, name)
        changed = changes.get("visibility")
        decisions["visibility"] = changed.restored if changed else image["visibility"]
        attributes = outcomes(ATTRIBUTES, section, changes)
    else:
        attributes = _reused(section) if reuse else ()
        name = ", ".join(disk_name(section["disks"][server]) for server in disks)
    attributes += outcomes(_disk_table(section, disks), section)
    size = decisions["bytes"] = bytes_to_send(section, decisions)
    needs = {"images": len(disks) + makes_own, "image_megabytes": -(-size // (1 << 20))}
    return Planned(
        "create",
        name=name,
        reason="" if makes_own else "the servers' disks as they were, not the image they were booted from",
        attributes=attributes,
        needs=needs,
        decisions=decisions,
        conflicts=tuple(conflicts),
    )


def _is_same(there: Mapping[str, Any] | None, image: Mapping[str, Any]) -> bool:
    if there is None or there["status"] != "active":
        return False
    if image.get("os_hash_value"):
        return bool(there["os_hash_value"] == image["os_hash_value"])
    return bool(there["checksum"] and there["checksum"] == image.get("checksum"))


def _reused(section: Mapping[str, Any]) -> tuple[AttributeOutcome, ...]:
    """What is used again has all it had, but for what its owner has changed since."""
    changes = {a.name: Change(a.read(section), "exact", "") for a in ATTRIBUTES}
    return outcomes(ATTRIBUTES, section, changes)


def _disk_table(section: Mapping[str, Any], disks: Sequence[str]) -> tuple[Attribute, ...]:
    def reader(server_id: str) -> Any:
        return lambda s: s["disks"][server_id]["size"]

    return tuple(
        Attribute(
            f"disk of {section['disks'][server_id]['name'] or server_id}", "exact", value=reader(server_id)
        )
        for server_id in disks
    )


def _changes(
    context: PlanContext, image: Mapping[str, Any], name: str
) -> tuple[dict[str, Change], list[str]]:
    changes = {} if name == (image["name"] or "") else {"name": asked_for("restore_name", name)}
    conflicts: list[str] = []
    if image["visibility"] in _PUBLIC and "admin" not in context.cloud.roles:
        said = f"only an administrator makes an image {image['visibility']}"
        changes["visibility"] = Change("private", "degraded", said)
        conflicts.append(f"{said}: '{name}' becomes private")
    if image["owner"] == context.cloud.project_id:
        changes["owner"] = Change(image["owner"], "exact", "")
    return changes | nothing_to_lose(image, "members"), conflicts

"""Decides how a new volume will be made like the original, wherever its data comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refloat.cloud.kinds import usable_zones
from refloat.resources.attributes import asked_for, nothing_to_lose
from refloat.resources.base import PlanContext, Planned
from refloat.resources.draft import Draft
from refloat.resources.volume.section import ATTRIBUTES


def plan(context: PlanContext) -> Planned:
    """Decide how the new volume will be made."""
    section, draft = context.section, Draft.renamed(context, ATTRIBUTES)
    draft.changes |= nothing_to_lose(section, "group_id", "snapshots", "attachments")
    description = context.parameters.get("restore_description")
    if description is not None:
        draft.changes["description"] = asked_for("restore_description", description)
    type_id, said = _type_of(section["type"], context.listing("volume_type"))
    if said:
        if section["encrypted"]:
            draft.problems.append(f"{said}, and an encrypted volume needs the very type it had")
        default = "the cloud's default type"
        draft.conflict("type", default, "degraded", said, f"{default} is used")
        draft.change("qos", default, "degraded", said)
        if section["multiattach"]:
            draft.change("multiattach", None, "degraded", said)

    zone = section["availability_zone"]
    zones = usable_zones(context.listing("volume_zone"))
    if zone and zone not in zones:
        said = f"there is no availability zone '{zone}' for volumes any more"
        draft.conflict("availability_zone", "as Cinder chooses", "degraded", said, "Cinder chooses one")
        zone = ""

    draft.needs = {"volumes": 1, "gigabytes": int(section["size"])}
    draft.decisions = {
        "type": type_id,
        "availability_zone": zone,
        "description": section["description"] if description is None else description,
    }
    return draft.planned()


def _type_of(wanted: Mapping[str, str], types: list[Any]) -> tuple[str, str]:
    """The id of the type to use (empty: Cinder's default), and what is wrong with the wanted one."""
    if not wanted["name"] and not wanted["id"]:
        return "", ""
    for found in types:
        if str(found.id) == wanted["id"]:
            return str(found.id), ""
    for found in types:
        if found.name == wanted["name"]:
            return str(found.id), ""
    return "", f"there is no volume type '{wanted['name']}' any more"

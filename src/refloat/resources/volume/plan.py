"""Decides how a new volume will be made like the original, wherever its data comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refloat.resources.attributes import Change, asked_for, nothing_to_lose, outcomes
from refloat.resources.base import PlanContext, Planned
from refloat.resources.volume.section import ATTRIBUTES


def plan(context: PlanContext, source_problem: str) -> Planned:
    """Decide how the new volume will be made.

    :param source_problem: why the data cannot be had, if so.
    """
    section = context.section
    conflicts: list[str] = []
    name, changes = context.renamed(section["name"])
    changes |= nothing_to_lose(section, "group_id", "snapshots", "attachments")
    description = context.parameters.get("restore_description")
    if description is not None:
        changes["description"] = asked_for("restore_description", description)
    problem = source_problem

    type_id, said = _type_of(section["type"], context.listing("volume_type"))
    if said:
        if section["encrypted"]:
            problem = problem or f"{said}, and an encrypted volume needs the very type it had"
        conflicts.append(f"{said}: the cloud's default type is used")
        for attribute in ("type", "qos"):
            changes[attribute] = Change("the cloud's default type", "degraded", said)
        if section["multiattach"]:
            changes["multiattach"] = Change(None, "degraded", said)

    zone = section["availability_zone"]
    zones = {str(found.name) for found in context.listing("volume_zone") if _is_available(found)}
    if zone and zone not in zones:
        said = f"there is no availability zone '{zone}' for volumes any more"
        conflicts.append(f"{said}: Cinder chooses one")
        changes["availability_zone"] = Change("as Cinder chooses", "degraded", said)
        zone = ""

    return Planned(
        "impossible" if problem else "create",
        name=name,
        reason=problem,
        attributes=outcomes(ATTRIBUTES, section, changes),
        needs={"volumes": 1, "gigabytes": int(section["size"])},
        decisions={
            "type": type_id,
            "availability_zone": zone,
            "description": section["description"] if description is None else description,
        },
        conflicts=tuple(conflicts),
    )


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


def _is_available(zone: Any) -> bool:
    return bool((zone.state or {}).get("available", True))

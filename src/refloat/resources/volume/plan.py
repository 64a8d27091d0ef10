"""Decides how a new volume will be made like the original, wherever its data comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from refloat.cloud.kinds import usable_zones
from refloat.cloud.quota import volume_type_headroom
from refloat.mappings import Mapped
from refloat.resources.attributes import asked_for, nothing_to_lose
from refloat.resources.base import PlanContext, Planned, Section
from refloat.resources.draft import Draft
from refloat.resources.volume.section import ATTRIBUTES


def plan(context: PlanContext) -> Planned:
    """Decide how the new volume will be made."""
    section, draft = context.section, Draft.renamed(context, ATTRIBUTES)
    draft.changes |= nothing_to_lose(section, "group_id", "snapshots", "attachments")
    description = context.parameters.get("restore_description")
    if description is not None:
        draft.changes["description"] = asked_for("restore_description", description)
    was = section["type"]
    asked = context.mapping("volume-type", was["id"], was["name"])
    if asked is not None:
        type_id, said = asked.new, ""
        _tell_type(draft, section, asked)
    else:
        type_id, said = _type_of(was, context.listing("volume_type"))
    if said:
        draft.propose("volume-type", was["name"] or was["id"], _with_room(context, int(section["size"])))
        if section["encrypted"]:
            draft.problems.append(f"{said}, and an encrypted volume needs the very type it had")
        default = "the cloud's default type"
        draft.conflict("type", default, "degraded", said, f"{default} is used")
        draft.change("qos", default, "degraded", said)
        if section["multiattach"]:
            draft.change("multiattach", None, "degraded", said)
    draft.needs = {"volumes": 1, "gigabytes": int(section["size"])}
    draft.decisions = {
        "type": type_id,
        "availability_zone": _zone(context, draft),
        "description": section["description"] if description is None else description,
    }
    return draft.planned()


def _zone(context: PlanContext, draft: Draft) -> str:
    """The zone to make it in; empty: Cinder chooses."""
    zone: str = context.section["availability_zone"]
    zones = usable_zones(context.listing("volume_zone"))
    asked = context.mapping("zone", zone, zone) if zone else None
    if asked is not None and asked.new in zones:
        draft.change("availability_zone", asked.new, "mapped", asked.said)
        return asked.new
    if not zone or zone in zones:
        return zone
    said = f"there is no availability zone '{zone}' for volumes any more"
    draft.conflict("availability_zone", "as Cinder chooses", "degraded", said, "Cinder chooses one")
    draft.propose("zone", zone, ((each, "") for each in sorted(zones)))
    return ""


def _tell_type(draft: Draft, section: Section, asked: Mapped) -> None:
    """What it means that another type is asked for."""
    for name in ("type", "qos"):
        draft.change(name, asked.name, "mapped", asked.said)
    if section["multiattach"] and "multiattach" not in (asked.thing.extra_specs or {}):
        said = f"{asked.said}, which does not say that it has it"
        draft.conflict("multiattach", None, "degraded", said)
    if section["encrypted"]:
        draft.problems.append(f"{asked.said}, and an encrypted volume needs the very type it had")


def _with_room(context: PlanContext, size: int) -> Iterable[tuple[str, str]]:
    """The types of which the project's quota leaves enough, with what it leaves where that is limited."""
    types = context.listing("volume_type")
    free = volume_type_headroom(context.cloud) if types else {}
    for found in types:
        volumes, gigabytes = (free.get(f"{what}_{found.name}") for what in ("volumes", "gigabytes"))
        if volumes != 0 and (gigabytes is None or gigabytes >= size):
            yield str(found.name), f"{gigabytes} GiB are free" if gigabytes is not None else ""


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

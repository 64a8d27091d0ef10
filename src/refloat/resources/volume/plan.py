"""Decides how a new volume will be made like the original, wherever its data comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from refloat.cloud import explained
from refloat.cloud.kinds import usable_zones
from refloat.cloud.quota import volume_type_headroom
from refloat.graph import ResourceKey
from refloat.mappings import Mapped
from refloat.resources.attributes import Change, asked_for, nothing_to_lose
from refloat.resources.base import PlanContext, Planned, Section
from refloat.resources.draft import Draft
from refloat.resources.networking import left_alone
from refloat.resources.volume.protectable import SERVER, attached_to
from refloat.resources.volume.section import ATTRIBUTES, describe

InPlace: TypeAlias = Callable[[PlanContext, Any], str]
"""Why the data cannot be put into a volume that is there; empty: it can."""

_COMES_BACK = ("image_metadata", "bootable")
"""What of a volume comes with its data, and is put back with it."""


def plan(in_place: InPlace, context: PlanContext, *, by_image: bool = False) -> Planned:
    """Decide how the new volume will be made, or how the data gets into one that is there.

    :param by_image: it becomes an image first, which Nova can write over what a server boots from, too.
    """
    wanted = context.parameters.get("volume_id")
    if wanted or context.existing(context.resource.key) == "replace":
        planned = _plan_in_place(in_place, context, str(wanted or context.resource.id))
        return replace(planned, decisions={**planned.decisions, "by_image": by_image})
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


def _plan_in_place(in_place: InPlace, context: PlanContext, volume_id: str) -> Planned:
    volume, section = context.cloud.find("volume", volume_id), context.section
    if volume is None:
        return Planned("impossible", volume_id, f"there is no volume {volume_id} to put the data into")
    name = volume.name or volume_id
    problem = _unusable(context, volume) or in_place(context, volume)
    if not problem and int(volume.size) < section["size"]:
        problem = f"the volume {name} has {volume.size} GiB, and the data is of {section['size']}"
    if problem:
        return Planned("impossible", name, problem)
    now = describe(context.cloud, volume)
    back = {a.name: Change(a.read(section), "exact", "") for a in ATTRIBUTES if a.name in _COMES_BACK}
    attributes, reason = left_alone(ATTRIBUTES, section, now, back)
    settings = {name: section[name] for name in _COMES_BACK}
    said = reason.replace("and left as it is", "and its settings left as they are")
    return Planned(
        "replace",
        *(name, f"its data is put back in place; {said}", volume_id, attributes),
        decisions={"settings": settings, "metadata": now["metadata"]},
    )


def _unusable(context: PlanContext, volume: Any) -> str:
    """Why the data of a volume cannot be replaced now. Servers that are replaced let go of it."""
    name = volume.name or volume.id
    for server in attached_to(volume):
        if context.existing(ResourceKey(SERVER, server)) != "replace":
            return (
                f"the volume {name} is attached to server {server}, whose data is not replaced with it: "
                "detach it, or restore that server, too"
            )
    if volume.status not in ("available", "in-use"):
        return f"the status of the volume {name} is '{volume.status}'"
    return ""


def whole_volume(context: PlanContext, volume: Any) -> str:
    """What is written over a volume as a whole must not have snapshots: storage on files keeps what is newer
    than a snapshot elsewhere."""
    with explained("list the snapshots of the volume", context.resource):
        found = list(context.cloud.block_storage.snapshots(details=False, volume_id=volume.id))
    if not found:
        return ""
    ids = ", ".join(snapshot.id for snapshot in found)
    return f"the volume {volume.name or volume.id} has snapshots: delete them before ({ids})"


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

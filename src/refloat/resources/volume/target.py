"""The volume that a restore makes: planned like the original, created, and made like it in all settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openstack import exceptions as sdk_exceptions

from refloat.cloud import Marker, explained
from refloat.errors import CloudError
from refloat.resources.attributes import Change, outcomes
from refloat.resources.base import PlanContext, Planned, Restored
from refloat.resources.context import HookContext
from refloat.resources.volume.attributes import ATTRIBUTES
from refloat.resources.volume.protectable import TYPE

ROLE = "volume"


def plan(context: PlanContext, source_problem: str) -> Planned:
    """Decide how the new volume will be made.

    :param source_problem: why the data cannot be had, if so.
    """
    section = context.section
    changes: dict[str, Change] = {}
    conflicts: list[str] = []
    name = context.restored_name(section["name"])
    if name != section["name"]:
        changes["name"] = Change(name, "mapped", "as asked for with restore_name")
    description = context.parameters.get("restore_description")
    if description is not None:
        changes["description"] = Change(description, "mapped", "as asked for with restore_description")
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

    for attribute in ("group_id", "snapshots", "attachments"):
        if not section[attribute]:  # there is nothing to lose or to map
            changes[attribute] = Change(section[attribute], "exact", "")
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


def create(context: HookContext, **source: Any) -> str:
    """Create the new volume once, however often this is run; returns its id.

    :param source: where Cinder takes its data from (``snapshot_id``, ``image_id``), if from anywhere.
    """
    section, planned = context.section, context.planned
    decisions = planned.decisions
    wanted = {
        "size": section["size"],
        "name": planned.name,
        "description": decisions["description"],
        "volume_type": decisions["type"] or None,
        "availability_zone": decisions["availability_zone"] or None,
    }
    fields = {key: value for key, value in wanted.items() if value is not None}

    def make(marker: Marker) -> Any:
        with explained(f"create the volume {planned.name}", context.resource):
            return context.cloud.block_storage.create_volume(**fields, **source, metadata=marker.metadata)

    return context.ensure("volume", ROLE, make)


def finish(context: HookContext, volume: Any, *, reason: str = "") -> Mapping[str, Any]:
    """Give the new volume all settings of the old one and check it; returns the hook's result.

    :param volume: as Cinder showed it when its data was complete.
    :param reason: what is to be said about it.

    The mark that it is unfinished is in its metadata, so these are written last.
    """
    cloud, section, planned = context.cloud, context.section, context.planned
    volume_id = str(volume.id)
    if int(volume.size) != section["size"]:
        raise CloudError(
            f"the new volume {volume_id} has {volume.size} GiB instead of {section['size']}",
            resource=str(context.resource),
        )
    with explained(f"set up the volume {volume_id}", context.resource):
        named = {"name": planned.name, "description": planned.decisions["description"]}
        if (volume.name or "", volume.description) != (named["name"], named["description"]):
            cloud.block_storage.update_volume(volume_id, **named)
        _set_image_metadata(cloud.block_storage, volume, section["image_metadata"])
        if bool(volume.is_bootable) != section["bootable"]:
            cloud.block_storage.set_volume_bootable_status(volume_id, section["bootable"])
        if section["readonly"]:
            cloud.block_storage.set_volume_readonly(volume_id, True)
        body = {"metadata": dict(section["metadata"])}
        response = cloud.block_storage.put(f"/volumes/{volume_id}/metadata", json=body)
        sdk_exceptions.raise_from_response(response)
    restored = Restored(TYPE, context.resource.id, volume_id, planned.name, reason=reason)
    return {"restored": [restored.to_json()]}


def _set_image_metadata(block_storage: Any, volume: Any, wanted: Mapping[str, str]) -> None:
    there = dict(volume.volume_image_metadata or {})
    missing = {key: value for key, value in wanted.items() if there.get(key) != value}
    if missing:
        block_storage.set_volume_image_metadata(volume.id, **missing)
    surplus = [key for key in there if key not in wanted]
    if surplus:
        block_storage.delete_volume_image_metadata(volume.id, keys=surplus)

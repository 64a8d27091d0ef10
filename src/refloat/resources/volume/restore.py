"""The volume that a restore makes: created, and made like the original in all settings."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from openstack.exceptions import NotFoundException

from refloat.cloud import Marker, explained
from refloat.cloud.kinds import request
from refloat.errors import CloudError
from refloat.resources.context import HookContext
from refloat.resources.creations import OVERWRITTEN
from refloat.resources.options import Option
from refloat.resources.volume.section import own_metadata

ROLE = "volume"
GIB = 1 << 30
TIMEOUT = 24 * 3600.0
"""Seconds that Cinder may take to make, back up or restore one volume."""

RESTORE_DESCRIPTION = Option("restore_description", "Description of the restored volume")
VOLUME_ID = Option("volume_id", "Put the data into this volume, which loses its own, instead of a new one")


def create(context: HookContext, overwritten: Mapping[str, str] | None = None, **source: Any) -> str:
    """Create the new volume once, however often this is run; returns its id.

    :param overwritten: what its metadata has while Cinder has taken the mark off it.
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
        return context.cloud.block_storage.create_volume(**fields, **source, metadata=marker.metadata)

    clue = {OVERWRITTEN: dict(overwritten)} if overwritten else None
    what = f"create the volume {planned.name}"
    return context.ensure("volume", ROLE, make, what=what, clue=clue, unmarked={})


def finish(context: HookContext, volume: Any, *, reason: str = "") -> Mapping[str, Any]:
    """Give the new volume all settings of the old one and check it; returns the hook's result.

    :param volume: as Cinder showed it when its data was complete.
    :param reason: what is to be said about it.

    The mark stays in its metadata until it is handed over.
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
        set_image_metadata(cloud.block_storage, volume, section["image_metadata"])
        if bool(volume.is_bootable) != section["bootable"]:
            cloud.block_storage.set_volume_bootable_status(volume_id, section["bootable"])
        if section["readonly"]:
            cloud.block_storage.set_volume_readonly(volume_id, True)
        body = {"metadata": {**section["metadata"], **context.marker(ROLE).metadata}}
        request(cloud.block_storage, "put", f"/volumes/{volume_id}/metadata", json=body)
    return context.restored(volume_id, reason=reason)


def set_back(context: HookContext, without: str = "") -> Mapping[str, Any]:
    """Give a volume whose data was replaced what came with the data; returns the hook's result.

    :param without: what Cinder has put into its metadata meanwhile.
    """
    planned, storage = context.planned, context.cloud.block_storage
    volume = context.cloud.get("volume", planned.new_id)
    settings = planned.decisions["settings"]
    with explained(f"set up the volume {volume.id}", context.resource):
        set_image_metadata(storage, volume, settings["image_metadata"])
        if bool(volume.is_bootable) != settings["bootable"]:
            storage.set_volume_bootable_status(volume.id, settings["bootable"])
        if without and without not in planned.decisions["metadata"]:
            remove_metadata(context, without)
    return context.restored(planned.new_id)


def remove_metadata(context: HookContext, name: str) -> None:
    """Take an item out of the metadata of a volume whose data is replaced."""
    path = f"/volumes/{context.planned.new_id}/metadata/{name}"
    if name not in own_metadata(context.cloud, context.planned.new_id):
        return
    with explained("change the metadata of the volume", context.resource), suppress(NotFoundException):
        request(context.cloud.block_storage, "delete", path)


def set_image_metadata(block_storage: Any, volume: Any, wanted: Mapping[str, str]) -> None:
    there = dict(volume.volume_image_metadata or {})
    missing = {key: value for key, value in wanted.items() if there.get(key) != value}
    if missing:
        block_storage.set_volume_image_metadata(volume.id, **missing)
    surplus = [key for key in there if key not in wanted]
    if surplus:
        block_storage.delete_volume_image_metadata(volume.id, keys=surplus)

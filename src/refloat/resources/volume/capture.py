"""Cutting a snapshot of a volume, also of one that a running server uses; and why Cinder failed at it.

A volume's status tells only that something failed. Since API version 3.5 Cinder keeps a message for the user.
"""

from __future__ import annotations

from typing import Any

from refloat.cloud import Cloud, Marker, explained
from refloat.cloud.kinds import status_of_thing
from refloat.cloud.removal import servers_idle
from refloat.errors import Conflict
from refloat.resources.context import HookContext, Waiting
from refloat.resources.volume.protectable import STEADY, VolumeProtectable

ATTEMPTS = 4

SNAPSHOT = "snapshot"
"""The role of a snapshot that is cut for a while."""


def steady(context: HookContext) -> Waiting:
    """Wait until Cinder is done with whatever it does to the volume; returns it.

    :raises NotFound: it is gone.
    :raises Conflict: it is in an error state.
    """
    return VolumeProtectable.settled(context, STEADY)


def cut(context: HookContext, role: str, volume: Any, name: str, description: str | None = None) -> Waiting:
    """Make a snapshot once, however often this is run; returns it when it is available.

    :raises Conflict: Cinder did not manage to make one.
    """

    def create(marker: Marker) -> Any:
        return context.cloud.block_storage.create_snapshot(
            volume_id=volume.id,
            name=name[:255],
            description=description,
            is_forced=True,
            metadata=marker.metadata,
        )

    for _attempt in range(ATTEMPTS):
        snapshot_id = context.ensure("snapshot", role, create, what="make a snapshot of the volume")
        snapshot = yield context.cloud.wait("snapshot", snapshot_id, {"available", "error"}, failed=())
        if status_of_thing(snapshot) == "available":
            return snapshot
        # On storage on files a server at a task is in the way; on other storage waiting for that
        # beforehand would only part this cut from the others in time.
        yield from context.discard(role)
        yield from servers_idle(context.cloud, volume.id)
    raise Conflict(
        "Cinder could not make a snapshot",
        resource=str(context.resource),
        reason=f"its status became 'error', {ATTEMPTS} times",
        advice="The log of cinder-volume tells why",
    )


def cut_temporary(context: HookContext, volume: Any) -> Waiting:
    """The same, of a snapshot that goes as soon as what is made of it is there."""
    name = f"refloat temporary {volume.name or volume.id}"
    return cut(context, SNAPSHOT, volume, name, f"Removed when checkpoint {context.checkpoint_id} is made")


VERSION = "3.5"


def told_about(cloud: Cloud, resource_id: str) -> str:
    """The latest message about a volume or snapshot; empty when there is none, or the cloud is too old."""
    with explained("read Cinder's messages"):
        response = cloud.block_storage.get(
            "/messages", params={"resource_uuid": resource_id}, microversion=VERSION
        )
    if response.status_code != 200:
        return ""
    found = sorted(response.json().get("messages", ()), key=lambda message: str(message["created_at"]))
    return str(found[-1]["user_message"]) if found else ""

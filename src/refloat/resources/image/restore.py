"""The images that a restore makes: created, filled, checked, and only then set up like the old ones."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from openstack.exceptions import ConflictException

from refloat.cloud import explained
from refloat.cloud.errors import status_of
from refloat.cloud.kinds import IMAGE_PATCH, request
from refloat.errors import CloudError
from refloat.resources.base import HookBody, HookContext, Restored, Waiting, restored
from refloat.resources.glance import filled, read_image
from refloat.resources.image.plan import STILL_THERE, bytes_to_send, disk_name
from refloat.resources.image.protectable import TYPE
from refloat.resources.image.section import FORMATS, ITSELF, PURPOSE
from refloat.resources.image_data import Tally

_LOG = logging.getLogger(__name__)

IMAGE = "image"

_NO_LABELS = (403, 413)
"""Glance lets users set no properties of these names, or no more properties."""


def restore(context: HookContext) -> HookBody:
    """Make images of what was stored, or use the image that is still there.

    The servers need these images, so they are made in ``on_main``, before the servers' ``on_complete``.
    """
    section, decisions = context.section, context.planned.decisions
    tally = Tally(context.progress, bytes_to_send(section, decisions))
    made: dict[str, str] = {}
    lines: list[Restored] = []
    for server_id in decisions["disks"]:
        disk = section["disks"][server_id]
        name = disk_name(disk)
        made[server_id] = yield from restore_disk(context, server_id, disk, name, tally)
        reason = f"the disk of server {disk['name'] or server_id}"
        lines.append(Restored(TYPE, context.resource.id, made[server_id], name, reason=reason))
    if decisions["reuse"]:
        name = section["image"]["name"] or ""
        lines.append(Restored(TYPE, context.resource.id, decisions["reuse"], name, True, STILL_THERE))
    elif section["data"] is not None:
        new_id = yield from restore_image(context, tally)
        lines.append(Restored(TYPE, context.resource.id, new_id, context.planned.name))
    return {"disks": made, **restored(*lines)}


def restore_disk(
    context: HookContext, server_id: str, disk: Mapping[str, Any], name: str, tally: Tally
) -> Waiting:
    """Make the image of a server's disk; returns its id."""
    fields = {key: disk[key] for key in FORMATS} | disk["properties"]
    fields["name"] = name
    role = f"disk-{server_id}"
    image_id: str = yield from filled(context, role, fields, disk["ref"], disk, tally, unmarked={"tags": []})
    _label(context, image_id, disk["name"] or server_id)
    return image_id


def _label(context: HookContext, image_id: str, server: str) -> None:
    """Say on the image what it is there for."""
    purpose = f"the disk that the server {server} was restored with, from checkpoint {context.checkpoint_id}"
    there, wanted = read_image(context.cloud, image_id), {ITSELF: image_id, PURPOSE: purpose[:255]}
    changes = [
        {"op": "replace" if key in there else "add", "path": f"/{key}", "value": value}
        for key, value in wanted.items()
        if there.get(key) != value
    ]
    if not changes:
        return
    try:
        with explained(f"set up the image {image_id}", context.resource):
            request(context.cloud.image, "patch", f"/images/{image_id}", json=changes, headers=IMAGE_PATCH)
    except CloudError as exc:
        if status_of(exc) not in _NO_LABELS:
            raise
        # Without them it is only taken for any other image.
        _LOG.warning("the image %s does not say what it is for: %s", image_id, exc)


def restore_image(context: HookContext, tally: Tally) -> Waiting:
    """Make the image itself, under its original id where Glance allows that; returns its id."""
    image, decisions = context.section["image"], context.planned.decisions
    fields = {key: image[key] for key in (*FORMATS, "os_hidden")} | image["properties"]
    fields["name"] = context.planned.name
    image_id = yield from filled(
        context,
        IMAGE,
        fields,
        context.section["data"],
        image,
        tally,
        wanted_id=context.resource.id,
        unmarked={"tags": image["tags"]},
    )
    _share(context, image_id, image["members"])
    _patch(
        context,
        image_id,
        {
            "visibility": "shared" if image["members"] else decisions["visibility"],
            "protected": image["protected"],
        },
    )
    return image_id


def _share(context: HookContext, image_id: str, members: list[str]) -> None:
    if not members:
        return
    _patch(context, image_id, {"visibility": "shared"})
    for member in members:
        what = f"share the image {image_id} with the project {member}"
        with explained(what, context.resource), suppress(ConflictException):  # it is a member already
            request(context.cloud.image, "post", f"/images/{image_id}/members", json={"member": member})


def _patch(context: HookContext, image_id: str, wanted: Mapping[str, Any]) -> None:
    """Set what is different; ``protected`` goes last, as the caller orders it."""
    image = read_image(context.cloud, image_id)
    changes = [
        {"op": "replace", "path": f"/{key}", "value": value}
        for key, value in wanted.items()
        if image[key] != value
    ]
    if not changes:
        return
    with explained(f"set up the image {image_id}", context.resource):
        request(context.cloud.image, "patch", f"/images/{image_id}", json=changes, headers=IMAGE_PATCH)

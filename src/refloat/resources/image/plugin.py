"""Protects images through the bank: an image's own data, and the disks of servers booted from it.

Section: ``{"image": settings or None, "data": data reference or None, "disks": {server id: {"ref": data
reference, "name", "disk_format", "container_format", "min_disk", "min_ram", "properties", ...}}}``. ``image``
is None when the image was deleted while a server still runs from it.

Result of a restore: ``{"disks": {server id: id of the new image}, "restored": [...]}``. The entry of the
image itself, if there is one, is the last in ``restored``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refloat.resources.base import (
    RESTORE_NAME,
    HookBody,
    Hooks,
    OperationKind,
    PlanContext,
    Planned,
    ProtectionPlugin,
    Restored,
)
from refloat.resources.checking import read_back
from refloat.resources.context import HookContext
from refloat.resources.glance import read_image
from refloat.resources.image import disks, plan, restore
from refloat.resources.image.attributes import ATTRIBUTES
from refloat.resources.image.protectable import TYPE, is_wanted_itself, servers_of
from refloat.resources.image.section import describe, describe_disk
from refloat.resources.image_data import Tally, download
from refloat.resources.options import Option

OPTIONS: Mapping[OperationKind, tuple[Option, ...]] = {"restore": (RESTORE_NAME,)}


class ImageProtect(Hooks):
    """Streams an image, and the disks of servers booted from it, into the bank."""

    def on_prepare_finish(self, context: HookContext) -> HookBody:
        """Have Nova copy the disks, all at once; read the image's settings."""
        servers = servers_of(context.graph, context.resource)
        for server in servers:
            yield from disks.start(context, server)
        for server in servers:
            yield from disks.copied(context, server)
        return {"image": describe(context.cloud, context.resource.id)}

    def on_main(self, context: HookContext) -> HookBody:
        """Store the data; remove the temporary images."""
        tally = Tally(context.progress, 0)
        data, kept = None, {}
        if is_wanted_itself(context.graph, context.resource):
            data = _store(context, context.resource.id, tally)
        servers = servers_of(context.graph, context.resource)
        for server in servers:
            yield from disks.start(context, server)  # again only if it was removed before a crash
            image_id = yield from disks.uploaded(context, server)
            ref = _store(context, image_id, tally)
            kept[server.id] = {"ref": ref, "name": server.name, **describe_disk(context.cloud, image_id)}
        for server in servers:
            yield from context.discard(disks.role_of(server))
        return {"data": data, "disks": kept}


def _store(context: HookContext, image_id: str, tally: Tally) -> dict[str, Any]:
    image = read_image(context.cloud, image_id)
    stream = download(context.cloud, image, context.resource)
    told = tally.part(image["size"] or 0)
    return context.data.put(stream, image["size"], lambda done, _total: told(done), context.cancelled)


class ImageRestore(Hooks):
    """Makes images of what was stored, or uses the image that is still there."""

    def on_main(self, context: HookContext) -> HookBody:
        """The servers need these images, so they are made here, before the servers' ``on_complete``."""
        section, decisions = context.section, context.planned.decisions
        tally = Tally(context.progress, plan.bytes_to_send(section, decisions))
        made: dict[str, str] = {}
        restored: list[Restored] = []
        for server_id in decisions["disks"]:
            disk = section["disks"][server_id]
            name = plan.disk_name(disk)
            made[server_id] = yield from restore.restore_disk(context, server_id, disk, name, tally)
            reason = f"the disk of server {disk['name'] or server_id}"
            restored.append(Restored(TYPE, context.resource.id, made[server_id], name, reason=reason))
        if decisions["reuse"]:
            new_id, name = decisions["reuse"], section["image"]["name"] or ""
            restored.append(Restored(TYPE, context.resource.id, new_id, name, True, plan.STILL_THERE))
        elif section["data"] is not None:
            new_id = yield from restore.restore_image(context, tally)
            restored.append(Restored(TYPE, context.resource.id, new_id, context.planned.name))
        return {"disks": made, "restored": [entry.to_json() for entry in restored]}


class ImageVerify(Hooks):
    """Reads everything back from the bank."""

    def on_main(self, context: HookContext) -> Mapping[str, Any]:
        """Whether every byte is what was stored."""
        section = context.section
        refs = {"image": section["data"]} if section["data"] else {}
        refs |= {f"disk of server {d['name'] or i}": d["ref"] for i, d in section["disks"].items()}
        return read_back(context, refs)


class ImagePlugin(ProtectionPlugin):
    """Images and the disks of servers, in the bank."""

    name = "image-bank"
    resource_type = TYPE
    description = "Keeps the data in the bank: the image's own, or a server's disk as it is when protected"
    attributes = ATTRIBUTES
    options = OPTIONS

    protect = ImageProtect
    restore = ImageRestore
    verify = ImageVerify

    def plan_restore(self, context: PlanContext) -> Planned:
        """Use the image if it is still there; make one for each server's disk."""
        return plan.plan(context)

"""Protects an image: streams its data, and the disks of servers booted from it, into the bank."""

from __future__ import annotations

from typing import Any

from refloat.resources.base import HookBody, HookContext, Hooks
from refloat.resources.glance import read_image
from refloat.resources.image import disks
from refloat.resources.image.protectable import is_wanted_itself, servers_of
from refloat.resources.image.section import describe, describe_disk
from refloat.resources.image_data import Tally, download


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

"""The disk of a server as it is now, as a temporary image that Nova makes."""

from __future__ import annotations

import time
from typing import Any

from refloat.cloud import Marker, explained
from refloat.cloud.errors import status_of
from refloat.cloud.kinds import status_of_thing
from refloat.cloud.removal import REFUSALS
from refloat.errors import CloudError, Conflict, WaitFailed
from refloat.graph import Resource
from refloat.resources.context import HookContext, Waiting
from refloat.resources.glance import temporary_name
from refloat.resources.options import Option

VOLUME = "OS::Cinder::Volume"

TIMEOUT = 6 * 3600.0
"""Seconds that Nova may take to upload one disk."""

STATES = frozenset({"active", "shutoff", "paused", "suspended"})
"""The states of a server in which Nova makes an image of its disk."""

_CUTTING = frozenset({"image_snapshot_pending", "image_snapshot", "image_pending_upload"})
"""Tasks of a server while its disk is not yet copied."""

_LOST = frozenset({"killed", "deleted", "pending_delete", "deactivated"})

ATTEMPTS = 4

ENTERED = 60.0
"""Seconds that Glance may take to enter a disk that is in its storage already."""

PATIENCE = 30.0
"""Seconds to let the server's volumes be cut first."""


BACKUP_NAME = Option(
    "backup_name", "Property backup_name of the image made of a server's disk, and of the restored one"
)


def role_of(server: Resource) -> str:
    """The role under which the temporary image of a server's disk is remembered."""
    return f"disk-{server.id}"


def start(context: HookContext, server: Resource) -> Waiting:
    """Have Nova begin to copy the disk, once however often this is run.

    :raises Conflict: the server is in a state in which Nova does not do that.
    """
    for last in (False,) * (ATTEMPTS - 1) + (True,):
        if not context.created(role_of(server)):
            yield from _volumes_cut(context, server)
            yield from _idle(context, server)
        try:
            context.ensure(
                "image",
                role_of(server),
                lambda marker: _create(context, server, marker),
                clue={"name": _name(context, server), "known": []},
            )
        except CloudError as exc:
            # Somebody else may have begun a task on the server in this moment.
            if last or status_of(exc) not in REFUSALS:
                raise
        else:
            return


def _name(context: HookContext, server: Resource) -> str:
    return temporary_name(context.operation_id, server.id)


def _create(context: HookContext, server: Resource, marker: Marker) -> str:
    wanted = context.parameters[BACKUP_NAME.name]
    named = {BACKUP_NAME.name: str(wanted)[:255]} if wanted else {}
    with explained("make an image of the server's disk", server):
        image = context.cloud.compute.create_server_image(
            server.id, _name(context, server), metadata={**marker.metadata, **named}
        )
    return str(image.id)


def _volumes_cut(context: HookContext, server: Resource) -> Waiting:
    """Give the server's volumes the time to be cut first.

    That takes seconds, while the server may be at its task for as long as its disk takes to be uploaded, and
    storage on files cannot cut volumes meanwhile: disk and volumes would be far apart in time.
    """
    give_up = time.monotonic() + PATIENCE
    volumes = [child.key for child in context.graph.children(server.key) if child.type == VOLUME]

    def cut(_server: Any = None) -> bool:
        # A volume has results when its on_prepare_finish has ended.
        return all(context.results(key) for key in volumes) or time.monotonic() > give_up

    if not cut():
        text = f"the volumes of server {server.name} to be cut"
        yield context.cloud.wait("server", server.id, cut, failed=(), text=text)


def _idle(context: HookContext, server: Resource) -> Waiting:
    found = context.cloud.get("server", server.id)
    if found.task_state:
        found = yield context.cloud.wait(
            "server",
            server.id,
            lambda thing: not thing.task_state,
            failed=(),
            timeout=TIMEOUT,
            text=f"server {server.name} to finish its task",
        )
    if status_of_thing(found) not in STATES:
        raise Conflict(
            "the server's disk cannot be captured",
            resource=str(server),
            reason=f"its status is '{found.status}'",
            advice="Bring the server to ACTIVE or SHUTOFF, or leave it out",
        )


def copied(context: HookContext, server: Resource) -> Waiting:
    """Wait until the disk's content is fixed, though not yet uploaded."""
    yield context.cloud.wait(
        "server",
        server.id,
        lambda thing: thing.task_state not in _CUTTING,
        timeout=TIMEOUT,
        text=f"the disk of server {server.name} to be copied",
    )


def uploaded(context: HookContext, server: Resource) -> Waiting:
    """Wait until the temporary image is active; returns its id.

    :raises WaitFailed: Nova gave up.
    """
    cloud, image_id = context.cloud, context.created(role_of(server))
    text = f"the disk of server {server.name} to be uploaded"
    yield cloud.wait("server", server.id, lambda thing: not thing.task_state, timeout=TIMEOUT, text=text)
    image = cloud.find("image", image_id)
    status = status_of_thing(image) if image is not None else "deleted"
    if status == "queued":
        # On Ceph Nova hands over the place of the disk's copy, which Glance accepts first and enters later.
        give_up = time.monotonic() + ENTERED
        image = yield cloud.wait(
            "image",
            image_id,
            lambda thing: status_of_thing(thing) != "queued" or time.monotonic() > give_up,
            failed=(),
            text=text,
        )
        status = status_of_thing(image)
    if status in {"saving", "importing", "uploading"}:
        image = yield cloud.wait("image", image_id, {"active"}, failed=_LOST, timeout=TIMEOUT, text=text)
        status = status_of_thing(image)
    if status != "active":
        # Nova is done with the server, so nothing will come: it leaves the image queued, or removes it.
        raise WaitFailed(
            "Nova did not make an image of the server's disk",
            resource=str(server),
            reason=f"the status of the image {image_id} is '{status}' and the server is at no task",
            advice="`openstack server event list` and the log of nova-compute tell why",
        )
    return image_id

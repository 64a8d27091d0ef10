"""A volume's data as a temporary Glance image, the only place from which a project's member can read it.

Snapshot, a volume made of that, an image made of that: each is made once, however often this is run, and
removed as soon as the next one is complete. The volume goes before the snapshot, which some storage holds on
to as long as there is a volume made of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from refloat.cloud import Marker, explained
from refloat.cloud.errors import status_of
from refloat.cloud.kinds import status_of_thing
from refloat.errors import CloudError
from refloat.resources.context import HookContext, Waiting
from refloat.resources.glance import read_image, temporary_name
from refloat.resources.volume.capture import SNAPSHOT, cut_temporary, steady, told_about
from refloat.resources.volume.protectable import COPY
from refloat.resources.volume.restore import TIMEOUT

IMAGE = "temporary-image"

ATTEMPTS = 2
"""How often Cinder is asked to copy: it gives up what it is at when it is restarted."""

ROOM = "While a volume goes into the bank it takes up quota for a snapshot and another volume of its size"
LIMITS = (
    "Glance may limit the size of an image or of all images of a project, and takes a volume's whole size "
    "while its data is on the way; its operator can raise that"
)

_ON_ITS_WAY = frozenset({"saving", "importing", "uploading"})
_LOST = frozenset({"killed", "deleted", "pending_delete", "deactivated", "queued"})
_OVER_LIMIT = 413


def cut_snapshot(context: HookContext, volume: Any) -> Waiting:
    """Fix what the volume holds now; returns the snapshot."""
    with advised(ROOM):
        return (yield from cut_temporary(context, volume))


def image_of_volume(context: HookContext) -> Waiting:
    """Make the image; returns it, active, as Glance tells it. Nothing else is left.

    :raises CloudError: Cinder or Glance did not manage to make it.
    """
    image = _whole(context)
    if image is None:
        volume_id = yield from _copied(context)
        image = yield from _uploaded(context, volume_id)
    yield from context.discard(COPY)
    yield from context.discard(SNAPSHOT)
    return image


def _whole(context: HookContext) -> Mapping[str, Any] | None:
    """The image that an earlier attempt has completed."""
    image_id = context.created(IMAGE)
    if not image_id or context.cloud.find("image", image_id) is None:
        return None
    image = read_image(context.cloud, image_id)
    return image if image["status"] == "active" else None


def _copied(context: HookContext) -> Waiting:
    """A volume with the snapshot's content; returns its id."""
    told = ""
    for _attempt in range(ATTEMPTS):
        if not context.created(COPY):
            volume = yield from steady(context)
            yield from cut_snapshot(context, volume)
        volume_id = context.ensure("volume", COPY, lambda marker: _create_copy(context, marker))
        copy = yield context.cloud.wait(
            "volume",
            volume_id,
            lambda thing: status_of_thing(thing) not in {"creating", "downloading"},
            failed=(),
            timeout=TIMEOUT,
            text=f"a copy of volume {context.resource.name or context.resource.id} to be made",
        )
        if not status_of_thing(copy).startswith("error"):
            return volume_id
        told = told_about(context.cloud, volume_id) or f"its status became '{status_of_thing(copy)}'"
        yield from context.discard(COPY)
    raise CloudError(
        "Cinder could not make a copy of the volume", resource=str(context.resource), reason=told, advice=ROOM
    )


def _create_copy(context: HookContext, marker: Marker) -> Any:
    with advised(ROOM), explained("make a copy of the volume", context.resource):
        return context.cloud.block_storage.create_volume(
            snapshot_id=context.created(SNAPSHOT),
            name=f"refloat temporary {context.resource.name or context.resource.id}"[:255],
            description=f"Removed when checkpoint {context.checkpoint_id} is made",
            metadata=marker.metadata,
        )


def _uploaded(context: HookContext, volume_id: str) -> Waiting:
    """Have Cinder send the copy to Glance; returns the image when it is active."""
    cloud = context.cloud
    name = temporary_name(context.operation_id, context.resource.id)
    told = ""
    for _attempt in range(ATTEMPTS):
        if not context.created(IMAGE):
            yield _settled(context, volume_id)  # an attempt that was cut off may have begun
        image_id = context.ensure(
            "image",
            IMAGE,
            lambda _marker: _begin_upload(context, volume_id, name),
            clue={"name": name, "known": []},
        )
        yield _settled(context, volume_id)
        image = cloud.find("image", image_id)
        if image is not None and status_of_thing(image) in _ON_ITS_WAY:
            # Cinder is done, so this is a matter of moments; or Cinder was restarted, and nothing will come.
            image = yield cloud.wait(
                "image", image_id, {"active", *_LOST}, failed=(), timeout=60.0, text=f"the image {name}"
            )
        if image is not None and status_of_thing(image) == "active":
            return read_image(cloud, image_id)
        status = status_of_thing(image) if image is not None else "deleted"
        told = told_about(cloud, volume_id) or f"the status of the image is '{status}'"
        yield from context.discard(IMAGE)
    raise CloudError(
        "Cinder could not send the volume's data to Glance",
        resource=str(context.resource),
        reason=told,
        advice=f"{LIMITS}. The log of cinder-volume tells more",
    )


def _settled(context: HookContext, volume_id: str) -> Any:
    return context.cloud.wait(
        "volume",
        volume_id,
        lambda thing: status_of_thing(thing) != "uploading",
        failed=(),
        timeout=TIMEOUT,
        text=f"the data of volume {context.resource.name or context.resource.id} to be uploaded to Glance",
    )


def _begin_upload(context: HookContext, volume_id: str, name: str) -> str:
    with advised(LIMITS), explained("send the volume's data to Glance", context.resource):
        answer = context.cloud.block_storage.upload_volume_to_image(
            volume_id, name, disk_format="raw", container_format="bare"
        )
    return str(answer["image_id"])


@contextmanager
def advised(advice: str) -> Iterator[None]:
    """Say what to do about it when a service answers that something is too large or over quota."""
    try:
        yield
    except CloudError as exc:
        if status_of(exc) == _OVER_LIMIT and not exc.advice:
            exc.advice = advice
        raise

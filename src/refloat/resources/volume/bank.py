"""Protects a volume in the bank: its data leaves the cloud, and outlives it.

A mover that the provider's file names reads the snapshot, and writes the new volume
(:mod:`refloat.resources.volume.by_rbd`). Else, or where that cannot, it goes through Glance: a project's
member can read a volume's bytes in one way only, as an image. So: snapshot, a temporary volume of that, a
temporary image of that (:mod:`refloat.resources.volume.temporary`), which streams into the bank.
Back the same way: the bank's data becomes a temporary image, and Cinder makes a new volume of it, of the
original's type, zone and size.

Section: the volume's settings, ``data``: the data reference, always of the volume's whole size, and ``hash``:
Glance's own hash of these bytes, to be compared when Glance gets them back. ``mover`` tells how it was read.

Through Glance every protection reads the whole volume; into the bank go only chunks that it does not have,
and no zeros.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from refloat.cloud import cloud_knows, explained
from refloat.cloud.errors import status_of
from refloat.cloud.kinds import request, status_of_thing
from refloat.cloud.removal import LITTLE_PATIENCE, REFUSALS
from refloat.errors import CloudError, Conflict
from refloat.movers.streams import InOrder
from refloat.resources.base import HookBody, Hooks
from refloat.resources.context import HookContext, PlanContext, Waiting
from refloat.resources.glance import filled, temporary_name
from refloat.resources.image_data import Tally, download
from refloat.resources.volume import by_rbd, restore
from refloat.resources.volume.by_rbd import CannotMove
from refloat.resources.volume.capture import SNAPSHOT, steady, told_about
from refloat.resources.volume.plan import whole_volume
from refloat.resources.volume.protectable import COPY
from refloat.resources.volume.restore import GIB, TIMEOUT
from refloat.resources.volume.section import describe
from refloat.resources.volume.temporary import ATTEMPTS, IMAGE, LIMITS, advised, cut_snapshot, image_of_volume

_LOG = logging.getLogger(__name__)


class VolumeBankProtect(Hooks):
    """Cuts a snapshot and streams its content into the bank."""

    def on_prepare_begin(self, context: HookContext) -> HookBody:
        """Wait until Cinder is done with whatever it does to the volume; refuse what cannot be read."""
        volume = yield from steady(context)
        _refuse_encrypted(context, volume)
        return None

    def on_prepare_finish(self, context: HookContext) -> HookBody:
        """Read the settings and cut the snapshot, close in time to the other volumes of the application."""
        volume = yield from steady(context)
        section = describe(context.cloud, volume)
        snapshot = yield from cut_snapshot(context, volume)
        # The snapshot's size is the volume's at the cut, should it have grown since it was read.
        return {**section, "size": int(snapshot.size)}

    def on_main(self, context: HookContext) -> HookBody:
        """Read it by the first mover that can; everything temporary is gone afterwards."""
        size = int(context.results(context.resource.key)["size"]) * GIB
        context.progress(0, size)
        stored, why = _before_glance(context, lambda: by_rbd.protect(context, size))
        if stored is not None:
            for role in (IMAGE, COPY, SNAPSHOT):  # of an attempt that had come to Glance, the first two
                yield from context.discard(role)
            return stored
        image = yield from image_of_volume(context)
        if image["size"] > size:
            raise Conflict(
                "the volume was resized while it was being protected",
                resource=str(context.resource),
                reason=f"it has {image['size']} bytes instead of {size}",
                advice="Protect it again",
            )
        stream = InOrder(download(context.cloud, image, context.resource), size)
        data = context.data.put(stream, size, context.progress, context.cancelled)
        yield from context.discard(IMAGE)
        said = {"mover": {"name": "glance", "not": why}, "_said": f"it was read through Glance: {_text(why)}"}
        hashed = _hash_of(image) if image["size"] == size else {}
        return {"data": data, "hash": hashed, **(said if why else {})}


def _text(why: Mapping[str, str]) -> str:
    return "; ".join(f"the mover {name} could not: {said}" for name, said in why.items())


def _before_glance(
    context: HookContext, move: Callable[[], dict[str, Any]]
) -> tuple[dict[str, Any] | None, dict[str, str]]:
    """What a mover that comes before Glance has done; or None, and why none of them has, by name.

    :raises CloudError: none of them could, and Glance may not be used.
    """
    why: dict[str, str] = {}
    for name in context.movers.names:
        if name == "glance":
            return None, why
        try:
            return move(), why
        except CannotMove as exc:
            why[name] = exc.message
            _LOG.warning("%s: the mover %s cannot: %s", context.resource, name, exc.message)
    raise CloudError(
        "no mover can read or write the volume",
        resource=str(context.resource),
        reason=_text(why),
        advice="Which movers are used is said in the provider's file; glance needs only a member's rights",
    )


def _refuse_encrypted(context: HookContext, volume: Any) -> None:
    if volume.is_encrypted:
        raise Conflict(
            "an encrypted volume cannot be protected in the bank",
            resource=str(context.resource),
            reason="Cinder lets nobody read it but in encrypted form, with a key that stays in the cloud",
            advice="Protect it with the provider default, as a Cinder backup, or leave it out",
        )


def _hash_of(image: Mapping[str, Any]) -> dict[str, Any]:
    return {key: image.get(key) for key in ("os_hash_algo", "os_hash_value", "checksum")}


class VolumeBankRestore(Hooks):
    """Makes a temporary image of the bank's data, and a volume like the old one of that."""

    def on_main(self, context: HookContext) -> HookBody:
        """Send, create, check, set up; the image goes as soon as the volume is complete."""
        size = int(context.section["data"]["size"])
        context.progress(0, size)
        if context.planned.action == "replace":
            return (yield from _replaced(context))
        volume, why = yield from _written(context)
        if volume is None:
            volume = yield from _complete_volume(context)
        context.progress(size, size)
        said = yield from _drop_image(context, LITTLE_PATIENCE)
        if said and cloud_knows(context.cloud, VERSION, "block_storage"):
            volume = yield from _by_copy(context)
        if said:
            said = yield from _drop_image(context)
        because = f"it was written through Glance: {_text(why)}" if why else ""
        return restore.finish(context, volume, reason="; ".join(filter(None, (because, said))))


def _written(context: HookContext) -> Waiting:
    """A new volume that a mover has written the data into; or None, and why not, by name of the mover."""
    if context.movers.names[0] == "glance" or context.created(IMAGE):
        return None, {}
    volume_id = restore.create(context)
    volume = yield context.cloud.wait("volume", volume_id, {"available"}, timeout=TIMEOUT)
    if not context.marker(restore.ROLE).on(volume):
        raise Conflict(
            f"nothing is written into the volume {volume_id}",
            resource=str(context.resource),
            reason="it does not carry the mark of this operation any more: somebody else has it now",
        )

    def move() -> dict[str, Any]:
        by_rbd.restore(context, volume)
        return {}

    done, why = _before_glance(context, move)
    if done is not None:
        return volume, {}
    yield from context.discard(restore.ROLE)
    return None, why


_OF_IMAGES = frozenset(
    {
        *(
            "image_id",
            "image_name",
            "checksum",
            "container_format",
            "disk_format",
            "min_disk",
            "min_ram",
            "size",
        ),
        *("signature_verified", "owner_specified.openstack.md5", "owner_specified.openstack.sha256"),
    }
)
"""What Cinder notes of the image that a volume is made of."""

VERSION = "3.68"
"""Since this version Cinder writes an image over a volume."""


def in_place_by_image(context: PlanContext, volume: Any) -> str:
    if not cloud_knows(context.cloud, VERSION, "block_storage"):
        return f"this Cinder cannot write data over a volume: it is older than API version {VERSION}"
    return whole_volume(context, volume)


def _replaced(context: HookContext) -> HookBody:
    """Write the image over the volume. Cinder notes the image's id, and so that it is done."""
    cloud, volume_id = context.cloud, context.planned.new_id
    settings = context.planned.decisions["settings"]
    attached = cloud.get("volume", volume_id).status == "in-use"
    image_id = yield from _image(context, settings["image_metadata"] if attached else {})
    if attached:  # a server boots from it, and could not let go of it: Nova writes over it
        left = {"id": image_id, "image_metadata": settings["image_metadata"]}
        return {**context.restored(volume_id), "_image": left}
    context.replacing()
    for last in (False,) * (ATTEMPTS - 1) + (True,):
        volume = yield cloud.wait("volume", volume_id, {"available", "error"}, failed=(), timeout=TIMEOUT)
        if _has_data(context, volume) and status_of_thing(volume) == "available":
            break
        if last:
            raise CloudError(
                "Cinder could not write the data from the bank over the volume",
                resource=str(context.resource),
                reason=told_about(cloud, volume_id) or f"its status is '{volume.status}'",
                advice="The log of cinder-volume tells why",
            )
        _write_over(context, volume_id, image_id)
    result = restore.set_back(context)
    yield from _drop_image(context)
    return result


def _write_over(context: HookContext, volume_id: str, image_id: str) -> None:
    body = {"os-reimage": {"image_id": image_id}}
    with explained("write over the volume", context.resource):
        path = f"/volumes/{volume_id}/action"
        request(context.cloud.block_storage, "post", path, json=body, microversion=VERSION)


def _by_copy(context: HookContext) -> Waiting:
    """A volume with the data itself instead of a reference to the image's, so that the image can go.

    What refers to an image still does when it is written over: an empty volume has to be made.
    """
    yield from context.discard(restore.ROLE)
    volume_id = restore.create(context)
    yield context.cloud.wait("volume", volume_id, {"available"}, timeout=TIMEOUT)
    try:
        _write_over(context, volume_id, context.created(IMAGE))
        ended = {"available", "error"}
        volume = yield context.cloud.wait("volume", volume_id, ended, failed=(), timeout=TIMEOUT)
    except CloudError as exc:
        if status_of(exc) not in {400, 403, 404, 409}:
            raise
    else:
        if status_of_thing(volume) == "available" and _has_data(context, volume):
            return volume
    yield from context.discard(restore.ROLE)  # it is not allowed, or did not work
    return (yield from _complete_volume(context))


def _has_data(context: HookContext, volume: Any) -> bool:
    """Whether Cinder noted the image that it took the data from."""
    return (volume.volume_image_metadata or {}).get("image_id") == context.created(IMAGE)


def _complete_volume(context: HookContext) -> Waiting:
    """A volume with the bank's data. Cinder calls it available only when it is complete."""
    told = ""
    for _attempt in range(ATTEMPTS):
        again, image_id = context.created(restore.ROLE), ""
        if not again:
            image_id = yield from _image(context)
        volume_id = restore.create(context, image_id=image_id)
        volume = yield context.cloud.wait(
            "volume", volume_id, {"available", "error"}, failed=(), timeout=TIMEOUT
        )
        empty = again and context.created(IMAGE) and not _has_data(context, volume)
        if status_of_thing(volume) == "available" and not empty:
            return volume
        told = told_about(context.cloud, volume_id) or "its status became 'error'"
        yield from context.discard(restore.ROLE)
    raise CloudError(
        "Cinder could not make a volume of the data from the bank",
        resource=str(context.resource),
        reason=told,
        advice="The log of cinder-volume tells why",
    )


def _image(context: HookContext, properties: Mapping[str, str] | None = None) -> Waiting:
    """:param properties: by which Nova knows what a server made of it is to be like."""
    section = context.section
    fields = {
        **{key: value for key, value in (properties or {}).items() if key not in _OF_IMAGES},
        "name": temporary_name(context.operation_id, context.resource.id),
        "disk_format": "raw",
        "container_format": "bare",
        "min_disk": 0,
        "min_ram": 0,
    }
    tally = Tally(context.progress, int(section["data"]["size"]))
    with advised(LIMITS):
        image_id = yield from filled(context, IMAGE, fields, section["data"], section["hash"], tally)
    return image_id


def _drop_image(context: HookContext, patience: float | None = None) -> Waiting:
    """Remove the image; returns what to say if that is refused.

    Storage that makes volumes by reference (Ceph, of some releases) does not let go of it as long as the
    volume lives.
    """
    image_id = context.created(IMAGE)
    try:
        yield from context.discard(IMAGE, patience)
    except CloudError as exc:
        if status_of(exc) not in REFUSALS:
            raise
        return f"the cloud refuses to delete the temporary image {image_id}: {exc.reason}"
    return ""

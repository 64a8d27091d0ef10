"""The images that a restore makes: created, filled, checked, and only then set up like the old ones."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from typing import Any

from openstack import exceptions as sdk_exceptions

from refloat.cloud import CloudWait, Marker, explained
from refloat.cloud.patience import in_doubt, was_repeated
from refloat.cloud.watcher import status_of_thing
from refloat.errors import CloudError
from refloat.resources.context import HookContext
from refloat.resources.image.attributes import read
from refloat.resources.image.transfer import Body, Tally, upload

Waiting = Generator[CloudWait, Any, Any]

IMAGE = "image"
_STEADY = frozenset({"queued", "active"})
_NOTICING = 60.0
_FORMATS = ("disk_format", "container_format", "min_disk", "min_ram")
_PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}


def restore_disk(
    context: HookContext, server_id: str, disk: Mapping[str, Any], name: str, tally: Tally
) -> Waiting:
    """Make the image of a server's disk; returns its id."""
    fields = {key: disk[key] for key in _FORMATS} | disk["properties"]
    fields["name"] = name
    image_id = yield from filled(context, f"disk-{server_id}", fields, disk["ref"], disk, tally)
    _patch(context, image_id, {"tags": []})
    return image_id


def restore_image(context: HookContext, tally: Tally) -> Waiting:
    """Make the image itself, under its original id where Glance allows that; returns its id."""
    image, decisions = context.section["image"], context.planned.decisions
    fields = {key: image[key] for key in (*_FORMATS, "os_hidden")} | image["properties"]
    fields["name"] = context.planned.name
    image_id = yield from filled(
        context, IMAGE, fields, context.section["data"], image, tally, wanted_id=context.resource.id
    )
    _share(context, image_id, image["members"])
    _patch(
        context,
        image_id,
        {
            "visibility": "shared" if image["members"] else decisions["visibility"],
            "tags": image["tags"],
            "protected": image["protected"],
        },
    )
    return image_id


def filled(
    context: HookContext,
    role: str,
    fields: Mapping[str, Any],
    ref: Mapping[str, Any],
    expected: Mapping[str, Any],
    tally: Tally,
    *,
    wanted_id: str = "",
) -> Waiting:
    """Create an image once and fill it, however often this is run; returns its id."""
    for last in (False, False, True):
        image_id = yield from _ready(context, role, fields, wanted_id)
        if read(context.cloud, image_id)["status"] != "queued":
            break
        try:
            _send(context, image_id, ref, tally)
            break
        except CloudError as exc:
            # An attempt that gave no answer may have succeeded, or be in the way of this one.
            if last or not (in_doubt(exc) or was_repeated(exc)):
                raise
    _check(context, read(context.cloud, image_id), ref, expected)
    return image_id


def _ready(context: HookContext, role: str, fields: Mapping[str, Any], wanted_id: str) -> Waiting:
    """Create the image once; returns its id when it can be filled, or is full."""
    image_id = _create(context, role, fields, wanted_id)
    if read(context.cloud, image_id)["status"] not in _STEADY:
        # An upload was cut off. Glance makes it queued again as soon as it notices.
        give_up = time.monotonic() + _NOTICING
        image = yield context.cloud.wait(
            "image",
            image_id,
            lambda thing: status_of_thing(thing) in _STEADY or time.monotonic() > give_up,
            failed=(),
            text=f"the image {image_id} to be ready for its data",
        )
        if status_of_thing(image) not in _STEADY:  # Glance itself was cut off
            yield from context.discard(role)
        image_id = _create(context, role, fields, "")
    return image_id


def _create(context: HookContext, role: str, fields: Mapping[str, Any], wanted_id: str) -> str:
    def create(marker: Marker) -> str:
        body = {**fields, "visibility": "private", "tags": [marker.text]}
        with explained(f"create the image {fields['name']}", context.resource):
            response = context.cloud.image.post(
                "/images", json=body | ({"id": wanted_id} if wanted_id else {})
            )
            if response.status_code == 409 and wanted_id:
                # Taken, or was once: Glance never gives an id twice.
                response = context.cloud.image.post("/images", json=body)
            sdk_exceptions.raise_from_response(response)
            return str(response.json()["id"])

    return context.ensure("image", role, create)


def _send(context: HookContext, image_id: str, ref: Mapping[str, Any], tally: Tally) -> None:
    size = int(ref["size"])
    body = Body(lambda: context.data.open(ref), size, tally.part(size), context.check_cancelled)
    upload(context.cloud, image_id, body, context.resource)


def _check(
    context: HookContext, image: Mapping[str, Any], ref: Mapping[str, Any], expected: Mapping[str, Any]
) -> None:
    """:raises CloudError: what Glance has is not what was protected."""
    problem = ""
    if image["status"] != "active":
        problem = f"its status is '{image['status']}'"
    elif image["size"] != ref["size"]:
        problem = f"it has {image['size']} bytes instead of {ref['size']}"
    else:
        same_algorithm = image.get("os_hash_algo") == expected.get("os_hash_algo")
        name = "os_hash_value" if expected.get("os_hash_value") and same_algorithm else "checksum"
        if expected.get(name) and image.get(name) != expected[name]:
            problem = f"its {name} is not the original's"
    if problem:
        raise CloudError(
            f"the new image {image['id']} is not what was protected",
            resource=str(context.resource),
            reason=problem,
        )


def _share(context: HookContext, image_id: str, members: list[str]) -> None:
    if not members:
        return
    _patch(context, image_id, {"visibility": "shared"})
    for member in members:
        with explained(f"share the image {image_id} with the project {member}", context.resource):
            response = context.cloud.image.post(f"/images/{image_id}/members", json={"member": member})
            if response.status_code != 409:  # it is a member already
                sdk_exceptions.raise_from_response(response)


def _patch(context: HookContext, image_id: str, wanted: Mapping[str, Any]) -> None:
    """Set what is different; ``protected`` goes last, as the caller orders it."""
    image = read(context.cloud, image_id)
    changes = [
        {"op": "replace", "path": f"/{key}", "value": value}
        for key, value in wanted.items()
        if (sorted(image[key]) if key == "tags" else image[key]) != value
    ]
    if not changes:
        return
    with explained(f"set up the image {image_id}", context.resource):
        response = context.cloud.image.patch(f"/images/{image_id}", json=changes, headers=_PATCH)
        sdk_exceptions.raise_from_response(response)

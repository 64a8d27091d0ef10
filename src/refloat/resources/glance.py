"""Images of Glance that carry bytes (of an image, a server's disk, a volume): named, read, made, filled."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

from openstack import exceptions as sdk_exceptions

from refloat.cloud import Cloud, Marker, explained
from refloat.cloud.kinds import request, status_of_thing
from refloat.cloud.retries import in_doubt, was_repeated
from refloat.errors import CloudError, NotFound
from refloat.resources.context import HookContext, Waiting
from refloat.resources.image_data import Body, Tally, upload

_STEADY = frozenset({"queued", "active"})
_NOTICING = 60.0
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def temporary_name(operation_id: str, resource_id: str) -> str:
    """What an image is called that an operation makes only to move the data of a disk or a volume.

    Cinder takes no mark for the images that it makes, so their name tells what they are.
    """
    return f"refloat-temporary-{operation_id}-{resource_id}"


_TEMPORARY = re.compile(rf"refloat-temporary(-{_UUID}){{2}}")


def is_temporary_name(name: str) -> bool:
    return bool(_TEMPORARY.fullmatch(name))


def read_image(cloud: Cloud, image_id: str) -> dict[str, Any]:
    """An image as Glance tells it. openstacksdk's object changes the types of some properties."""
    with explained(f"read the image {image_id}"):
        return dict(request(cloud.image, "get", f"/images/{image_id}"))


def find_image(cloud: Cloud, image_id: str) -> dict[str, Any] | None:
    try:
        return read_image(cloud, image_id)
    except NotFound:
        return None


def filled(
    context: HookContext,
    role: str,
    fields: Mapping[str, Any],
    ref: Mapping[str, Any],
    expected: Mapping[str, Any],
    tally: Tally,
    *,
    wanted_id: str = "",
    unmarked: Mapping[str, Any] | None = None,
) -> Waiting:
    """Create an image once and fill it, however often this is run; returns its id."""
    for last in (False, False, True):
        image_id = yield from _ready(context, role, fields, wanted_id, unmarked)
        if read_image(context.cloud, image_id)["status"] != "queued":
            break
        try:
            _send(context, image_id, ref, tally)
            break
        except CloudError as exc:
            # An attempt that gave no answer may have succeeded, or be in the way of this one.
            if last or not (in_doubt(exc) or was_repeated(exc)):
                raise
    _check(context, read_image(context.cloud, image_id), ref, expected)
    return image_id


def _ready(
    context: HookContext,
    role: str,
    fields: Mapping[str, Any],
    wanted_id: str,
    unmarked: Mapping[str, Any] | None,
) -> Waiting:
    """Create the image once; returns its id when it can be filled, or is full."""
    image_id = _create(context, role, fields, wanted_id, unmarked)
    if read_image(context.cloud, image_id)["status"] not in _STEADY:
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
        image_id = _create(context, role, fields, "", unmarked)
    return image_id


def _create(
    context: HookContext,
    role: str,
    fields: Mapping[str, Any],
    wanted_id: str,
    unmarked: Mapping[str, Any] | None,
) -> str:
    def create(marker: Marker) -> str:
        body = {**fields, "visibility": "private", "tags": [marker.text]}
        response = context.cloud.image.post("/images", json=body | ({"id": wanted_id} if wanted_id else {}))
        if response.status_code == 409 and wanted_id:
            # Taken, or was once: Glance never gives an id twice.
            response = context.cloud.image.post("/images", json=body)
        sdk_exceptions.raise_from_response(response)
        return str(response.json()["id"])

    what = f"create the image {fields['name']}"
    return context.ensure("image", role, create, what=what, unmarked=unmarked)


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

"""What an image is besides its data, as a section keeps it, and how faithfully it comes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from openstack.exceptions import ForbiddenException, NotFoundException

from refloat.cloud import Cloud, explained
from refloat.cloud.kinds import request
from refloat.cloud.marker import METADATA_KEY
from refloat.resources.attributes import Attribute, Fidelity
from refloat.resources.glance import find_image, read_image


def _of_image(name: str) -> Callable[[Mapping[str, Any]], Any]:
    return lambda section: (section.get("image") or {}).get(name)


_EXACT = (
    "name",
    "disk_format",
    "container_format",
    "min_disk",
    "min_ram",
    "size",
    "checksum",
    "os_hash_value",
    "properties",
    "tags",
    "visibility",
    "protected",
    "os_hidden",
)
_OTHER: tuple[tuple[str, Fidelity, str], ...] = (
    ("members", "exact", "each of them has to accept the image anew"),
    ("id", "mapped", "the same one where Glance allows it, which is not after a deletion"),
    ("owner", "mapped", "the project that restores owns it"),
    ("created_at", "lost", "Glance writes the time of the restore"),
)

ATTRIBUTES = (
    *(Attribute(name, "exact", value=_of_image(name)) for name in _EXACT),
    *(Attribute(name, fidelity, how, _of_image(name)) for name, fidelity, how in _OTHER),
)


FORMATS = ("disk_format", "container_format", "min_disk", "min_ram")

SETTINGS = frozenset(
    {
        "name",
        "disk_format",
        "container_format",
        "min_disk",
        "min_ram",
        "visibility",
        "protected",
        "os_hidden",
        "tags",
    }
)
"""What a user sets that is no free property."""

FACTS = frozenset(
    {"id", "owner", "size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value", "created_at"}
)
"""What Glance writes itself and that is worth keeping."""

_OTHERS = frozenset({"status", "updated_at", "self", "file", "schema", "locations", "direct_url", "stores"})

_NOT_SETTABLE = ("os_glance_",)

ITSELF, PURPOSE = LABELS = ("refloat_image_id", "refloat_purpose")
"""What the image of a restored server's disk says of itself, besides what it has from the original."""


def is_disk(image: Any) -> bool:
    """Whether an image is only there because a restored server is based on it.

    It names itself: images that are made of such a server, as somebody's backup, inherit its properties.
    """
    return bool((image.properties or {}).get(ITSELF) == str(image.id))


OF_SNAPSHOTS = frozenset(
    {
        "instance_uuid",
        "base_image_ref",
        "image_type",
        "image_state",
        "image_location",
        "user_id",
        "boot_roles",
        "owner_project_name",
        "owner_user_name",
        "owner_id",
        "clean_attempts",
    }
)
"""Properties that Nova gives to the image of a server's disk, true only of that image."""


def describe(cloud: Cloud, image_id: str) -> dict[str, Any] | None:
    """An image's settings, as they are stored; None when there is no such image."""
    image = find_image(cloud, image_id)
    if image is None:
        return None
    known = {key: image.get(key) for key in SETTINGS | FACTS}
    known["tags"] = sorted(known["tags"] or ())
    return {
        **known,
        "properties": properties_of(image),
        "members": _members_of(cloud, image_id) if image.get("visibility") == "shared" else [],
    }


def properties_of(image: Mapping[str, Any]) -> dict[str, Any]:
    """The free properties of an image, without Refloat's own."""
    return {
        key: value
        for key, value in image.items()
        if key not in SETTINGS | FACTS | _OTHERS
        and not key.startswith(_NOT_SETTABLE)
        and key not in (METADATA_KEY, *LABELS)
        and value is not None
    }


def describe_disk(cloud: Cloud, image_id: str) -> dict[str, Any]:
    """What of the temporary image of a server's disk is worth keeping."""
    image = read_image(cloud, image_id)
    properties = {key: value for key, value in properties_of(image).items() if key not in OF_SNAPSHOTS}
    kept = {key: image.get(key) for key in (*FORMATS, "size", "os_hash_algo", "os_hash_value")}
    return {**kept, "checksum": image.get("checksum"), "properties": properties}


def _members_of(cloud: Cloud, image_id: str) -> list[str]:
    with explained(f"list the members of the image {image_id}"):
        try:
            members = request(cloud.image, "get", f"/images/{image_id}/members")["members"]
        except (ForbiddenException, NotFoundException):  # only its owner may see them
            return []
        return sorted(member["member_id"] for member in members)

"""What an image is besides its data: how that is read and written, and how faithfully it comes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from refloat.resources.attributes import Attribute


def _of_image(name: str) -> Callable[[Mapping[str, Any]], Any]:
    return lambda section: (section.get("image") or {}).get(name)


def _attribute(name: str, fidelity: Any, how: str = "") -> Attribute:
    return Attribute(name, fidelity, how, value=_of_image(name))


ATTRIBUTES = (
    _attribute("name", "exact"),
    _attribute("disk_format", "exact"),
    _attribute("container_format", "exact"),
    _attribute("min_disk", "exact"),
    _attribute("min_ram", "exact"),
    _attribute("size", "exact"),
    _attribute("checksum", "exact"),
    _attribute("os_hash_value", "exact"),
    _attribute("properties", "exact"),
    _attribute("tags", "exact"),
    _attribute("visibility", "exact"),
    _attribute("protected", "exact"),
    _attribute("os_hidden", "exact"),
    _attribute("members", "exact", "each of them has to accept the image anew"),
    _attribute("id", "mapped", "the same one where Glance allows it, which is not after a deletion"),
    _attribute("owner", "mapped", "the project that restores owns it"),
    _attribute("created_at", "lost", "Glance writes the time of the restore"),
)

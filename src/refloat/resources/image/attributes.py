"""How faithfully images come back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from refloat.resources.attributes import Attribute, Fidelity


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

"""Protects images through the bank: an image's own data, and the disks of servers booted from it.

Section: ``{"image": settings or None, "data": data reference or None, "disks": {server id: {"ref": data
reference, "name", "disk_format", "container_format", "min_disk", "min_ram", "properties", ...}}}``. ``image``
is None when the image was deleted while a server still runs from it.

Result of a restore: ``{"disks": {server id: id of the new image}, "restored": [...]}``. The entry of the
image itself, if there is one, is the last in ``restored``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from refloat.resources.base import RESTORE_NAME, PlanContext, Planned, ProtectionPlugin, Section, hooks
from refloat.resources.image.attributes import ATTRIBUTES
from refloat.resources.image.plan import plan
from refloat.resources.image.protect import ImageProtect
from refloat.resources.image.protectable import TYPE
from refloat.resources.image.restore import restore
from refloat.resources.verifying import data_is


def _data(section: Section) -> Mapping[str, Any]:
    own = {"image": section["data"]} if section["data"] else {}
    return own | {f"disk of server {d['name'] or i}": d["ref"] for i, d in section["disks"].items()}


class ImagePlugin(ProtectionPlugin):
    """Images and the disks of servers, in the bank."""

    name = "image-bank"
    resource_type = TYPE
    description = "Keeps the data in the bank: the image's own, or a server's disk as it is when protected"
    attributes = ATTRIBUTES
    options: ClassVar = {"restore": (RESTORE_NAME,)}

    protect = ImageProtect
    restore = hooks(on_main=restore)
    verify = data_is(_data)

    def plan_restore(self, context: PlanContext) -> Planned:
        return plan(context)

"""Images: their data goes through the bank; so does the disk of a server that was booted from one.

Section: ``{"image": settings or None, "data": data reference or None, "disks": {server id: {"ref": data
reference, "name", "disk_format", "container_format", "min_disk", "min_ram", "properties", ...}}}``. ``image``
is None when the image was deleted while a server still runs from it.

Result of a restore: ``{"disks": {server id: id of the new image}, "restored": [...]}``. The entry of the
image itself, if there is one, is the last in ``restored``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refloat.cloud.kinds import KINDS
from refloat.resources.base import Section
from refloat.resources.declared import Declared
from refloat.resources.image.disks import BACKUP_NAME
from refloat.resources.image.plan import plan
from refloat.resources.image.protect import ImageProtect
from refloat.resources.image.protectable import SERVER, TYPE, ImageProtectable
from refloat.resources.image.restore import restore
from refloat.resources.image.section import ATTRIBUTES
from refloat.resources.verifying import data_is


def _data(section: Section) -> Mapping[str, Any]:
    own = {"image": section["data"]} if section["data"] else {}
    return own | {f"disk of server {d['name'] or i}": d["ref"] for i, d in section["disks"].items()}


IMAGES = Declared(
    type=TYPE,
    name="image-bank",
    description="Keeps the data in the bank: the image's own, or a server's disk as it is when protected",
    kind=KINDS["image"],
    finder=ImageProtectable,
    parents={SERVER: None},
    selectors=("tag",),
    attributes=ATTRIBUTES,
    protect_options=(BACKUP_NAME,),
    protect=ImageProtect,
    restore=restore,
    verify=data_is(_data),
    plan=plan,
)

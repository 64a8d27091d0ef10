"""What a volume is, however it is protected."""

from __future__ import annotations

from refloat.cloud.kinds import KINDS
from refloat.resources.base import RESTORE_NAME
from refloat.resources.declared import Declared
from refloat.resources.volume.protectable import POD, SERVER, TYPE, VolumeProtectable
from refloat.resources.volume.restore import RESTORE_DESCRIPTION
from refloat.resources.volume.section import ATTRIBUTES

VOLUME = Declared(
    type=TYPE,
    name="",
    description="",
    kind=KINDS["volume"],
    finder=VolumeProtectable,
    parents={SERVER: None, POD: None},
    selectors=("metadata",),
    attributes=ATTRIBUTES,
    options=(RESTORE_NAME, RESTORE_DESCRIPTION),
)

"""Volumes: protected as Cinder backups, as Cinder snapshots or in the bank; restored as new volumes."""

from refloat.resources.volume.backup import BACKUPS
from refloat.resources.volume.bank import IN_BANK
from refloat.resources.volume.snapshot import SNAPSHOTS

VOLUMES = (BACKUPS, SNAPSHOTS, IN_BANK)

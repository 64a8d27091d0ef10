"""Volumes: protected as Cinder backups, as Cinder snapshots or in the bank; restored as new volumes."""

from refloat.resources.volume.backup import VolumeBackupPlugin
from refloat.resources.volume.bank import VolumeBankPlugin
from refloat.resources.volume.protectable import VolumeProtectable
from refloat.resources.volume.snapshot import VolumeSnapshotPlugin

PROTECTABLE = VolumeProtectable
PLUGINS = (VolumeBackupPlugin, VolumeSnapshotPlugin, VolumeBankPlugin)

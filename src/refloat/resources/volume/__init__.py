"""Volumes: protected as Cinder backups or as Cinder snapshots; restored as new volumes like the old."""

from refloat.resources.volume.backup import VolumeBackupPlugin
from refloat.resources.volume.protectable import VolumeProtectable
from refloat.resources.volume.snapshot import VolumeSnapshotPlugin

PROTECTABLE = VolumeProtectable
PLUGINS = (VolumeBackupPlugin, VolumeSnapshotPlugin)

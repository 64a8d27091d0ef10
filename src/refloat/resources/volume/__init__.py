"""Volumes: protected as Cinder backups, as Cinder snapshots or in the bank; restored as new volumes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from refloat.cloud.kinds import KINDS
from refloat.resources.base import RESTORE_NAME, hooks
from refloat.resources.declared import Declared
from refloat.resources.options import Option
from refloat.resources.verifying import data_is
from refloat.resources.volume import backup, by_rbd, snapshot
from refloat.resources.volume.bank import VolumeBankProtect, VolumeBankRestore, in_place_by_image
from refloat.resources.volume.plan import plan, whole_volume
from refloat.resources.volume.protectable import POD, SERVER, TYPE, VolumeProtectable
from refloat.resources.volume.restore import RESTORE_DESCRIPTION, VOLUME_ID
from refloat.resources.volume.section import ATTRIBUTES

_FORCE = Option("force", "Also when it is attached, which is done in any case", type=bool, default=False)

IN_BANK = Declared(
    type=TYPE,
    name="volume-bank",
    description="Keeps the data in the bank: nothing of it stays in the cloud. Not for encrypted volumes",
    kind=KINDS["volume"],
    finder=VolumeProtectable,
    parents={SERVER: None, POD: None},
    selectors=("metadata",),
    attributes=ATTRIBUTES,
    doubles=True,
    replaces=True,
    options=(RESTORE_NAME, RESTORE_DESCRIPTION, VOLUME_ID),
    protect_options=(
        Option("backup_name", "Taken for the sake of Karbor's clients: data in the bank has no name"),
        Option("description", "Taken for the sake of Karbor's clients, as backup_name is"),
        Option(
            "full_read", "Read all of it, and compare with what is told to have changed", bool, default=False
        ),
    ),
    protect=VolumeBankProtect,
    restore=VolumeBankRestore,
    verify=data_is(lambda section: {"": section["data"]}),
    delete=hooks(on_main=by_rbd.forget),
    plan=partial(plan, in_place_by_image, by_image=True),
)

SNAPSHOTS = replace(
    IN_BANK,
    name="volume-cinder-snapshot",
    description=f"Makes a Cinder snapshot: quick, but {snapshot.CAVEAT}",
    protect_options=(
        Option("snapshot_name", "Name of the Cinder snapshot; {name} stands for the volume's"),
        Option("description", "Description of the Cinder snapshot"),
        _FORCE,
    ),
    protect=snapshot.SnapshotProtect,
    restore=snapshot.restore_snapshot,
    verify=None,
    delete=None,
    kept=snapshot.KEPT,
    plan=partial(plan, snapshot.in_place),
)

BACKUPS = replace(
    IN_BANK,
    name="volume-cinder-backup",
    description="Makes a Cinder backup, full or incremental; restores it into a new volume like the old one",
    protect_options=(
        Option("backup_name", "Name of the Cinder backup; {name} stands for the volume's"),
        Option(
            "backup_mode",
            "incremental: store only what changed since the latest backup of the volume",
            default="full",
            choices=("full", "incremental"),
        ),
        Option("container", "Where Cinder is to put the backup"),
        Option("description", "Description of the Cinder backup"),
        _FORCE,
    ),
    protect=backup.BackupProtect,
    restore=backup.BackupRestore,
    verify=None,
    kept=backup.KEPT,
    plan=partial(plan, whole_volume),
    delete=hooks(on_prepare_begin=backup.refuse_needed, on_main=backup.KEPT.remove),
    builds_on=lambda section: (section["backup"]["id"], section["backup"]["parent_id"]),
)

VOLUMES = (BACKUPS, SNAPSHOTS, IN_BANK)

"""Chains of incremental Cinder backups: what a new one builds on, and what builds on an old one.

Cinder tells whether a backup has others that depend on it, but not which ones. Backups made by Refloat
carry their parent's id and their checkpoint's in their metadata; of others the parent is the
latest earlier one, as Cinder itself chooses.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from refloat.cloud.kinds import status_of_thing

PARENT_KEY = "refloat_parent"
CHECKPOINT_KEY = "refloat_checkpoint"


def parent_for(backups: Iterable[Any], size: int, cut_at: str | None) -> tuple[Any | None, str]:
    """The backup that Cinder would build an incremental one on, or why there is none.

    :param backups: all backups of the volume.
    :param size: the volume's size in GiB.
    :param cut_at: when the snapshot to back up was cut; None: the volume itself is backed up.
    """
    fits = [
        backup
        for backup in backups
        if status_of_thing(backup) == "available" and (cut_at is None or _data_time(backup) < cut_at)
    ]
    if not fits:
        return None, "the volume has no earlier backup to build on"
    parent = max(fits, key=_data_time)
    if int(parent.size) < size:
        return None, f"the volume has grown since its latest backup {parent.id}"
    return parent, ""


def dependants(backup_id: str, backups: Iterable[Any]) -> Sequence[Any]:
    """The backups that cannot be read without the given one, in order of age.

    :param backups: all backups of the volume.
    """
    ordered = sorted(backups, key=_data_time)
    needed = {backup_id}
    found = []
    for position, backup in enumerate(ordered):
        if backup.is_incremental and _parent_of(backup, ordered[:position]) in needed:
            needed.add(str(backup.id))
            found.append(backup)
    return found


def _parent_of(backup: Any, earlier: Sequence[Any]) -> str:
    known = (backup.metadata or {}).get(PARENT_KEY)
    if known:
        return str(known)
    usable = [b for b in earlier if status_of_thing(b) not in {"error", "creating"}]
    return str(usable[-1].id) if usable else ""


def _data_time(backup: Any) -> str:
    """When the data was cut; ISO 8601, so that text order is time order."""
    return str(backup.data_timestamp or backup.created_at or "")

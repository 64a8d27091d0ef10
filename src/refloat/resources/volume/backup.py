"""Protects a volume as a Cinder backup; restores it into a new volume made like the old one.

Cinder's own "restore to a new volume" is not used: it loses the volume's type and zone and, on storage
that keeps volumes as files, the zeros at its end and so its size. Restoring into a volume that is
there already writes every byte.

How a repeated restore hook knows where it was: the new volume is marked in its metadata when it is made.
Cinder, when a restore has ended well, replaces all metadata by what the backup has, and writes
``src_backup_id`` there; ``finish`` replaces it by the original's and the mark. So, with the volume available:
our backup's id there means "restored"; the mark without it "not restored yet"; neither "all done". Meanwhile
the volume carries no mark: our backup's id tells that it is still the operation's.
"""

from __future__ import annotations

from typing import Any

from refloat.cloud import Marker, explained
from refloat.cloud.errors import status_of
from refloat.cloud.kinds import status_of_thing
from refloat.cloud.marker import METADATA_KEY
from refloat.cloud.removal import REFUSALS
from refloat.cloud.retries import in_doubt
from refloat.errors import CloudError, Conflict
from refloat.resources.base import HookBody, HookContext, Hooks, Waiting
from refloat.resources.creations import REPLACED
from refloat.resources.in_cloud import KeptInCloud, description_of_kept, name_of_kept
from refloat.resources.volume import restore
from refloat.resources.volume.capture import SNAPSHOT, cut_temporary, steady
from refloat.resources.volume.chains import CHECKPOINT_KEY, PARENT_KEY, dependants, parent_for
from refloat.resources.volume.restore import GIB, TIMEOUT
from refloat.resources.volume.section import describe, own_metadata

BACKUP = "backup"

_DONE = "src_backup_id"
"""Where Cinder writes which backup it has restored into a volume."""

KEPT = KeptInCloud(
    "backup",
    BACKUP,
    "Cinder backup",
    {"available", "restoring"},
    "Cinder has the backup and calls it available; it offers no way to read it back",
    counted={"object_count": "objects"},
)


class BackupProtect(Hooks):
    """Cuts a snapshot of a volume in use, then backs that up; a volume at rest is backed up directly."""

    def on_prepare_begin(self, context: HookContext) -> HookBody:
        yield from steady(context)
        return None

    def on_prepare_finish(self, context: HookContext) -> HookBody:
        """Read the settings; cut the data now, close in time to the other volumes of the application."""
        volume = yield from steady(context)
        section = describe(context.cloud, volume)
        if status_of_thing(volume) == "in-use":
            yield from cut_temporary(context, volume)
        return section

    def on_main(self, context: HookContext) -> HookBody:
        volume = yield from steady(context)
        size = int(context.results(context.resource.key)["size"])
        in_use = status_of_thing(volume) == "in-use"
        if in_use and not context.created(SNAPSHOT) and not context.created(BACKUP):
            yield from cut_temporary(context, volume)
        context.progress(0, size * GIB)
        backup, told = yield from _back_up(context, size)
        yield from context.discard(SNAPSHOT)
        if int(backup.size) != size:
            raise Conflict(
                "the volume was resized while it was being protected",
                resource=str(context.resource),
                reason=f"from {size} to {backup.size} GiB",
                advice="Protect it again",
            )
        context.progress(size * GIB, size * GIB)
        return {
            "backup": {
                "id": str(backup.id),
                "name": backup.name or "",
                "mode": "incremental" if backup.is_incremental else "full",
                "asked_mode": context.parameters["backup_mode"],
                "reason": told,
                "parent_id": (backup.metadata or {}).get(PARENT_KEY, ""),
                "size": int(backup.size),
                "object_count": int(backup.object_count or 0),
                "container": backup.container or "",
            }
        }


def _back_up(context: HookContext, size: int) -> Waiting:
    """Make the backup in the mode that is asked for, or in full; returns it and why not as asked for."""
    cloud = context.cloud
    told = ""
    if not context.created(BACKUP) and context.parameters["backup_mode"] == "incremental":
        parent, told = _find_parent(context, size)
        if parent is not None:
            try:
                backup_id = _create(context, str(parent.id))
                backup = yield cloud.wait(
                    "backup", backup_id, {"available", "error"}, failed=(), timeout=TIMEOUT
                )
                if status_of_thing(backup) == "available":
                    return backup, ""
                told = f"Cinder failed to make it incremental: {backup.fail_reason or 'no reason given'}"
            except CloudError as exc:
                if status_of(exc) not in REFUSALS:
                    raise
                told = f"Cinder refused to make it incremental: {exc.reason}"
            yield from context.discard(BACKUP)
    backup_id = _create(context, "")
    backup = yield cloud.wait("backup", backup_id, {"available"}, timeout=TIMEOUT)
    return backup, "" if backup.is_incremental else told


def _find_parent(context: HookContext, size: int) -> tuple[Any | None, str]:
    cut_at = None
    snapshot_id = context.created(SNAPSHOT)
    if snapshot_id:
        cut_at = str(context.cloud.get("snapshot", snapshot_id).created_at)
    return parent_for(_backups_of(context, context.resource.id), size, cut_at)


def _backups_of(context: HookContext, volume_id: str) -> list[Any]:
    with explained("list the backups of the volume", context.resource):
        return list(context.cloud.block_storage.backups(details=True, volume_id=volume_id))


def _create(context: HookContext, parent_id: str) -> str:
    chosen = {
        "container": context.parameters["container"],
        "snapshot_id": context.created(SNAPSHOT),
        "is_incremental": bool(parent_id) or None,
    }

    def create(marker: Marker) -> Any:
        metadata = {**marker.metadata, CHECKPOINT_KEY: context.checkpoint_id}
        if parent_id:
            metadata[PARENT_KEY] = parent_id
        return context.cloud.block_storage.create_backup(
            volume_id=context.resource.id,
            name=name_of_kept(context, "backup_name", context.resource.name),
            description=description_of_kept(context),
            metadata=metadata,
            **{key: value for key, value in chosen.items() if value},
        )

    return context.ensure("backup", BACKUP, create, what="back up the volume")


class BackupRestore(Hooks):
    """Creates a volume like the old one and restores the backup into it."""

    def on_main(self, context: HookContext) -> HookBody:
        cloud = context.cloud
        total = context.section["size"] * GIB
        context.progress(0, total)
        if context.planned.action == "replace":
            yield from self._replace(context)
            context.progress(total, total)
            return restore.set_back(context, _DONE)
        overwritten = {_DONE: context.section["backup"]["id"]}
        volume_id = restore.create(context, overwritten)
        volume = yield self._settled(context, volume_id)
        if status_of_thing(volume) == "error_restoring":
            # Left by an earlier attempt whose restore failed; its content is unknown.
            yield from context.discard(restore.ROLE)
            volume_id = restore.create(context, overwritten)
            yield cloud.wait("volume", volume_id, {"available"})
        if self._is_unrestored(context, volume_id):
            yield from self._restore(context, volume_id)
        context.progress(total, total)
        return restore.finish(context, cloud.get("volume", volume_id))

    def _replace(self, context: HookContext) -> Waiting:
        volume_id = context.planned.new_id
        if not context.journal.find(str(context.resource.key), REPLACED):
            restore.remove_metadata(context, _DONE)  # of an earlier restore
        context.replacing()
        volume = yield self._settled(context, volume_id)
        if status_of_thing(volume) == "error_restoring":
            raise Conflict(
                "Cinder could not restore the backup into the volume",
                resource=str(context.resource),
                reason="the status of the volume is 'error_restoring'",
                advice="An administrator sets it to available; then resume the operation",
            )
        if self._is_unrestored(context, volume_id):
            yield from self._restore(context, volume_id)

    @staticmethod
    def _settled(context: HookContext, volume_id: str) -> Any:
        return context.cloud.wait(
            "volume",
            volume_id,
            {"available", "error_restoring"},
            failed={"error", "error_deleting"},
            timeout=TIMEOUT,
        )

    @staticmethod
    def _is_unrestored(context: HookContext, volume_id: str) -> bool:
        metadata = own_metadata(context.cloud, volume_id)
        if metadata.get(_DONE) == context.section["backup"]["id"]:
            return False
        return METADATA_KEY in metadata or context.planned.action == "replace"

    @staticmethod
    def _restore(context: HookContext, volume_id: str) -> Waiting:
        cloud, backup_id = context.cloud, context.section["backup"]["id"]
        for last in (False, False, False, True):
            yield cloud.wait("backup", backup_id, {"available"}, timeout=TIMEOUT)
            context.check_cancelled()
            try:
                with explained(f"restore the backup {backup_id}", context.resource):
                    cloud.block_storage.restore_backup(backup_id, volume_id)
                break
            except CloudError as exc:
                # Another restore of the same backup may have come first: Cinder does one at a time.
                if last or not (in_doubt(exc) or status_of(exc) in REFUSALS):
                    raise
                if in_doubt(exc) and BackupRestore._begun(context, volume_id):
                    break
        yield cloud.wait("volume", volume_id, {"available"}, timeout=TIMEOUT)
        yield cloud.wait("backup", backup_id, {"available"}, timeout=TIMEOUT)

    @staticmethod
    def _begun(context: HookContext, volume_id: str) -> bool:
        """Whether a restore that gave no answer was begun: Cinder shows that before it answers."""
        volume = context.cloud.get("volume", volume_id)
        return status_of_thing(volume) != "available" or not BackupRestore._is_unrestored(context, volume_id)


def refuse_needed(context: HookContext) -> None:
    """Refuse to delete, before anything is, what later backups need."""
    backup_id = KEPT.id(context.section)
    backup = context.cloud.find("backup", backup_id)
    if backup is None or not backup.has_dependent_backups:
        return
    needing = dependants(backup_id, _backups_of(context, str(backup.volume_id)))
    those = ", ".join(_named(b) for b in needing) or "Cinder does not say which"
    said = f"later incremental backups depend on it: {those}"
    KEPT.refuse_needed(context, said, "Delete those first, the latest one at the beginning")


def _named(backup: Any) -> str:
    checkpoint = (backup.metadata or {}).get(CHECKPOINT_KEY)
    return f"{backup.id}" + (f" (checkpoint {checkpoint})" if checkpoint else f" ({backup.name})")

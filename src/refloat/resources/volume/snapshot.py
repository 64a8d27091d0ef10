"""Protects a volume as a Cinder snapshot; restores it as a new volume made from that.

Quick and small, but the snapshot lives and dies with the storage that the volume is on: it is no backup. As
long as there is one, Cinder refuses to delete the original volume ("Volume has dependent snapshots").
"""

from __future__ import annotations

from refloat.resources.base import HookBody, HookContext, Hooks
from refloat.resources.in_cloud import KeptInCloud, description_of_kept, name_of_kept
from refloat.resources.volume import restore
from refloat.resources.volume.capture import cut, steady
from refloat.resources.volume.restore import TIMEOUT
from refloat.resources.volume.section import describe

CAVEAT = "it lives and dies with the storage that the original volume is on"

KEPT = KeptInCloud(
    "snapshot",
    "snapshot",
    "Cinder snapshot",
    {"available", "backing-up"},
    f"Cinder has the snapshot and calls it available; {CAVEAT}",
    CAVEAT,
)


class SnapshotProtect(Hooks):
    """Cuts a snapshot and keeps it."""

    def on_prepare_begin(self, context: HookContext) -> HookBody:
        yield from steady(context)
        return None

    def on_prepare_finish(self, context: HookContext) -> HookBody:
        """Read the settings and cut the snapshot, close in time to the other volumes of the application."""
        volume = yield from steady(context)
        section = describe(context.cloud, volume)
        name = name_of_kept(context, "snapshot_name", volume.name or "")
        snapshot = yield from cut(context, "snapshot", volume, name, description_of_kept(context))
        kept = {"id": str(snapshot.id), "name": snapshot.name or "", "size": int(snapshot.size)}
        # The snapshot's size is the volume's at the cut, should it have grown since it was read.
        return {**section, "size": kept["size"], "snapshot": kept}


def restore_snapshot(context: HookContext) -> HookBody:
    """Create a new volume from the snapshot, check, set up."""
    volume_id = restore.create(context, snapshot_id=KEPT.id(context.section))
    volume = yield context.cloud.wait("volume", volume_id, {"available"}, timeout=TIMEOUT)
    return restore.finish(context, volume)

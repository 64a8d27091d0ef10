"""Protects a volume as a Cinder snapshot; restores it as a new volume made from that.

Quick and small, but the snapshot lives and dies with the storage that the volume is on: it is no backup. As
long as there is one, Cinder refuses to delete the original volume ("Volume has dependent snapshots").
"""

from __future__ import annotations

from functools import partial
from typing import Any

from refloat.cloud import explained
from refloat.cloud.kinds import request
from refloat.resources.base import HookBody, HookContext, Hooks, PlanContext, Waiting
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
    """Create a new volume from the snapshot, check, set up; or revert the volume to it."""
    if context.planned.action == "replace":
        yield from _revert(context)
        return restore.set_back(context)
    volume_id = restore.create(context, snapshot_id=KEPT.id(context.section))
    volume = yield context.cloud.wait("volume", volume_id, {"available"}, timeout=TIMEOUT)
    return restore.finish(context, volume)


def in_place(context: PlanContext, volume: Any) -> str:
    """Cinder reverts a volume to its latest snapshot only."""
    with explained("list the snapshots of the volume", context.resource):
        found = list(context.cloud.block_storage.snapshots(details=True, volume_id=volume.id))
    later = max(found, key=lambda snapshot: str(snapshot.created_at), default=None)
    mine = KEPT.id(context.section)
    if later is None or str(later.id) != mine:
        latest = f"the latest is {later.id}" if later is not None else "it has none"
        return f"Cinder reverts a volume only to its latest snapshot, and {mine} is not that: {latest}"
    if int(volume.size) != context.section["size"]:
        return f"the volume has {volume.size} GiB, and the snapshot {mine} is of {context.section['size']}"
    if context.safety:
        return "the safety checkpoint would be a later snapshot, and Cinder reverts to the latest: do without"
    return ""


def _revert(context: HookContext) -> Waiting:
    volume_id = context.planned.new_id
    wait = partial(context.cloud.wait, "volume", volume_id, {"available"}, timeout=TIMEOUT)
    yield wait(text=f"the volume {volume_id} to be reverted")
    context.replacing()
    body = {"revert": {"snapshot_id": KEPT.id(context.section)}}
    with explained("revert the volume to the snapshot", context.resource):
        path = f"/volumes/{volume_id}/action"
        request(context.cloud.block_storage, "post", path, json=body, microversion="3.40")
    yield wait(text=f"the volume {volume_id} to be reverted")
    yield context.cloud.wait("snapshot", KEPT.id(context.section), {"available"}, timeout=TIMEOUT)

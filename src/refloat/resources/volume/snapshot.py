"""Protects a volume as a Cinder snapshot; restores it as a new volume made from that.

Quick and small, but the snapshot lives and dies with the storage that the volume is on: it is no backup. As
long as there is one, Cinder refuses to delete the original volume ("Volume has dependent snapshots").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refloat.cloud.removal import removal
from refloat.resources.base import (
    RESTORE_NAME,
    HookBody,
    Hooks,
    OperationKind,
    PlanContext,
    Planned,
    ProtectionPlugin,
    Section,
)
from refloat.resources.checking import checked, problem_of
from refloat.resources.context import HookContext
from refloat.resources.options import Option
from refloat.resources.volume import plan, restore
from refloat.resources.volume.attributes import ATTRIBUTES
from refloat.resources.volume.backup import RESTORE_DESCRIPTION, TIMEOUT
from refloat.resources.volume.capture import cut, steady
from refloat.resources.volume.protectable import TYPE
from refloat.resources.volume.section import describe

OPTIONS: Mapping[OperationKind, tuple[Option, ...]] = {
    "protect": (
        Option("snapshot_name", "Name of the Cinder snapshot; {name} stands for the volume's"),
        Option("description", "Description of the Cinder snapshot"),
    ),
    "restore": (RESTORE_NAME, RESTORE_DESCRIPTION),
}

SNAPSHOT = "snapshot"
CAVEAT = "it lives and dies with the storage that the original volume is on"


class SnapshotProtect(Hooks):
    """Cuts a snapshot and keeps it."""

    def on_prepare_begin(self, context: HookContext) -> HookBody:
        """Wait until Cinder is done with whatever it does to the volume."""
        yield from steady(context)
        return None

    def on_prepare_finish(self, context: HookContext) -> HookBody:
        """Read the settings and cut the snapshot, close in time to the other volumes of the application."""
        volume = yield from steady(context)
        section = describe(context.cloud, volume)
        parameters = context.parameters
        name = parameters["snapshot_name"] or "{name}@{checkpoint}"
        name = name.replace("{name}", volume.name or "").replace("{checkpoint}", context.checkpoint_id)
        description = parameters["description"] or f"Checkpoint {context.checkpoint_id}"
        snapshot = yield from cut(context, SNAPSHOT, volume, name, description[:255])
        kept = {"id": str(snapshot.id), "name": snapshot.name or "", "size": int(snapshot.size)}
        # The snapshot's size is the volume's at the cut, should it have grown since it was read.
        return {**section, "size": kept["size"], "snapshot": kept}


class SnapshotRestore(Hooks):
    """Makes a new volume from the snapshot."""

    def on_main(self, context: HookContext) -> HookBody:
        """Create, check, set up."""
        volume_id = restore.create(context, snapshot_id=context.section["snapshot"]["id"])
        volume = yield context.cloud.wait("volume", volume_id, {"available"}, timeout=TIMEOUT)
        return restore.finish(context, volume)


class SnapshotVerify(Hooks):
    """Asks Cinder about the snapshot."""

    def on_main(self, context: HookContext) -> Mapping[str, Any]:
        """Whether the snapshot is there, available and of the right size."""
        expected = context.section["snapshot"]
        problem = _problem_of(context.cloud.find("snapshot", expected["id"]), expected)
        return checked(problem, f"Cinder has the snapshot and calls it available; {CAVEAT}")


def _problem_of(snapshot: Any | None, expected: Mapping[str, Any]) -> str:
    return problem_of("Cinder snapshot", snapshot, expected, {"available", "backing-up"}, caveat=CAVEAT)


class SnapshotDelete(Hooks):
    """Deletes the snapshot."""

    def on_main(self, context: HookContext) -> HookBody:
        """Delete it; it may be gone already."""
        yield from removal(context.cloud, "snapshot", context.section["snapshot"]["id"])
        return None


class VolumeSnapshotPlugin(ProtectionPlugin):
    """Volumes, as Cinder snapshots."""

    name = "volume-cinder-snapshot"
    resource_type = TYPE
    description = f"Makes a Cinder snapshot: quick, but {CAVEAT}"
    attributes = ATTRIBUTES
    options = OPTIONS

    protect = SnapshotProtect
    restore = SnapshotRestore
    verify = SnapshotVerify
    delete = SnapshotDelete

    def stays_in_cloud(self, section: Section) -> tuple[str, ...]:
        """The snapshot."""
        return (f"the Cinder snapshot {section['snapshot']['id']}",)

    def plan_restore(self, context: PlanContext) -> Planned:
        """A new volume; impossible when the snapshot is not there or not usable."""
        expected = context.section["snapshot"]
        there = {str(snapshot.id): snapshot for snapshot in context.listing("snapshot")}
        return plan.plan(context, _problem_of(there.get(expected["id"]), expected))

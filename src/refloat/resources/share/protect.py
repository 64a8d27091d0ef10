"""Protects a share: cuts a snapshot and keeps it."""

from __future__ import annotations

from typing import Any

from refloat.cloud import Marker, explained
from refloat.errors import Conflict
from refloat.resources.base import HookBody, HookContext, Hooks
from refloat.resources.in_cloud import KeptInCloud, description_of_kept, name_of_kept
from refloat.resources.share.manila import manila
from refloat.resources.share.protectable import ShareProtectable
from refloat.resources.share.section import describe

CAVEAT = "it lives and dies with the storage that the original share is on"

TIMEOUT = 24 * 3600.0
"""Seconds that Manila may take to make a snapshot, or a share from one: some storage copies all of it."""

KEPT = KeptInCloud(
    "share_snapshot",
    "snapshot",
    "share snapshot",
    {"available"},
    f"Manila has the snapshot and calls it available; {CAVEAT}",
    CAVEAT,
)


class ShareProtect(Hooks):
    """Cuts a snapshot and keeps it."""

    def on_prepare_begin(self, context: HookContext) -> HookBody:
        """Wait until the share is available; refuse what could not be restored."""
        share = yield from ShareProtectable.settled(context, {"available"})
        if not (share.is_snapshot_supported and share.is_creating_new_share_from_snapshot_supported):
            raise Conflict(
                "the share cannot be protected",
                resource=str(context.resource),
                reason=f"shares of type '{share.share_type_name}' cannot be made from snapshots",
                advice="Leave it out, or move its files to a share of another type",
            )
        return None

    def on_prepare_finish(self, context: HookContext) -> HookBody:
        """Read the settings and cut the snapshot, close in time to the rest of the application."""
        share = yield from ShareProtectable.settled(context, {"available"})
        section = describe(context, share)
        name = name_of_kept(context, "snapshot_name", share.name or "")

        def create(marker: Marker) -> Any:
            return manila(context.cloud).create_share_snapshot(
                share_id=share.id, name=name, description=marker.text
            )

        snapshot_id = context.ensure(
            "share_snapshot", "snapshot", create, what="make a snapshot of the share"
        )
        snapshot = yield context.cloud.wait("share_snapshot", snapshot_id, {"available"}, timeout=TIMEOUT)
        with explained("describe the snapshot of the share", context.resource):
            manila(context.cloud).update_share_snapshot(
                snapshot_id, display_description=description_of_kept(context)
            )
        kept = {"id": str(snapshot.id), "name": snapshot.name or "", "size": int(snapshot.size)}
        # The snapshot's size is the share's at the cut, should it have grown since it was read.
        return {**section, "size": kept["size"], "snapshot": kept}

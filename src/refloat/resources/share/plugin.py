"""Protects a share as a Manila snapshot; restores it as a new share made from that.

The snapshot is on the storage that the share is on, and as long as there is one, Manila refuses to delete the
original share: it is no backup. Manila offers members nothing else that all storage has.
"""

from __future__ import annotations

from typing import ClassVar

from refloat.resources.base import RESTORE_NAME, PlanContext, Planned, ProtectionPlugin, Section, hooks
from refloat.resources.options import Option
from refloat.resources.share.attributes import ATTRIBUTES
from refloat.resources.share.plan import plan
from refloat.resources.share.protect import CAVEAT, KEPT, ShareProtect
from refloat.resources.share.protectable import TYPE
from refloat.resources.share.restore import restore


class SharePlugin(ProtectionPlugin):
    """Shares, as Manila snapshots."""

    name = "share-manila-snapshot"
    resource_type = TYPE
    description = f"Makes a share snapshot: quick, but {CAVEAT}"
    attributes = ATTRIBUTES
    options: ClassVar = {
        "protect": (
            Option("snapshot_name", "Name of the share snapshot; {name} stands for the share's"),
            Option("description", "Description of the share snapshot"),
        ),
        "restore": (RESTORE_NAME,),
    }

    protect = ShareProtect
    restore = hooks(on_main=restore)
    verify = KEPT.verify
    delete = KEPT.delete

    def stays_in_cloud(self, section: Section) -> tuple[str, ...]:
        return (KEPT.text(section),)

    def plan_restore(self, context: PlanContext) -> Planned:
        return plan(context)

"""Protects a database instance as a Trove backup; restores it as a new instance made from that."""

from __future__ import annotations

from typing import ClassVar

from refloat.resources.base import RESTORE_NAME, PlanContext, Planned, ProtectionPlugin, Section, hooks
from refloat.resources.database.attributes import ATTRIBUTES
from refloat.resources.database.plan import plan
from refloat.resources.database.protect import KEPT, DatabaseProtect, refuse_built_on
from refloat.resources.database.protectable import TYPE
from refloat.resources.database.restore import restore
from refloat.resources.options import Option


class DatabasePlugin(ProtectionPlugin):
    """Database instances, as Trove backups."""

    name = "database-trove-backup"
    resource_type = TYPE
    description = "Makes a Trove backup; restores it as a new instance with its databases and users"
    attributes = ATTRIBUTES
    options: ClassVar = {
        "protect": (
            Option("backup_name", "Name of the Trove backup; {name} stands for the instance's"),
            Option("description", "Description of the Trove backup"),
        ),
        "restore": (
            RESTORE_NAME,
            Option("restore_flavor_id", "Id of the flavor of the restored instance"),
            Option("restore_network_id", "Id of the network of the restored instance"),
        ),
    }

    protect = DatabaseProtect
    restore = hooks(on_complete=restore)
    verify = KEPT.verify
    delete = hooks(on_prepare_begin=refuse_built_on, on_main=KEPT.remove)

    def stays_in_cloud(self, section: Section) -> tuple[str, ...]:
        return (KEPT.text(section),)

    def plan_restore(self, context: PlanContext) -> Planned:
        return plan(context)

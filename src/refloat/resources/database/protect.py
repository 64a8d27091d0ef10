"""Protects a database instance: makes a backup."""

from __future__ import annotations

from refloat.cloud.rest import Thing
from refloat.errors import Conflict
from refloat.resources.base import HookBody, HookContext, Hooks, Waiting
from refloat.resources.database.protectable import DatabaseProtectable
from refloat.resources.database.section import describe
from refloat.resources.database.trove import BACKUP, READY_STATES
from refloat.resources.in_cloud import KeptInCloud, description_of_kept, name_of_kept

TIMEOUT = 24 * 3600.0
"""Seconds that Trove may take to back up or restore one instance."""

KEPT = KeptInCloud(
    BACKUP,
    "backup",
    "Trove backup",
    {"completed"},
    "Trove has the backup and calls it completed; it offers no way to read it back",
    sized=False,
)


class DatabaseProtect(Hooks):
    """Makes a backup. It is always a full one, and so stands by itself."""

    def on_prepare_begin(self, context: HookContext) -> HookBody:
        """Wait until Trove is done with whatever it does to the instance."""
        yield from _settled(context)
        return None

    def on_prepare_finish(self, context: HookContext) -> HookBody:
        """Read the settings and begin the backup, close in time to the rest of the application."""
        instance = yield from _settled(context)
        section = describe(context.cloud, instance)
        _begin(context, instance)
        return section

    def on_main(self, context: HookContext) -> HookBody:
        backup = yield context.cloud.wait(BACKUP, context.created(BACKUP), {"completed"}, timeout=TIMEOUT)
        return {"backup": {"id": str(backup.id), "name": backup.name, "size": backup.get("size")}}


def _settled(context: HookContext) -> Waiting:
    if context.created(BACKUP):  # it is our own backup that keeps it busy
        return context.cloud.get(DatabaseProtectable.kind, context.resource.id)
    return (yield from DatabaseProtectable.settled(context, READY_STATES, "ready"))


def _begin(context: HookContext, instance: Thing) -> None:
    name = name_of_kept(context, "backup_name", instance.name)
    body = {"instance": instance.id, "name": name, "description": description_of_kept(context)}
    context.ensure(
        BACKUP,
        BACKUP,
        lambda _marker: context.cloud.create(BACKUP, body),
        what="back up the database instance",
        # What a backup says of itself cannot be changed later: it carries no mark, and is known by this.
        clue=context.known(BACKUP, name=name, instance_id=instance.id),
    )


def refuse_built_on(context: HookContext) -> None:
    """Refuse to delete, before anything is, what others are built on: Trove would delete these as well."""
    identity = KEPT.id(context.section)
    built_on = [item for item in context.cloud.list(BACKUP) if item.get("parent_id") == identity]
    if built_on:
        raise Conflict(
            f"{KEPT.text(context.section)} cannot be deleted",
            resource=str(context.resource),
            reason="incremental backups are built on it, and Trove would delete them as well: "
            + ", ".join(f"{item.id} ({item.name})" for item in built_on),
            advice="Delete those first",
        )

"""Protects a database instance as a Trove backup; restores it as a new instance made from that.

A backup is always a full one, and so stands by itself: Trove deletes a backup together with those that are
built on it.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from refloat.cloud import CloudWait, Marker, explained
from refloat.cloud.kinds import status_of_thing
from refloat.cloud.removal import removal
from refloat.errors import Conflict
from refloat.resources.attributes import Attribute, Change, outcomes
from refloat.resources.base import (
    RESTORE_NAME,
    HookBody,
    Hooks,
    OperationKind,
    PlanContext,
    Planned,
    ProtectionPlugin,
    Restored,
    Section,
)
from refloat.resources.checking import checked
from refloat.resources.context import HookContext
from refloat.resources.database.protectable import NETWORK, TYPE, networks_of, unusable
from refloat.resources.database.trove import (
    BACKUP,
    CONFIGURATION,
    ERROR_STATES,
    FLAVOR,
    INSTANCE,
    TroveThing,
    post,
    thing,
)
from refloat.resources.options import Option

SETTLE_TIMEOUT = 1800.0
"""Seconds to wait for an instance that is being built, resized, backed up... by somebody."""

TIMEOUT = 24 * 3600.0
"""Seconds that Trove may take to back up or restore one instance."""

READY_STATES = frozenset({"active", "healthy", "restart_required"})

_IN_BACKUP = "as the backup has them"

ATTRIBUTES = (
    Attribute("name", "exact"),
    Attribute("flavor", "exact"),
    Attribute("volume_size", "exact"),
    Attribute("volume_type", "lost", "Trove does not tell it; the new volume has the default type"),
    Attribute("datastore", "exact"),
    Attribute("databases", "exact", _IN_BACKUP, value=lambda _section: _IN_BACKUP),
    Attribute("users", "exact", _IN_BACKUP, value=lambda _section: _IN_BACKUP),
    Attribute("configuration", "exact"),
    Attribute("access", "exact"),
    Attribute("networks", "mapped", "on the same network, or on the restored one"),
    Attribute("addresses", "mapped", "the network gives the new instance addresses of its own"),
    Attribute("availability_zone", "lost", "Trove does not tell it"),
    Attribute("replica_of", "lost", "it comes back as an instance by itself"),
    Attribute("replicas", "lost", "make them anew from the new instance"),
    Attribute("id", "mapped", "Trove chooses a new one"),
    Attribute("created", "lost", "Trove writes the time of the restore"),
)

OPTIONS: Mapping[OperationKind, tuple[Option, ...]] = {
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


class DatabaseProtect(Hooks):
    """Makes a backup."""

    def on_prepare_begin(self, context: HookContext) -> HookBody:
        """Wait until Trove is done with whatever it does to the instance."""
        yield from self._steady(context)
        return None

    def on_prepare_finish(self, context: HookContext) -> HookBody:
        """Read the settings and begin the backup, close in time to the rest of the application."""
        instance = yield from self._steady(context)
        section = _describe(context, instance)
        self._begin(context, instance)
        return section

    def on_main(self, context: HookContext) -> HookBody:
        """Wait for the backup."""
        identity = context.created(BACKUP)
        backup = yield context.cloud.wait(
            BACKUP, identity, {"completed"}, failed={"failed", "error_deleting"}, timeout=TIMEOUT
        )
        return {"backup": {"id": str(backup.id), "name": backup.name, "size": backup.get("size")}}

    @staticmethod
    def _begin(context: HookContext, instance: TroveThing) -> None:
        parameters = context.parameters
        name = parameters["backup_name"] or "{name}@{checkpoint}"
        name = name.replace("{name}", instance.name).replace("{checkpoint}", context.checkpoint_id)[:255]
        description = parameters["description"] or f"Checkpoint {context.checkpoint_id}"
        body = {"instance": instance.id, "name": name, "description": description[:255]}

        def create(_marker: Marker) -> Any:
            with explained("back up the database instance", context.resource):
                return thing(post(context.cloud, "/backups", {"backup": body})["backup"])

        # What a backup says of itself cannot be changed later: it carries no mark, and is known by this.
        fields = {"name": name, "instance_id": instance.id}
        known = [item.id for item in context.cloud.list(BACKUP) if item.get("instance_id") == instance.id]
        context.ensure(BACKUP, BACKUP, create, clue={"fields": fields, "known": known})

    @staticmethod
    def _steady(context: HookContext) -> Generator[CloudWait, Any, Any]:
        instance = context.cloud.get(INSTANCE, context.resource.id)
        if context.created(BACKUP):  # it is our own backup that keeps it busy
            return instance
        instance = yield context.cloud.wait(
            INSTANCE,
            instance.id,
            READY_STATES | ERROR_STATES,
            failed=(),
            timeout=SETTLE_TIMEOUT,
            text=f"database instance {instance.name} to be ready",
        )
        if status_of_thing(instance) in ERROR_STATES:
            raise unusable(context.resource, status_of_thing(instance))
        return instance


def _describe(context: HookContext, instance: TroveThing) -> dict[str, Any]:
    datastore = instance.get("datastore") or {}
    configuration = instance.get("configuration") or {}
    addresses = instance.get("addresses") or [{"address": ip} for ip in instance.get("ip") or ()]
    return {
        "id": str(instance.id),
        "name": instance.name,
        "flavor": str((instance.get("flavor") or {}).get("id", "")),
        "volume_size": (instance.get("volume") or {}).get("size"),
        "datastore": {key: datastore[key] for key in ("type", "version") if datastore.get(key)},
        "configuration": {key: configuration[key] for key in ("id", "name") if configuration.get(key)},
        "access": dict(instance.get("access") or {}),
        "networks": networks_of(context.cloud, instance),
        "addresses": [str(item["address"]) for item in addresses],
        "replica_of": (instance.get("replica_of") or {}).get("id", ""),
        "replicas": [str(item["id"]) for item in instance.get("replicas") or ()],
        "created": instance.get("created"),
    }


class DatabaseRestore(Hooks):
    """Makes a new instance from the backup, when the networks it refers to are there."""

    def on_complete(self, context: HookContext) -> HookBody:
        """Create it, unless that is done, and wait until it serves."""
        planned, cloud = context.planned, context.cloud
        known = [item.id for item in cloud.list(INSTANCE) if item.name == planned.name]
        clue = {"name": planned.name, "known": known}
        new_id = context.ensure(INSTANCE, INSTANCE, self._creator(context), clue=clue)
        yield cloud.wait(INSTANCE, new_id, READY_STATES, failed=ERROR_STATES, timeout=TIMEOUT)
        restored = Restored(TYPE, context.resource.id, new_id, planned.name, reason=planned.reason)
        return {"restored": [restored.to_json()]}

    @staticmethod
    def _creator(context: HookContext) -> Any:
        section, planned = context.section, context.planned
        networks = [
            context.new_id(NETWORK, identity) or identity for identity in planned.decisions["networks"]
        ]
        wanted = {
            "name": planned.name,
            "flavorRef": planned.decisions["flavor"],
            "volume": {"size": section["volume_size"]} if section["volume_size"] else None,
            "datastore": section["datastore"],
            "configuration": planned.decisions["configuration"],
            "access": section["access"],
            "nics": [{"network_id": identity} for identity in networks],
            "restorePoint": {"backupRef": section["backup"]["id"]},
        }
        body = {"instance": {key: value for key, value in wanted.items() if value}}

        def create(_marker: Marker) -> Any:
            with explained(f"create the database instance {planned.name}", context.resource):
                return thing(post(context.cloud, "/instances", body)["instance"])

        return create


class DatabaseVerify(Hooks):
    """Asks Trove about the backup."""

    def on_main(self, context: HookContext) -> Mapping[str, Any]:
        """Whether the backup is there and complete."""
        expected = context.section["backup"]
        problem = _problem_of(context.cloud.find(BACKUP, expected["id"]), expected)
        return checked(
            problem, "Trove has the backup and calls it completed; it offers no way to read it back"
        )


def _problem_of(backup: Any | None, expected: Mapping[str, Any]) -> str:
    """What is wrong with a backup; empty: nothing that Trove would tell."""
    if backup is None:
        return f"the Trove backup {expected['id']} is gone"
    if status_of_thing(backup) != "completed":
        return f"the status of the Trove backup {expected['id']} is '{backup.status}'"
    return ""


class DatabaseDelete(Hooks):
    """Deletes the backup, unless others are built on it."""

    def on_prepare_begin(self, context: HookContext) -> None:
        """Refuse before anything is deleted when Trove would delete other backups with this one."""
        identity = context.section["backup"]["id"]
        built_on = [item for item in context.cloud.list(BACKUP) if item.get("parent_id") == identity]
        if built_on:
            raise Conflict(
                f"the Trove backup {identity} cannot be deleted",
                resource=str(context.resource),
                reason="incremental backups are built on it, and Trove would delete them as well: "
                + ", ".join(f"{item.id} ({item.name})" for item in built_on),
                advice="Delete those first",
            )

    def on_main(self, context: HookContext) -> HookBody:
        """Delete it; it may be gone already."""
        yield from removal(context.cloud, BACKUP, context.section["backup"]["id"])
        return None


class DatabasePlugin(ProtectionPlugin):
    """Database instances, as Trove backups."""

    name = "database-trove-backup"
    resource_type = TYPE
    description = "Makes a Trove backup; restores it as a new instance with its databases and users"
    attributes = ATTRIBUTES
    options = OPTIONS

    protect = DatabaseProtect
    restore = DatabaseRestore
    verify = DatabaseVerify
    delete = DatabaseDelete

    def stays_in_cloud(self, section: Section) -> tuple[str, ...]:
        """The backup."""
        return (f"the Trove backup {section['backup']['id']}",)

    def plan_restore(self, context: PlanContext) -> Planned:
        """A new instance; impossible without its backup or a flavor."""
        section, parameters = context.section, context.parameters
        name = context.restored_name(section["name"])
        changes: dict[str, Change] = {}
        conflicts: list[str] = []
        if name != section["name"]:
            changes["name"] = Change(name, "mapped", "as asked for with restore_name")
        for attribute in ("replica_of", "replicas"):
            if not section[attribute]:  # there is nothing to lose
                changes[attribute] = Change(section[attribute], "exact", "")
        if not context.cloud.has("database"):
            problem = "this cloud has no database service"
            return Planned("impossible", name, problem, attributes=outcomes(ATTRIBUTES, section, changes))
        backups = {str(item.id): item for item in context.listing(BACKUP)}
        problem = _problem_of(backups.get(section["backup"]["id"]), section["backup"])
        flavor = parameters.get("restore_flavor_id") or section["flavor"]
        if flavor not in {str(item.id) for item in context.listing(FLAVOR)}:
            problem = problem or f"there is no flavor {flavor} for databases; choose with restore_flavor_id"
        if flavor != section["flavor"]:
            changes["flavor"] = Change(flavor, "mapped", "as asked for with restore_flavor_id")
        configuration = section["configuration"].get("id", "")
        if configuration and configuration not in {str(item.id) for item in context.listing(CONFIGURATION)}:
            said = f"there is no configuration group {configuration} any more"
            conflicts.append(f"{said}: the datastore's own settings are used")
            changes["configuration"] = Change(None, "degraded", said)
            configuration = ""
        networks, lacking = _networks(context)
        problem = problem or lacking
        if networks != section["networks"]:
            changes["networks"] = Change(networks, "mapped", "as asked for with restore_network_id")
        return Planned(
            "impossible" if problem else "create",
            name=name,
            reason=problem,
            attributes=outcomes(ATTRIBUTES, section, changes),
            decisions={"flavor": flavor, "configuration": configuration, "networks": networks},
            conflicts=tuple(conflicts),
        )


def _networks(context: PlanContext) -> tuple[list[str], str]:
    """The (old) ids of the networks of the new instance; why there can be none, if so."""
    chosen = context.parameters.get("restore_network_id")
    if chosen:
        return [str(chosen)], ""
    restored = {node.id for node in context.graph if node.type == NETWORK}
    for identity in context.section["networks"]:
        if identity not in restored and context.cloud.find("network", identity) is None:
            return [], f"its network {identity} is gone; choose another with restore_network_id"
    return list(context.section["networks"]), ""

"""Database instances: protected as Trove backups, restored as new instances made from these.

Written from Trove's API reference (Database API v1.0). openstacksdk's proxy knows no backups, and leaves out
much of what an instance tells of itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from refloat.cloud import Cloud, explained
from refloat.cloud.rest import Thing, rest_kind
from refloat.errors import ServiceMissing
from refloat.graph import Resource
from refloat.resources.attributes import Attribute, exact, nothing_to_lose
from refloat.resources.base import (
    RESTORE_NAME,
    HookBody,
    HookContext,
    Hooks,
    PlanContext,
    Planned,
    Waiting,
    hooks,
)
from refloat.resources.declared import Declared
from refloat.resources.draft import Draft
from refloat.resources.in_cloud import KeptInCloud, description_of_kept, name_of_kept
from refloat.resources.listed import ListedProtectable
from refloat.resources.options import Option

INSTANCE = "database_instance"
BACKUP = "database_backup"
FLAVOR = "database_flavor"
CONFIGURATION = "database_configuration"

ERROR_STATES = frozenset({"error", "failed", "crashed"})
"""The states of an instance that it does not come out of by itself."""

BUSY_STATES = frozenset(
    {"build", "building", "reboot", "resize", "backup", "promote", "eject", "upgrade", "detach"}
)

READY_STATES = frozenset({"active", "healthy", "restart_required"})

_STATES: dict[str, Any] = {"waits_gone": True, "delete_failed": frozenset({"delete_failed"})}

_KINDS = (
    rest_kind(
        INSTANCE, "database", "/instances", one="instance", busy=BUSY_STATES, failed=ERROR_STATES, **_STATES
    ),
    rest_kind(
        BACKUP,
        "database",
        "/backups",
        one="backup",
        busy=frozenset({"new", "building", "saving"}),
        failed=frozenset({"failed", "delete_failed"}),
        **_STATES,
    ),
    rest_kind(FLAVOR, "database", "/flavors", one="flavor"),
    rest_kind(CONFIGURATION, "database", "/configurations", one="configuration"),
)


_IN_BACKUP = "as the backup has them"

ATTRIBUTES = (
    *exact("name", "flavor", "volume_size"),
    Attribute("volume_type", "lost", "Trove does not tell it; the new volume has the default type"),
    *exact("datastore"),
    Attribute("databases", "exact", _IN_BACKUP, value=lambda _section: _IN_BACKUP),
    Attribute("users", "exact", _IN_BACKUP, value=lambda _section: _IN_BACKUP),
    *exact("configuration", "access"),
    Attribute("networks", "mapped", "on the same network, or on the restored one"),
    Attribute("addresses", "mapped", "the network gives the new instance addresses of its own"),
    Attribute("availability_zone", "lost", "Trove does not tell it"),
    Attribute("replica_of", "lost", "it comes back as an instance by itself"),
    Attribute("replicas", "lost", "make them anew from the new instance"),
    Attribute("id", "mapped", "Trove chooses a new one"),
    Attribute("created", "lost", "Trove writes the time of the restore"),
)


def describe(cloud: Cloud, instance: Thing) -> dict[str, Any]:
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
        "networks": networks_of(cloud, instance),
        "addresses": [str(item["address"]) for item in addresses],
        "replica_of": (instance.get("replica_of") or {}).get("id", ""),
        "replicas": [str(item["id"]) for item in instance.get("replicas") or ()],
        "created": instance.get("created"),
    }


def networks_of(cloud: Cloud, instance: Thing) -> list[str]:
    """The ids of the networks that an instance is on.

    Trove tells them with the addresses. One that is too old for that only tells addresses: Neutron knows
    whose they are.
    """
    addresses = [item for item in instance.get("addresses") or () if item.get("type") != "public"]
    told = [str(item["network"]) for item in addresses if item.get("network")]
    if told or not addresses:
        return list(dict.fromkeys(told))
    found: dict[str, None] = {}
    try:
        with explained("find the ports of a database instance"):
            for item in addresses:
                ports = cloud.network.ports(fixed_ips=f"ip_address={item['address']}")
                found.update((str(port.network_id), None) for port in ports)
    except ServiceMissing:
        return []
    return list(found) if len(found) == len(addresses) else []


TYPE = "OS::Trove::Instance"
NETWORK = "OS::Neutron::Network"


class DatabaseProtectable(ListedProtectable):
    """The database instances of one project."""

    kind, noun = INSTANCE, "database instance"

    @classmethod
    def is_going(cls, state: str) -> bool:
        """Also what has been stopped for good: Trove calls that ``SHUTDOWN``."""
        return super().is_going(state) or state == "shutdown"

    def list(self) -> list[Resource]:
        ready = [thing for thing in self.things if self.state(thing) not in BUSY_STATES | ERROR_STATES]
        return [self.node(thing) for thing in ready]

    def references(self, resource: Resource) -> Iterable[Resource]:
        found: list[Any] = []
        for identity in networks_of(self.cloud, self.cloud.get(INSTANCE, resource.id)):
            network = self.cloud.find("network", identity)
            if network is not None and network.project_id == self.cloud.project_id:
                found.append(Resource(NETWORK, str(network.id), network.name or ""))
        return found


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
        those = ", ".join(f"{item.id} ({item.name})" for item in built_on)
        said = f"incremental backups are built on it, and Trove would delete them as well: {those}"
        KEPT.refuse_needed(context, said, "Delete those first")


def plan(context: PlanContext) -> Planned:
    """A new instance; impossible without its backup, a flavor or a network."""
    section = context.section
    draft = Draft.renamed(context, ATTRIBUTES)
    draft.changes |= nothing_to_lose(section, "replica_of", "replicas")
    if not context.cloud.has("database"):
        return draft.planned()
    asked = context.mapping("flavor", section["flavor"])
    flavor = section["flavor"] if asked is None else asked.new
    if context.listed(FLAVOR, flavor) is None:
        draft.problems.append(f"there is no flavor {flavor} for databases; choose with restore_flavor_id")
        there = ((str(found.id), found.name or "") for found in context.listing(FLAVOR))
        draft.propose("flavor", section["flavor"], there)
    elif asked is not None:
        draft.change("flavor", flavor, "mapped", asked.said)
    configuration = section["configuration"].get("id", "")
    if configuration and context.listed(CONFIGURATION, configuration) is None:
        said = f"there is no configuration group {configuration} any more"
        draft.conflict("configuration", None, "degraded", said, "the datastore's own settings are used")
        configuration = ""
    networks, lacking = _networks(context)
    draft.problems += [lacking] if lacking else []
    if networks != section["networks"] and not lacking:
        draft.change("networks", networks, "mapped", "as asked for")
    draft.decisions = {"flavor": flavor, "configuration": configuration, "networks": networks}
    return draft.planned()


def _networks(context: PlanContext) -> tuple[list[str], str]:
    """The ids, old or new, of the networks of the new instance; why there can be none, if so."""
    if context.parameters.get("restore_network_id"):
        chosen = context.mapping("network", "")
        return [chosen.new] if chosen is not None else [], ""  # Trove says it if there is none
    restored, found = {node.id for node in context.graph if node.type == NETWORK}, []
    for identity in context.section["networks"]:
        asked = context.mapping("network", identity)
        if asked is None and identity not in restored and context.cloud.find("network", identity) is None:
            return [], f"its network {identity} is gone; choose another with restore_network_id"
        found.append(identity if asked is None else asked.new)
    return found, ""


def restore(context: HookContext) -> HookBody:
    """Create it when the networks it refers to are there, and wait until it serves."""
    section, planned = context.section, context.planned
    networks = [context.new_or_same(NETWORK, identity) for identity in planned.decisions["networks"]]
    wanted = {
        "name": planned.name,
        "flavorRef": planned.decisions["flavor"],
        "volume": {"size": section["volume_size"]} if section["volume_size"] else None,
        "datastore": section["datastore"],
        "configuration": planned.decisions["configuration"],
        "access": section["access"],
        "nics": [{"network_id": identity} for identity in networks],
        "restorePoint": {"backupRef": KEPT.id(section)},
    }
    body = {key: value for key, value in wanted.items() if value}
    new_id = context.ensure(
        INSTANCE,
        INSTANCE,
        lambda _marker: context.cloud.create(INSTANCE, body),
        what=f"create the database instance {planned.name}",
        clue=context.known(INSTANCE, name=planned.name),
    )
    yield context.cloud.wait(INSTANCE, new_id, READY_STATES, timeout=TIMEOUT)
    return context.restored(new_id)


DATABASE = Declared(
    type=TYPE,
    name="database-trove-backup",
    description="Makes a Trove backup; restores it as a new instance with its databases and users",
    noun="database instance",
    kind=_KINDS[0],
    more_kinds=_KINDS[1:],
    finder=DatabaseProtectable,
    attributes=ATTRIBUTES,
    doubles=True,
    protect_options=(
        Option("backup_name", "Name of the Trove backup; {name} stands for the instance's"),
        Option("description", "Description of the Trove backup"),
    ),
    options=(
        RESTORE_NAME,
        Option("restore_flavor_id", "Id of the flavor of the restored instance"),
        Option("restore_network_id", "Id of the network of the restored instance"),
    ),
    protect=DatabaseProtect,
    restore=hooks(on_complete=restore),
    kept=KEPT,
    delete=hooks(on_prepare_begin=refuse_built_on, on_main=KEPT.remove),
    plan=plan,
)

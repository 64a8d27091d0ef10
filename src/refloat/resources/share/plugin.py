"""Protects a share as a Manila snapshot; restores it as a new share made from that.

The snapshot is on the storage that the share is on, and as long as there is one, Manila refuses to delete the
original share: it is no backup. Manila offers members nothing else that all storage has.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from openstack import exceptions as sdk_exceptions

from refloat.cloud import CloudWait, Marker, explained, unmarked
from refloat.cloud.kinds import status_of_thing
from refloat.cloud.removal import removal
from refloat.errors import CloudError, Conflict
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
from refloat.resources.checking import checked, problem_of
from refloat.resources.context import HookContext
from refloat.resources.options import Option
from refloat.resources.share.manila import manila
from refloat.resources.share.protectable import TYPE, is_broken, unusable

CAVEAT = "it lives and dies with the storage that the original share is on"

SETTLE_TIMEOUT = 1800.0
"""Seconds to wait for a share that is being made, extended, migrated... by somebody."""

TIMEOUT = 24 * 3600.0
"""Seconds that Manila may take to make a share from a snapshot: some storage copies all of it."""

_COMES = "comes with the snapshot"

ATTRIBUTES = (
    Attribute("name", "exact"),
    Attribute("description", "exact"),
    Attribute("size", "exact"),
    Attribute("protocol", "exact"),
    Attribute("share_type", "exact", _COMES, value=lambda section: section["share_type"]["name"]),
    Attribute("share_network_id", "exact", _COMES),
    Attribute("availability_zone", "exact"),
    Attribute("metadata", "exact"),
    Attribute("is_public", "exact"),
    Attribute("access_rules", "exact"),
    Attribute("access_keys", "lost", "storage that hands out keys (CephFS) makes new ones"),
    Attribute("export_locations", "mapped", "the new share is mounted from a path of its own"),
    Attribute("share_group_id", "lost", "a share enters a group only when it is made, and then empty"),
    Attribute("replicas", "lost", "add them to the new share"),
    Attribute("snapshots", "lost", "earlier snapshots stay with the original share"),
    Attribute("id", "mapped", "Manila chooses a new one"),
    Attribute("created_at", "lost", "Manila writes the time of the restore"),
)

OPTIONS: Mapping[OperationKind, tuple[Option, ...]] = {
    "protect": (
        Option("snapshot_name", "Name of the share snapshot; {name} stands for the share's"),
        Option("description", "Description of the share snapshot"),
    ),
    "restore": (RESTORE_NAME,),
}

SNAPSHOT = "snapshot"
SHARE = "share"


def steady(context: HookContext) -> Generator[CloudWait, Any, Any]:
    """Wait until the share is available; returns it. :raises Conflict: it is in an error state."""
    share = context.cloud.get("share", context.resource.id)
    if not is_broken(status_of_thing(share)):
        share = yield context.cloud.wait(
            "share",
            share.id,
            lambda thing: status_of_thing(thing) == "available" or is_broken(status_of_thing(thing)),
            failed=(),
            timeout=SETTLE_TIMEOUT,
            text=f"share {share.name or share.id} to be available",
        )
    if is_broken(status_of_thing(share)):
        raise unusable(context.resource, status_of_thing(share))
    return share


class ShareProtect(Hooks):
    """Cuts a snapshot and keeps it."""

    def on_prepare_begin(self, context: HookContext) -> HookBody:
        """Wait until the share is available; refuse what could not be restored."""
        share = yield from steady(context)
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
        share = yield from steady(context)
        section = _describe(context, share)
        parameters = context.parameters
        name = parameters["snapshot_name"] or "{name}@{checkpoint}"
        name = name.replace("{name}", share.name or "").replace("{checkpoint}", context.checkpoint_id)
        description = parameters["description"] or f"Checkpoint {context.checkpoint_id}"

        def create(marker: Marker) -> Any:
            with explained("make a snapshot of the share", context.resource):
                return manila(context.cloud).create_share_snapshot(
                    share_id=share.id, name=name[:255], description=marker.text
                )

        snapshot_id = context.ensure("share_snapshot", SNAPSHOT, create)
        snapshot = yield context.cloud.wait("share_snapshot", snapshot_id, {"available"}, timeout=TIMEOUT)
        with explained("describe the snapshot of the share", context.resource):
            manila(context.cloud).update_share_snapshot(snapshot_id, display_description=description[:255])
        kept = {"id": str(snapshot.id), "name": snapshot.name or "", "size": int(snapshot.size)}
        # The snapshot's size is the share's at the cut, should it have grown since it was read.
        return {**section, "size": kept["size"], "snapshot": kept}


def _describe(context: HookContext, share: Any) -> dict[str, Any]:
    service = manila(context.cloud)
    with explained("read the access rules of the share", context.resource):
        rules = [_rule(rule) for rule in service.access_rules(share.id)]
    with explained("list the snapshots of the share", context.resource):
        snapshots = [str(s.id) for s in service.share_snapshots(details=True, share_id=share.id)]
    return {
        "id": str(share.id),
        "name": share.name or "",
        "description": share.description,
        "size": int(share.size),
        "protocol": share.share_protocol,
        "share_type": {"id": share.share_type or "", "name": share.share_type_name or ""},
        "share_network_id": share.share_network_id or "",
        "availability_zone": share.availability_zone or "",
        "metadata": unmarked(share.metadata),
        "is_public": bool(share.is_public),
        "access_rules": sorted(rules, key=_named),
        "share_group_id": share.share_group_id or "",
        "replicas": bool(share.is_replicated),
        "snapshots": snapshots,
        "created_at": share.created_at,
    }


def _rule(rule: Any) -> dict[str, Any]:
    """An access rule without its key, which is a secret and the storage's own."""
    return {
        "access_type": rule.access_type,
        "access_to": rule.access_to,
        "access_level": rule.access_level,
        "metadata": dict(rule.metadata or {}),
    }


def _named(rule: Mapping[str, Any]) -> tuple[str, str]:
    """What there is one rule for: Manila refuses a second one."""
    return str(rule["access_type"]), str(rule["access_to"])


class ShareRestore(Hooks):
    """Makes a new share from the snapshot."""

    def on_main(self, context: HookContext) -> HookBody:
        """Create, let in whom the original let in, check. The mark is in the metadata: that comes last."""
        cloud, section, planned = context.cloud, context.section, context.planned
        share_id = context.ensure("share", SHARE, _creator(context))
        share = yield cloud.wait("share", share_id, {"available"}, timeout=TIMEOUT)
        if int(share.size) != section["size"]:
            raise CloudError(
                f"the new share {share_id} has {share.size} GiB instead of {section['size']}",
                resource=str(context.resource),
            )
        self._allow(context, share_id)
        yield cloud.wait(
            "share",
            share_id,
            lambda thing: thing.access_rules_status == "active",
            failed=lambda thing: thing.access_rules_status == "error",
            text=f"the access rules of share {planned.name or share_id} to be applied",
        )
        service = manila(cloud)
        with explained(f"set up the share {share_id}", context.resource):
            if planned.decisions["is_public"] and not share.is_public:
                service.update_share(share_id, is_public=True)
            # Not by the proxy's method, whose own arguments would clash with items of their names.
            answer = service.put(f"/shares/{share_id}/metadata", json={"metadata": section["metadata"]})
            sdk_exceptions.raise_from_response(answer)
            paths = [place.path for place in service.export_locations(share_id)]
        reason = f"it is mounted from {' or '.join(paths)}" if paths else ""
        restored = Restored(TYPE, context.resource.id, share_id, planned.name, reason=reason)
        return {"restored": [restored.to_json()]}

    @staticmethod
    def _allow(context: HookContext, share_id: str) -> None:
        service = manila(context.cloud)
        with explained(f"let others in to the share {share_id}", context.resource):
            there = {_named(_rule(rule)) for rule in service.access_rules(share_id)}
            for rule in context.section["access_rules"]:
                if _named(rule) not in there:
                    service.create_access_rule(share_id, **{k: v for k, v in rule.items() if v})


def _creator(context: HookContext) -> Any:
    section, planned = context.section, context.planned
    wanted = {
        "name": planned.name,
        "description": section["description"],
        "availability_zone": section["availability_zone"] or None,
    }

    def create(marker: Marker) -> Any:
        with explained(f"create the share {planned.name}", context.resource):
            # Type and network are the snapshot's; Manila refuses others.
            return manila(context.cloud).create_share(
                snapshot_id=section["snapshot"]["id"],
                share_protocol=section["protocol"],
                size=section["size"],
                metadata=marker.metadata,
                **{key: value for key, value in wanted.items() if value is not None},
            )

    return create


class ShareVerify(Hooks):
    """Asks Manila about the snapshot."""

    def on_main(self, context: HookContext) -> Mapping[str, Any]:
        """Whether the snapshot is there, available and of the right size."""
        expected = context.section["snapshot"]
        problem = _problem_of(context.cloud.find("share_snapshot", expected["id"]), expected)
        return checked(problem, f"Manila has the snapshot and calls it available; {CAVEAT}")


def _problem_of(snapshot: Any | None, expected: Mapping[str, Any]) -> str:
    return problem_of("share snapshot", snapshot, expected, {"available"}, caveat=CAVEAT)


class ShareDelete(Hooks):
    """Deletes the snapshot."""

    def on_main(self, context: HookContext) -> HookBody:
        """Delete it; it may be gone already."""
        yield from removal(context.cloud, "share_snapshot", context.section["snapshot"]["id"])
        return None


class SharePlugin(ProtectionPlugin):
    """Shares, as Manila snapshots."""

    name = "share-manila-snapshot"
    resource_type = TYPE
    description = f"Makes a share snapshot: quick, but {CAVEAT}"
    attributes = ATTRIBUTES
    options = OPTIONS

    protect = ShareProtect
    restore = ShareRestore
    verify = ShareVerify
    delete = ShareDelete

    def stays_in_cloud(self, section: Section) -> tuple[str, ...]:
        """The snapshot."""
        return (f"the share snapshot {section['snapshot']['id']}",)

    def plan_restore(self, context: PlanContext) -> Planned:
        """A new share; impossible when the snapshot is not there or not usable."""
        section = context.section
        expected = section["snapshot"]
        problem = "this cloud has no shared file system service"
        if context.cloud.has("shared_file_system"):
            there = {str(snapshot.id): snapshot for snapshot in context.listing("share_snapshot")}
            problem = _problem_of(there.get(expected["id"]), expected)
        name = context.restored_name(section["name"])
        changes: dict[str, Change] = {}
        conflicts: list[str] = []
        if name != section["name"]:
            changes["name"] = Change(name, "mapped", "as asked for with restore_name")
        public = section["is_public"]
        if public and "admin" not in context.cloud.roles:
            public, said = False, "only administrators make a share public"
            changes["is_public"] = Change(False, "degraded", said)
            conflicts.append(f"{said}: the new one is private")
        for attribute in ("share_group_id", "replicas", "snapshots"):
            if not section[attribute]:  # there is nothing to lose
                changes[attribute] = Change(section[attribute], "exact", "")
        return Planned(
            "impossible" if problem else "create",
            name=name,
            reason=problem,
            attributes=outcomes(ATTRIBUTES, section, changes),
            needs={"shares": 1, "share_gigabytes": int(section["size"])},
            decisions={"is_public": public},
            conflicts=tuple(conflicts),
        )

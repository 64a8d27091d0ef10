"""Shares: protected as Manila snapshots, restored as new shares made from these.

The snapshot is on the storage that the share is on, and as long as there is one, Manila refuses to delete the
original share: it is no backup. Manila offers members nothing else that all storage has.

Written from Manila's API reference (Shared File Systems API v2). Every request uses one microversion, the
oldest that has all that is needed: with 2.45 (Queens) access rules became resources with metadata.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refloat.cloud import Cloud, Marker, explained, unmarked
from refloat.cloud.kinds import request, sdk_kind, unmark_metadata
from refloat.cloud.quota import absolute_limits
from refloat.errors import CloudError, Conflict
from refloat.graph import Resource
from refloat.resources.attributes import Attribute, exact, nothing_to_lose
from refloat.resources.base import HookBody, HookContext, Hooks, PlanContext, Planned, Waiting
from refloat.resources.declared import Declared
from refloat.resources.draft import Draft
from refloat.resources.in_cloud import KeptInCloud, description_of_kept, name_of_kept
from refloat.resources.listed import ListedProtectable
from refloat.resources.options import Option

MICROVERSION = "2.45"


def manila(cloud: Cloud) -> Any:
    """The proxy of the service, at the microversion that is used."""
    proxy = cloud.shared_file_system
    proxy.default_microversion = MICROVERSION
    return proxy


_SHARES: dict[str, Any] = {
    "service": "shared_file_system",
    "query": {"details": True},
    "microversion": MICROVERSION,
    "waits_gone": True,
}

_KINDS = (
    sdk_kind(
        "share",
        busy=frozenset(
            {
                "creating",
                "creating_from_snapshot",
                "extending",
                "migrating",
                "migrating_to",
                "replication_change",
                "reverting",
                "shrinking",
            }
        ),
        unmark=unmark_metadata("shared_file_system", "/shares", MICROVERSION),
        **_SHARES,
    ),
    sdk_kind("share_snapshot", busy=frozenset({"creating", "restoring"}), **_SHARES),
)


_COMES = "comes with the snapshot"

ATTRIBUTES = (
    *exact("name", "description", "size", "protocol"),
    Attribute("share_type", "exact", _COMES, value=lambda section: section["share_type"]["name"]),
    Attribute("share_network_id", "exact", _COMES),
    *exact("availability_zone", "metadata", "is_public", "access_rules"),
    Attribute("access_keys", "lost", "storage that hands out keys (CephFS) makes new ones"),
    Attribute("export_locations", "mapped", "the new share is mounted from a path of its own"),
    Attribute("share_group_id", "lost", "a share enters a group only when it is made, and then empty"),
    Attribute("replicas", "lost", "add them to the new share"),
    Attribute("snapshots", "lost", "earlier snapshots stay with the original share"),
    Attribute("id", "mapped", "Manila chooses a new one"),
    Attribute("created_at", "lost", "Manila writes the time of the restore"),
)


def describe(context: HookContext, share: Any) -> dict[str, Any]:
    service = manila(context.cloud)
    with explained("read the access rules of the share", context.resource):
        rules = [rule_of(rule) for rule in service.access_rules(share.id)]
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
        "access_rules": sorted(rules, key=let_in),
        "share_group_id": share.share_group_id or "",
        "replicas": bool(share.is_replicated),
        "snapshots": snapshots,
        "created_at": share.created_at,
    }


def rule_of(rule: Any) -> dict[str, Any]:
    """An access rule without its key, which is a secret and the storage's own."""
    return {
        "access_type": rule.access_type,
        "access_to": rule.access_to,
        "access_level": rule.access_level,
        "metadata": dict(rule.metadata or {}),
    }


def let_in(rule: Mapping[str, Any]) -> tuple[str, str]:
    """Who is let in: Manila refuses a second rule for the same."""
    return str(rule["access_type"]), str(rule["access_to"])


TYPE = "OS::Manila::Share"


class ShareProtectable(ListedProtectable):
    """The shares of one project."""

    kind = noun = "share"

    @classmethod
    def is_broken(cls, state: str) -> bool:
        return state.startswith("error") or state.endswith("error")

    def node(self, thing: Any) -> Resource:
        return Resource(
            TYPE, str(thing.id), thing.name or "", {"availability_zone": thing.availability_zone or ""}
        )


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
        share = yield from _ready(context)
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
        share = yield from _ready(context)
        section = describe(context, share)
        name = name_of_kept(context, "snapshot_name", share.name or "")

        def create(marker: Marker) -> str:
            # Not by the proxy's method, which does not send whether it is forced.
            wanted = {"share_id": share.id, "name": name, "description": marker.text}
            forced = {"force": True} if context.parameters["force"] else {}
            body = {"snapshot": wanted | forced}
            return str(request(manila(context.cloud), "post", "/snapshots", json=body)["snapshot"]["id"])

        snapshot_id = context.ensure(
            "share_snapshot",
            "snapshot",
            create,
            what="make a snapshot of the share",
            unmarked={"display_description": description_of_kept(context)},
        )
        snapshot = yield context.cloud.wait("share_snapshot", snapshot_id, {"available"}, timeout=TIMEOUT)
        kept = {"id": str(snapshot.id), "name": snapshot.name or "", "size": int(snapshot.size)}
        # The snapshot's size is the share's at the cut, should it have grown since it was read.
        return {**section, "size": kept["size"], "snapshot": kept}


def _ready(context: HookContext) -> Waiting:
    """The share, when Manila can make a snapshot of it: now, when that is to be forced."""
    if context.parameters["force"]:
        return context.cloud.get("share", context.resource.id)
    return (yield from ShareProtectable.settled(context, {"available"}))


def plan(context: PlanContext) -> Planned:
    section, draft = context.section, Draft.renamed(context, ATTRIBUTES)
    draft.changes |= nothing_to_lose(section, "share_group_id", "replicas", "snapshots")
    public = section["is_public"]
    if public and "admin" not in context.cloud.roles:
        public, said = False, "only administrators make a share public"
        draft.conflict("is_public", False, "degraded", said, "the new one is private")
    draft.needs = {"shares": 1, "share_gigabytes": int(section["size"])}
    draft.decisions = {"is_public": public}
    return draft.planned()


def restore(context: HookContext) -> HookBody:
    """Create, let in whom the original let in, check. The mark stays in the metadata."""
    cloud, section, planned = context.cloud, context.section, context.planned
    share_id = context.ensure(
        "share",
        "share",
        lambda marker: _create(context, marker),
        what=f"create the share {planned.name}",
        unmarked={},
    )
    share = yield cloud.wait("share", share_id, {"available"}, timeout=TIMEOUT)
    if int(share.size) != section["size"]:
        raise CloudError(
            f"the new share {share_id} has {share.size} GiB instead of {section['size']}",
            resource=str(context.resource),
        )
    _let_in(context, share_id)
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
        metadata = {**section["metadata"], **context.marker("share").metadata}
        request(service, "put", f"/shares/{share_id}/metadata", json={"metadata": metadata})
        paths = [place.path for place in service.export_locations(share_id)]
    return context.restored(share_id, reason=f"it is mounted from {' or '.join(paths)}" if paths else "")


def _create(context: HookContext, marker: Marker) -> Any:
    section = context.section
    wanted = {
        "name": context.planned.name,
        "description": section["description"],
        "availability_zone": section["availability_zone"] or None,
    }
    # Type and network are the snapshot's; Manila refuses others.
    return manila(context.cloud).create_share(
        snapshot_id=section["snapshot"]["id"],
        share_protocol=section["protocol"],
        size=section["size"],
        metadata=marker.metadata,
        **{key: value for key, value in wanted.items() if value is not None},
    )


def _let_in(context: HookContext, share_id: str) -> None:
    service = manila(context.cloud)
    with explained(f"let others in to the share {share_id}", context.resource):
        there = {let_in(rule_of(rule)) for rule in service.access_rules(share_id)}
        for rule in context.section["access_rules"]:
            if let_in(rule) not in there:
                service.create_access_rule(share_id, **{k: v for k, v in rule.items() if v})


SHARE = Declared(
    type=TYPE,
    name="share-manila-snapshot",
    description=f"Makes a share snapshot: quick, but {CAVEAT}",
    kind=_KINDS[0],
    more_kinds=_KINDS[1:],
    quotas=(
        absolute_limits(
            "shared_file_system",
            {
                "shares": ("maxTotalShares", "totalSharesUsed"),
                "share_gigabytes": ("maxTotalShareGigabytes", "totalShareGigabytesUsed"),
            },
        ),
    ),
    finder=ShareProtectable,
    selectors=("metadata",),
    attributes=ATTRIBUTES,
    doubles=True,
    protect_options=(
        Option("snapshot_name", "Name of the share snapshot; {name} stands for the share's"),
        Option("description", "Description of the share snapshot"),
        Option(
            "force",
            "Make the snapshot even while Manila is busy with the share, rather than wait for that",
            type=bool,
            default=False,
        ),
    ),
    protect=ShareProtect,
    restore=restore,
    kept=KEPT,
    plan=plan,
)

"""Restores a share: makes a new one from the snapshot."""

from __future__ import annotations

from typing import Any

from openstack import exceptions as sdk_exceptions

from refloat.cloud import Marker, explained
from refloat.errors import CloudError
from refloat.resources.base import HookBody, HookContext
from refloat.resources.share.manila import manila
from refloat.resources.share.protect import TIMEOUT
from refloat.resources.share.section import let_in, rule_of


def restore(context: HookContext) -> HookBody:
    """Create, let in whom the original let in, check. The mark is in the metadata: that comes last."""
    cloud, section, planned = context.cloud, context.section, context.planned
    share_id = context.ensure(
        "share",
        "share",
        lambda marker: _create(context, marker),
        what=f"create the share {planned.name}",
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
        answer = service.put(f"/shares/{share_id}/metadata", json={"metadata": section["metadata"]})
        sdk_exceptions.raise_from_response(answer)
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

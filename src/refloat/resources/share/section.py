"""What a share is besides its files, as a section keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refloat.cloud import explained, unmarked
from refloat.resources.base import HookContext
from refloat.resources.share.manila import manila


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

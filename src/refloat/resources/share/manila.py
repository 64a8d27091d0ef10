"""The door to Manila: how shares and their snapshots are read, listed and removed.

Written from Manila's API reference (Shared File Systems API v2). Every request uses one microversion, the
oldest that has all that is needed: with 2.45 (Queens) access rules became resources with metadata.
"""

from __future__ import annotations

from typing import Any

from refloat.cloud import Cloud
from refloat.cloud.kinds import sdk_kind
from refloat.cloud.quota import absolute_limits

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

KINDS = (
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
        **_SHARES,
    ),
    sdk_kind("share_snapshot", busy=frozenset({"creating", "restoring"}), **_SHARES),
)

QUOTAS = (
    absolute_limits(
        "shared_file_system",
        {
            "shares": ("maxTotalShares", "totalSharesUsed"),
            "share_gigabytes": ("maxTotalShareGigabytes", "totalShareGigabytesUsed"),
        },
    ),
)

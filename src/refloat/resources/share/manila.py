"""The door to Manila: how shares and their snapshots are read, listed and removed.

Written from Manila's API reference (Shared File Systems API v2). Every request uses one microversion, the
oldest that has all that is needed: with 2.45 (Queens) access rules became resources with metadata.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from openstack.connection import Connection

from refloat.cloud.kinds import Kind
from refloat.cloud.quota import absolute_limits

MICROVERSION = "2.45"


class HasManila(Protocol):
    """A connection of openstacksdk, or Refloat's cloud, which makes sure that the service is there."""

    @property
    def shared_file_system(self) -> Any:
        """The proxy."""
        ...


def manila(cloud: HasManila) -> Any:
    """The proxy of the service, at the microversion that is used."""
    proxy = cloud.shared_file_system
    proxy.default_microversion = MICROVERSION
    return proxy


def _get_share(connection: Connection, identity: str) -> Any:
    return manila(connection).get_share(identity)


def _list_shares(connection: Connection) -> Iterable[Any]:
    shares: Iterable[Any] = manila(connection).shares(details=True)
    return shares


def _remove_share(connection: Connection, identity: str) -> None:
    manila(connection).delete_share(identity, ignore_missing=False)


def _get_snapshot(connection: Connection, identity: str) -> Any:
    return manila(connection).get_share_snapshot(identity)


def _list_snapshots(connection: Connection) -> Iterable[Any]:
    snapshots: Iterable[Any] = manila(connection).share_snapshots(details=True)
    return snapshots


def _remove_snapshot(connection: Connection, identity: str) -> None:
    manila(connection).delete_share_snapshot(identity, ignore_missing=False)


SHARE = Kind(
    "share",
    "shared_file_system",
    _get_share,
    _list_shares,
    _remove_share,
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
    waits_gone=True,
)
SNAPSHOT = Kind(
    "share_snapshot",
    "shared_file_system",
    _get_snapshot,
    _list_snapshots,
    _remove_snapshot,
    busy=frozenset({"creating", "restoring"}),
    waits_gone=True,
)

KINDS = (SHARE, SNAPSHOT)

QUOTAS = (
    absolute_limits(
        "shared_file_system",
        {
            "shares": ("maxTotalShares", "totalSharesUsed"),
            "share_gigabytes": ("maxTotalShareGigabytes", "totalShareGigabytesUsed"),
        },
    ),
)

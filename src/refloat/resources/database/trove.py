"""The door to Trove: how instances, backups, flavors and configuration groups are read, listed and removed.

Written from Trove's API reference (Database API v1.0). openstacksdk's proxy knows no backups, and leaves out
much of what an instance tells of itself: so these are requests through the proxy, and answers as Trove gives
them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

from openstack import exceptions as sdk_exceptions
from openstack.connection import Connection

from refloat.cloud.kinds import Kind

INSTANCE = "database_instance"
BACKUP = "database_backup"
FLAVOR = "database_flavor"
CONFIGURATION = "database_configuration"

ERROR_STATES = frozenset({"error", "failed", "crashed"})
"""The states of an instance that it does not come out of by itself."""

BUSY_STATES = frozenset(
    {"build", "building", "reboot", "resize", "backup", "promote", "eject", "upgrade", "detach"}
)

BACKUP_BUSY_STATES = frozenset({"new", "building", "saving"})

_TIMES_OUT = {"DELETE_FAILED": "error_deleting"}
"""Trove's words for states for which waiting has a word of its own."""


class HasTrove(Protocol):
    """A connection of openstacksdk, or Refloat's cloud, which makes sure that the service is there."""

    @property
    def database(self) -> Any:
        """The proxy."""
        ...


class TroveThing(SimpleNamespace):
    """What Trove says of one thing, item by item."""

    id: str
    name: str
    status: str

    def get(self, item: str) -> Any:
        """One item; None when Trove does not tell it."""
        return getattr(self, item, None)


def thing(data: Mapping[str, Any]) -> TroveThing:
    """What Trove answered."""
    status = str(data.get("status") or "")
    return TroveThing(**{"name": "", **data, "status": _TIMES_OUT.get(status, status)})


def get(cloud: HasTrove, path: str, key: str) -> Any:
    """One answer's item. :raises NotFoundException: there is no such thing."""
    answer = cloud.database.get(path)
    sdk_exceptions.raise_from_response(answer)
    return answer.json()[key]


def post(cloud: HasTrove, path: str, body: Mapping[str, Any]) -> Any:
    """The answer to a request to create something."""
    answer = cloud.database.post(path, json=body)
    sdk_exceptions.raise_from_response(answer)
    return answer.json()


def pages(cloud: HasTrove, path: str, key: str) -> Iterator[TroveThing]:
    """A whole list, page by page."""
    query: dict[str, str] = {}
    while True:
        answer = cloud.database.get(path, params=query)
        sdk_exceptions.raise_from_response(answer)
        body = answer.json()
        yield from (thing(item) for item in body[key])
        marker = _next(body.get("links") or ())
        if not marker or marker == query.get("marker"):
            return
        query["marker"] = marker


def _next(links: Any) -> str:
    for link in links:
        if link.get("rel") == "next":
            return parse_qs(urlsplit(str(link["href"])).query).get("marker", [""])[0]
    return ""


def _kind(name: str, many: str, one: str, busy: frozenset[str] = frozenset()) -> Kind:
    def read(connection: Connection, identity: str) -> TroveThing:
        return thing(get(connection, f"/{many}/{identity}", one))

    def list_all(connection: Connection) -> Iterator[TroveThing]:
        return pages(connection, f"/{many}", many)

    def remove(connection: Connection, identity: str) -> None:
        sdk_exceptions.raise_from_response(connection.database.delete(f"/{many}/{identity}"))

    return Kind(name, "database", read, list_all, remove, busy, waits_gone=True)


KINDS = (
    _kind(INSTANCE, "instances", "instance", BUSY_STATES),
    _kind(BACKUP, "backups", "backup", BACKUP_BUSY_STATES),
    _kind(FLAVOR, "flavors", "flavor"),
    _kind(CONFIGURATION, "configurations", "configuration"),
)

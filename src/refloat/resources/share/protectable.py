"""Finds shares. In a cloud without Manila there are none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

from refloat.cloud.kinds import status_of_thing
from refloat.errors import Conflict, InvalidInput
from refloat.graph import Resource
from refloat.resources.base import PROJECT, Protectable

TYPE = "OS::Manila::Share"

GOING = frozenset({"deleting", "deleted", "error_deleting"})
"""Its owner has asked for it to be deleted: not part of a project any more."""


def is_broken(status: str) -> bool:
    """Whether Manila will not come out of this state by itself: ``error``, ``extending_error``..."""
    return status.startswith("error") or status.endswith("error")


class ShareProtectable(Protectable):
    """The shares of one project."""

    type = TYPE
    parents = frozenset({PROJECT})

    def list(self) -> list[Resource]:
        """All shares but those in error or being deleted."""
        return [resource_of(share) for share in self._shares if not is_broken(status_of_thing(share))]

    def show(self, identity: str) -> Resource:
        """One share by id."""
        share = self.cloud.get("share", identity)
        if status_of_thing(share) in GOING:
            raise unusable(resource_of(share), status_of_thing(share))
        return self._usable(share)

    def dependants(self, parent: Resource) -> Iterable[Resource]:
        """All shares of a project."""
        return [self._usable(share) for share in self._shares]

    def absence(self) -> str:
        """That the cloud has no Manila."""
        return "" if self.cloud.has("shared_file_system") else "This cloud has no shared file system service."

    def select(self, selector: str) -> Sequence[Resource]:
        """The shares with a metadata item ``metadata:KEY=VALUE``."""
        kind, _, wanted = selector.partition(":")
        key, equals, value = wanted.partition("=")
        if kind != "metadata" or not equals:
            raise InvalidInput(
                f"shares cannot be chosen by '{selector}'",
                advice="Shares have no tags; use metadata:KEY=VALUE",
            )
        return [self._usable(share) for share in self._shares if (share.metadata or {}).get(key) == value]

    @cached_property
    def _shares(self) -> Sequence[Any]:
        if not self.cloud.has("shared_file_system"):
            return ()
        return [share for share in self.cloud.list("share") if status_of_thing(share) not in GOING]

    def _usable(self, share: Any) -> Resource:
        resource, status = resource_of(share), status_of_thing(share)
        if is_broken(status):
            raise unusable(resource, status)
        return resource


def resource_of(share: Any) -> Resource:
    """The node of a share."""
    return Resource(
        TYPE, str(share.id), share.name or "", {"availability_zone": share.availability_zone or ""}
    )


def unusable(resource: Resource, status: str) -> Conflict:
    """What is to be said of a share in a state in which it cannot be protected."""
    return Conflict(
        "the share cannot be protected",
        resource=str(resource),
        reason=f"its status is '{status}'",
        advice="Repair or delete the share, or leave it out",
    )

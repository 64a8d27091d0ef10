"""Finds volumes. One listing serves a whole project, with all of its servers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from refloat.cloud.kinds import status_of_thing
from refloat.cloud.marker import METADATA_KEY
from refloat.errors import Conflict, InvalidInput
from refloat.graph import Resource
from refloat.resources.base import PROJECT, Protectable

TYPE = "OS::Cinder::Volume"
SERVER = "OS::Nova::Server"
POD = "OS::Kubernetes::Pod"

GOING = frozenset({"deleting", "deleted", "error_deleting"})
"""Its owner has asked for it to be deleted: not part of a project any more."""

STEADY = frozenset({"available", "in-use"})
"""The states in which Cinder makes a snapshot or a backup."""


COPY = "temporary-volume"
"""The role of a volume that an operation makes only to read another one."""


def is_temporary(volume: Any) -> bool:
    """Whether it is such a volume, of some operation of Refloat's that is running now."""
    return str((volume.metadata or {}).get(METADATA_KEY, "")).endswith(f":{COPY}")


def is_broken(status: str) -> bool:
    """Whether Cinder will not come out of this state by itself."""
    return status.startswith("error")


class VolumeProtectable(Protectable):
    """The volumes of one project."""

    type = TYPE
    parents = frozenset({SERVER, POD, PROJECT})

    def list(self) -> list[Resource]:
        """All volumes but those in error or being deleted."""
        return [
            resource_of(volume)
            for volume in self._volumes
            if status_of_thing(volume) not in GOING and not is_broken(status_of_thing(volume))
        ]

    def show(self, identity: str) -> Resource:
        """One volume by id."""
        volume = self.cloud.get("volume", identity)
        return self._usable(volume)

    def dependants(self, parent: Resource) -> Iterable[Resource]:
        """All volumes of a project; those attached to a server, its boot volume too; those of a pod."""
        if parent.type == PROJECT:
            return [self._usable(v) for v in self._volumes if status_of_thing(v) not in GOING]
        if parent.type == POD:
            wanted = parent.extra["volumes"]
            return [self._usable(volume) for volume in self._volumes if volume.id in wanted] if wanted else []
        return [self._usable(volume) for volume in self._by_server.get(parent.id, ())]

    def select(self, selector: str) -> Sequence[Resource]:
        """The volumes with a metadata item ``metadata:KEY=VALUE``."""
        kind, _, wanted = selector.partition(":")
        key, equals, value = wanted.partition("=")
        if kind != "metadata" or not equals:
            raise InvalidInput(
                f"volumes cannot be chosen by '{selector}'",
                advice="Volumes have no tags; use metadata:KEY=VALUE",
            )
        return [self._usable(v) for v in self._volumes if (v.metadata or {}).get(key) == value]

    @cached_property
    def _volumes(self) -> Sequence[Any]:
        # Volumes that Cinder makes for itself while it works count for no quota.
        return [v for v in self.cloud.list("volume") if v.consumes_quota is not False and not is_temporary(v)]

    @cached_property
    def _by_server(self) -> Mapping[str, Sequence[Any]]:
        found: dict[str, list[Any]] = {}
        for volume in self._volumes:
            for server_id in attached_to(volume):
                found.setdefault(server_id, []).append(volume)
        return found

    def _usable(self, volume: Any) -> Resource:
        resource = resource_of(volume)
        status = status_of_thing(volume)
        if is_broken(status) or status in GOING:
            raise Conflict(
                "the volume cannot be protected",
                resource=str(resource),
                reason=f"its status is '{status}'",
                advice="Repair or delete the volume, or leave it out",
            )
        return resource


def resource_of(volume: Any) -> Resource:
    """The node of a volume."""
    return Resource(
        TYPE, str(volume.id), volume.name or "", {"availability_zone": volume.availability_zone or ""}
    )


def attached_to(volume: Any) -> Sequence[str]:
    """The ids of the servers that a volume is attached to."""
    found = (attachment.get("server_id") for attachment in volume.attachments or ())
    return list(dict.fromkeys(str(server_id) for server_id in found if server_id))

"""Finds volumes. One listing serves a whole project, with all of its servers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from refloat.cloud.marker import METADATA_KEY
from refloat.errors import RefloatError
from refloat.graph import Resource
from refloat.resources.listed import ListedProtectable

TYPE = "OS::Cinder::Volume"
SERVER = "OS::Nova::Server"
POD = "OS::Kubernetes::Pod"

STEADY = frozenset({"available", "in-use"})
"""The states in which Cinder makes a snapshot or a backup."""

WAITS_FOR_SOMEBODY = frozenset({"awaiting-transfer", "maintenance", "reserved"})
"""States that Cinder does not end by itself: somebody accepts it, or unshelves the server that it is for."""

COPY = "temporary-volume"
"""The role of a volume that an operation makes only to read another one."""


def is_temporary(volume: Any) -> bool:
    """Whether it is such a volume, of some operation of Refloat's that is running now."""
    return str((volume.metadata or {}).get(METADATA_KEY, "")).endswith(f":{COPY}")


class VolumeProtectable(ListedProtectable):
    """The volumes of one project."""

    kind = noun = "volume"

    @classmethod
    def is_broken(cls, state: str) -> bool:
        return state.startswith("error")

    def problem(self, thing: Any) -> RefloatError | None:
        if self.state(thing) in WAITS_FOR_SOMEBODY:
            return self.unusable(self.node(thing), thing)
        return super().problem(thing)

    def needed_by(self, parent: Resource) -> Iterable[str]:
        """Those attached to a server, its boot volume too; those of a pod."""
        if parent.type == POD:
            wanted = parent.extra["volumes"]
            return [identity for identity in self.by_id if identity in wanted] if wanted else ()
        return self._of_server.get(parent.id, ())

    def node(self, thing: Any) -> Resource:
        zone = {"availability_zone": thing.availability_zone or ""}
        return Resource(TYPE, str(thing.id), thing.name or "", zone)

    @cached_property
    def everything(self) -> Sequence[Any]:
        """Without what Cinder makes for itself while it works, which counts for no quota."""
        return [v for v in self.cloud.list("volume") if v.consumes_quota is not False and not is_temporary(v)]

    @cached_property
    def _of_server(self) -> Mapping[str, Sequence[str]]:
        found: dict[str, list[str]] = {}
        for volume in self.everything:
            for server_id in attached_to(volume):
                found.setdefault(server_id, []).append(str(volume.id))
        return found


def attached_to(volume: Any) -> Sequence[str]:
    """The ids of the servers that a volume is attached to."""
    found = (attachment.get("server_id") for attachment in volume.attachments or ())
    return list(dict.fromkeys(str(server_id) for server_id in found if server_id))

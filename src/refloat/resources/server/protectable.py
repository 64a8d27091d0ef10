"""Finds servers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from refloat.errors import Conflict, Gone, RefloatError
from refloat.graph import LEFT_OUT, Graph, Resource
from refloat.resources.listed import ListedProtectable
from refloat.resources.server.order import device_rank

TYPE = "OS::Nova::Server"
VOLUME = "OS::Cinder::Volume"

GONE = frozenset({"DELETED", "SOFT_DELETED"})
"""As good as not there."""

UNFIT = frozenset({"ERROR", "UNKNOWN", "RESCUE", "BUILD", "REBUILD", "RESIZE", "REVERT_RESIZE"})
"""Nothing sensible can be read from a server in these states: its disks may be missing or changing."""


class ServerProtectable(ListedProtectable):
    """The servers of the project.

    The ``extra`` of a server says what other kinds look for: ``key_name`` and ``user_id``.
    """

    @classmethod
    def is_going(cls, state: str) -> bool:
        return state.upper() in GONE

    def problem(self, thing: Any) -> Conflict | Gone | None:
        return unfit(thing)

    def unfit(self, resource: Resource, graph: Graph) -> RefloatError | None:
        """Also when Nova and Cinder do not agree on its volumes: it could not be restored without them."""
        if problem := super().unfit(resource, graph):
            return problem
        server = self._shown.get(resource.id) or self.by_id.get(resource.id)
        known = {volume.id for volume in graph.children(resource.key, VOLUME)}
        known |= set(resource.extra.get(LEFT_OUT, ()))
        attached = [str(item["id"]) for item in getattr(server, "attached_volumes", None) or ()]
        lacking = [identity for identity in attached if identity not in known]
        if not lacking:
            return None
        shelved = "; a shelved server's volumes are only reserved for it: unshelve it"
        return Conflict(
            "the server cannot be protected",
            resource=str(resource),
            reason=f"Nova says that it has the volume {', '.join(lacking)}, and Cinder does not"
            + (shelved if str(getattr(server, "status", "")).startswith("SHELVED") else ""),
        )

    def spares(self, resource: Resource, needed: Resource) -> bool:
        """A volume that is not the disk that it boots from."""
        if needed.type != VOLUME:
            return False
        ranks = {
            str(volume.id): device_rank(item.get("device"))
            for volume in self._volumes
            for item in volume.attachments or ()
            if item.get("server_id") == resource.id
        }
        server = self._shown.get(resource.id) or self.by_id.get(resource.id)
        if server is None or needed.id not in ranks:
            return False
        rank = ranks[needed.id]
        return rank != device_rank("vda") and bool(server.image or rank != min(ranks.values()))

    @cached_property
    def _volumes(self) -> Sequence[Any]:
        return self.cloud.list("volume")

    def node(self, thing: Any) -> Resource:
        extra = {"key_name": thing.key_name or "", "user_id": thing.user_id}
        return Resource(TYPE, thing.id, thing.name, extra)


def unfit(server: Any) -> Conflict | Gone | None:
    """Why a server cannot be protected, if so: it is deleted, or in a state that does not allow it."""
    name = f"{TYPE} {server.name} ({server.id})"
    if server.status in GONE:
        return Gone("the server is deleted", resource=name)
    if server.status in UNFIT:
        return Conflict(
            f"a server in state {server.status} cannot be protected",
            resource=name,
            reason=(server.fault or {}).get("message", ""),
            advice="Repair or delete it, or leave it out",
        )
    return None

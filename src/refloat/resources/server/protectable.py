"""Finds servers."""

from __future__ import annotations

from typing import Any

from refloat.errors import Conflict, NotFound
from refloat.graph import Resource
from refloat.resources.listed import ListedProtectable

TYPE = "OS::Nova::Server"

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

    def problem(self, thing: Any) -> Conflict | NotFound | None:
        return unfit(thing)

    def node(self, thing: Any) -> Resource:
        extra = {"key_name": thing.key_name or "", "user_id": thing.user_id}
        return Resource(TYPE, thing.id, thing.name, extra)


def unfit(server: Any) -> Conflict | NotFound | None:
    """Why a server cannot be protected, if so: it is deleted, or in a state that does not allow it."""
    name = f"{TYPE} {server.name} ({server.id})"
    if server.status in GONE:
        return NotFound("the server is deleted", resource=name)
    if server.status in UNFIT:
        return Conflict(
            f"a server in state {server.status} cannot be protected",
            resource=name,
            reason=(server.fault or {}).get("message", ""),
            advice="Repair or delete it, or leave it out",
        )
    return None

"""Finds key pairs. Their names are their ids, unique for one user."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from refloat.graph import Resource
from refloat.resources.base import PROJECT, Protectable

TYPE = "OS::Nova::KeyPair"
_SERVER = "OS::Nova::Server"


class KeypairProtectable(Protectable):
    """The key pairs of the current user."""

    type = TYPE
    parents = frozenset({_SERVER, PROJECT})

    def list(self) -> list[Resource]:
        """All key pairs of the user."""
        return [Resource(TYPE, name, name) for name in self._names]

    def show(self, identity: str) -> Resource:
        """One key pair by name."""
        name = str(self.cloud.get("keypair", identity).name)
        return Resource(TYPE, name, name)

    def dependants(self, parent: Resource) -> Iterable[Resource]:
        """All of a user's for the project; for a server the one it was created with.

        A server's key pair that was deleted since, or that belongs to another user, cannot be read by
        anybody but an administrator; the server plugin says so.
        """
        if parent.type == PROJECT:
            return self.list()
        server = parent.extra if "key_name" in parent.extra else self._read(parent.id)
        name = server["key_name"]
        if not name or server["user_id"] != self.cloud.user_id or name not in self._names:
            return []
        return [Resource(TYPE, name, name)]

    def _read(self, server_id: str) -> dict[str, str]:
        server = self.cloud.get("server", server_id)
        return {"key_name": server.key_name or "", "user_id": server.user_id}

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(str(keypair.name) for keypair in self.cloud.list("keypair"))

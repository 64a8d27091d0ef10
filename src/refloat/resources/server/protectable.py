"""Finds servers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

from refloat.errors import Conflict, InvalidInput, NotFound
from refloat.graph import Resource
from refloat.resources.base import PROJECT, Protectable
from refloat.resources.server.states import GONE, UNFIT

TYPE = "OS::Nova::Server"


class ServerProtectable(Protectable):
    """The servers of the project.

    The ``extra`` of a server says what other kinds look for: ``key_name`` and ``user_id``.
    """

    type = TYPE
    parents = frozenset({PROJECT})

    def list(self) -> list[Resource]:
        """All servers in a state that can be protected."""
        return [_resource(server) for server in self._servers if server.status not in UNFIT]

    def show(self, identity: str) -> Resource:
        """One server by id."""
        server = self.cloud.get("server", identity)
        check_fit(server)
        return _resource(server)

    def dependants(self, parent: Resource) -> Iterable[Resource]:
        """All servers of the project; one that cannot be protected is not left out but is an error."""
        for server in self._servers:
            check_fit(server)
        return [_resource(server) for server in self._servers]

    def select(self, selector: str) -> Sequence[Resource]:
        """Servers by ``tag:NAME`` or ``metadata:KEY=VALUE``."""
        kind, _, wanted = selector.partition(":")
        key, equals, value = wanted.partition("=")
        if kind == "tag" and wanted:
            found = [server for server in self._servers if wanted in (server.tags or ())]
        elif kind == "metadata" and key and equals:
            found = [server for server in self._servers if (server.metadata or {}).get(key) == value]
        else:
            raise InvalidInput(
                f"servers cannot be chosen by '{selector}'", advice="Use tag:NAME or metadata:KEY=VALUE"
            )
        for server in found:
            check_fit(server)
        return [_resource(server) for server in found]

    @cached_property
    def _servers(self) -> tuple[Any, ...]:
        return tuple(server for server in self.cloud.list("server") if server.status not in GONE)


def check_fit(server: Any) -> None:
    """:raises NotFound: the server is deleted. :raises Conflict: its state does not allow protecting it."""
    name = f"{TYPE} {server.name} ({server.id})"
    if server.status in GONE:
        raise NotFound("the server is deleted", resource=name)
    if server.status in UNFIT:
        fault = (server.fault or {}).get("message", "")
        raise Conflict(
            f"a server in state {server.status} cannot be protected",
            resource=name,
            reason=fault,
            advice="Repair or delete it, or leave it out",
        )


def _resource(server: Any) -> Resource:
    extra = {"key_name": server.key_name or "", "user_id": server.user_id}
    return Resource(TYPE, server.id, server.name, extra)

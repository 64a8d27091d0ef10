"""Finds the one project there is to protect: the one that the user is logged in to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from refloat.cloud import explained
from refloat.errors import NotFound
from refloat.graph import Resource
from refloat.resources.base import PROJECT, Protectable


class ProjectProtectable(Protectable):
    """The caller's own project; nobody else's can be seen, let alone protected."""

    type = PROJECT

    def list(self) -> list[Resource]:
        """The caller's own project."""
        return [self._own()]

    def show(self, identity: str) -> Resource:
        """The caller's own project, if that is its id."""
        if identity != self.cloud.project_id:
            raise NotFound(
                f"there is no project '{identity}' that you could protect",
                resource=f"{PROJECT} {identity}",
                advice=f"The project you are logged in to is {self.cloud.project_id}",
            )
        return self._own()

    def dependants(self, parent: Resource) -> Iterable[Resource]:
        """Nothing needs a project."""
        return ()

    def _own(self) -> Resource:
        identity = self.cloud.project_id
        with explained("read the name of one's own project"):
            session = self.cloud.connection.session
            auth: Any = session.auth
            name = auth.get_access(session).project_name
        return Resource(PROJECT, identity, str(name or ""))

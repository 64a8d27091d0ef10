"""One request, as handlers see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from refloat.api.deployment import Deployment
from refloat.cloud.authority import Caller
from refloat.errors import InvalidInput
from refloat.records.paging import Page


@dataclass(frozen=True)
class Request:
    """One request that is authenticated, allowed and of the right form.

    :param path: the parameters of the path.
    :param query: what the route's schema knows of the query, in the types of the schema.
    :param url: the request's URL without the query.
    """

    deployment: Deployment
    caller: Caller
    is_admin: bool
    path: Mapping[str, str]
    query: Mapping[str, Any]
    body: Mapping[str, Any]
    url: str
    raw_query: Mapping[str, str] = field(default_factory=dict)

    @property
    def project_id(self) -> str:
        return self.caller.project_id

    @property
    def scope(self) -> str | None:
        """The project in which things are found by their id: the caller's; None, for administrators: all."""
        return None if self.is_admin else self.caller.project_id

    @property
    def listed(self) -> str | None:
        """The project whose things are listed; None: those of all projects.

        Only administrators may look further than their own project; from others, wishing so changes nothing.
        """
        if not (self.is_admin and self.query.get("all_tenants")):
            return self.caller.project_id
        wanted = self.query.get("project_id")
        return str(wanted) if wanted else None

    def page(self) -> Page:
        """Which part of a list is wanted.

        :raises InvalidInput: it is said in a way that cannot be.
        """
        limit = min(self.query.get("limit", self.deployment.max_limit), self.deployment.max_limit)
        return Page(limit, self.query.get("marker", ""), self.query.get("offset", 0), self._sort())

    def _sort(self) -> list[tuple[str, str]]:
        query = self.query
        if "sort" in query:
            if "sort_key" in query or "sort_dir" in query:
                raise InvalidInput("sort goes without sort_key and sort_dir")
            pairs = [part.partition(":")[::2] for part in query["sort"].split(",")]
            keys = [(key.strip(), way.strip() or "desc") for key, way in pairs]
        else:
            keys = [(query.get("sort_key", "created_at"), query.get("sort_dir", "desc"))]
        for _key, way in keys:
            if way not in ("asc", "desc"):
                raise InvalidInput(f"cannot sort in the direction '{way}'")
        return keys

    def filters(self, *names: str) -> dict[str, Any]:
        """What the query says of these; None: nothing."""
        return {name: self.query.get(name) for name in names}

    def listing(
        self, name: str, found: Sequence[Any], view: Callable[[Any], dict[str, Any]]
    ) -> dict[str, Any]:
        """A page as clients expect it, with a link to the next when it is full."""
        answer: dict[str, Any] = {name: [view(item) for item in found]}
        if found and len(found) >= self.page().limit:
            query = urlencode({**self.raw_query, "marker": found[-1].id})
            answer[f"{name}_links"] = [{"rel": "next", "href": f"{self.url}?{query}"}]
        return answer

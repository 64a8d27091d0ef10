"""Kinds of things by plain REST requests, for services or resources that openstacksdk does not know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

from openstack.connection import Connection

from refloat.cloud.kinds import WORDS, Kind, request


class Thing(SimpleNamespace):
    """What a service says of one thing, item by item."""

    id: str
    name: str
    status: str

    def get(self, item: str) -> Any:
        return getattr(self, item, None)


def thing(data: Mapping[str, Any]) -> Thing:
    return Thing(**{"name": "", "status": "", **data})


def pages(proxy: Any, path: str, key: str) -> Iterator[Thing]:
    query: dict[str, str] = {}
    while True:
        body = request(proxy, "get", path, params=query)
        yield from (thing(item) for item in body[key])
        marker = _next(body.get("links") or body.get(f"{key}_links") or ())
        if not marker or marker == query.get("marker"):
            return
        query["marker"] = marker


def _next(links: Any) -> str:
    for link in links:
        if link.get("rel") == "next":
            return parse_qs(urlsplit(str(link["href"])).query).get("marker", [""])[0]
    return ""


def rest_kind(
    name: str, proxy: str, path: str, *, one: str = "", many: str = "", update: str = "put", **states: Any
) -> Kind:
    """A kind whose things are at ``PATH`` and ``PATH/ID``.

    :param name: Refloat's word for it.
    :param proxy: of the service.
    :param one: the key of one in bodies; empty: its name.
    :param many: the key of a list; empty: the last part of the path.
    :param update: the method that changes one.
    :param states: of :class:`Kind`: ``status``, ``busy``, ``waits_gone``...
    """
    one, many = one or name, many or path.rpartition("/")[2]

    def service(connection: Connection) -> Any:
        return getattr(connection, proxy)

    def make(connection: Connection, fields: Mapping[str, Any]) -> Thing:
        return thing(request(service(connection), "post", path, json={one: dict(fields)})[one])

    def change(connection: Connection, identity: str, fields: Mapping[str, Any]) -> None:
        request(service(connection), update, f"{path}/{identity}", json={one: dict(fields)})

    return Kind(
        name,
        proxy,
        get=lambda connection, identity: thing(
            request(service(connection), "get", f"{path}/{identity}")[one]
        ),
        list=lambda connection: pages(service(connection), path, many),
        remove=lambda connection, identity: request(service(connection), "delete", f"{path}/{identity}"),
        create=make,
        update=change,
        **{"ids": WORDS, **states},
    )

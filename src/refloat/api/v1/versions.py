"""Which versions of the API there are."""

from __future__ import annotations

from typing import Any

from refloat.api import schemas as s
from refloat.api.request import Request
from refloat.api.route import Route

SCHEMA = s.reply(id=s.STRING, status=s.STRING, links=s.array(s.reply(rel=s.STRING, href=s.STRING)))


def listing(request: Request) -> dict[str, Any]:
    """All versions."""
    return {"versions": [_version(request.url.rstrip("/") + "/v1/")]}


def show(request: Request) -> dict[str, Any]:
    """This version."""
    return {"version": _version(request.url.rstrip("/") + "/")}


def _version(url: str) -> dict[str, Any]:
    return {"id": "v1.0", "status": "CURRENT", "links": [{"rel": "self", "href": url}]}


ROUTES = (
    Route("GET", "/", listing, reply=s.reply(versions=s.array(SCHEMA)), status=300),
    Route("GET", "/v1", show, reply=s.wrapped("version", SCHEMA)),
)

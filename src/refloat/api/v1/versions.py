"""Which versions of the API there are, and what this one is."""

from __future__ import annotations

from typing import Any

from refloat.api.request import Request


def listing(request: Request) -> dict[str, Any]:
    """All versions."""
    return {"versions": [_version(request.url.rstrip("/") + "/v1/")]}


def show(request: Request) -> dict[str, Any]:
    """This version."""
    return {"version": _version(request.url.rstrip("/") + "/")}


def document(request: Request) -> dict[str, Any]:
    """The OpenAPI document."""
    from refloat.api.openapi import document as made

    return made()


def _version(url: str) -> dict[str, Any]:
    return {"id": "v1.0", "status": "CURRENT", "links": [{"rel": "self", "href": url}]}

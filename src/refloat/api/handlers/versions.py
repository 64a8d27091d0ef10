"""Which versions of the API there are, and what this one is."""

from __future__ import annotations

from typing import Any

from refloat.api.call import Call


def listing(call: Call) -> dict[str, Any]:
    """All versions."""
    return {"versions": [_version(call.url.rstrip("/") + "/v1/")]}


def show(call: Call) -> dict[str, Any]:
    """This version."""
    return {"version": _version(call.url.rstrip("/") + "/")}


def document(call: Call) -> dict[str, Any]:
    """The OpenAPI document."""
    from refloat.api.openapi import document as made

    return made()


def _version(url: str) -> dict[str, Any]:
    return {"id": "v1.0", "status": "CURRENT", "links": [{"rel": "self", "href": url}]}

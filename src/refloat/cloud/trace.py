"""Finding what an operation was creating when it was cut off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refloat.cloud.connection import Cloud
from refloat.cloud.marker import Marker


def trace(cloud: Cloud, kind: str, marker: Marker, clue: Mapping[str, Any]) -> str | None:
    """The id of the thing of a kind that carries the marker or fits the clue; None: there is none.

    :param clue: ``{"id": ...}``, ``{"name": ..., "known": [ids]}``, ``{"fields": {name: value},
        "known": [ids]}`` for what can neither be marked nor is named, or empty (look for the marker).
    """
    if "id" in clue:
        return str(clue["id"]) if cloud.find(kind, str(clue["id"])) is not None else None
    fields = {"name": clue["name"]} if "name" in clue else clue.get("fields")
    if fields:
        known = set(clue.get("known", ()))
        fits = [thing for thing in cloud.list(kind) if thing.id not in known and _has(thing, fields)]
    else:
        fits = [thing for thing in cloud.list(kind) if marker.on(thing)]
    return str(fits[0].id) if fits else None


def _has(thing: Any, fields: Mapping[str, Any]) -> bool:
    return all(getattr(thing, name) == value for name, value in fields.items())

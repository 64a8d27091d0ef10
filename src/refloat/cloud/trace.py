"""Finding what an operation was creating when it was cut off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refloat.cloud.connection import Cloud
from refloat.cloud.marker import Marker


def trace(cloud: Cloud, kind: str, marker: Marker, clue: Mapping[str, Any]) -> str | None:
    """The id of the thing of a kind that carries the marker or fits the clue; None: there is none.

    :param clue: ``{"id": ...}``, ``{"name": ..., "known": [ids]}`` or empty (look for the marker).
    """
    if "id" in clue:
        return str(clue["id"]) if cloud.find(kind, str(clue["id"])) is not None else None
    if "name" in clue:
        known = set(clue.get("known", ()))
        fits = [thing for thing in cloud.list(kind) if thing.name == clue["name"] and thing.id not in known]
    else:
        fits = [thing for thing in cloud.list(kind) if marker.on(thing)]
    return str(fits[0].id) if fits else None

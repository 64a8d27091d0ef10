"""Creating something once: finding what was being created when an operation, or an answer, was cut off."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from refloat.cloud.connection import Cloud
from refloat.cloud.errors import status_of
from refloat.cloud.marker import Marker
from refloat.cloud.retries import PAUSES, in_doubt, was_repeated
from refloat.errors import CloudError, RefloatError


def find_created(cloud: Cloud, kind: str, marker: Marker, clue: Mapping[str, Any]) -> str | None:
    """The id of the thing of a kind that carries the marker or fits the clue; None: there is none.

    :param clue: ``{"id": ...}``, ``{"name": ..., "known": [ids]}``, ``{"fields": {name: value},
        "known": [ids]}`` for what can neither be marked nor is named, or empty (look for the marker).
    """
    if "id" in clue:
        return str(clue["id"]) if cloud.find(kind, str(clue["id"])) is not None else None
    fields = {"name": clue["name"]} if "name" in clue else clue.get("fields")
    if fields:
        known = set(clue.get("known", ()))
        fits = [thing for thing in having(cloud, kind, fields) if thing.id not in known]
    else:
        fits = [thing for thing in cloud.list(kind) if marker.on(thing)]
    return str(fits[0].id) if fits else None


def having(cloud: Cloud, kind: str, fields: Mapping[str, Any]) -> list[Any]:
    """Those things of a kind that have these values."""
    return [t for t in cloud.list(kind) if all(getattr(t, k) == v for k, v in fields.items())]


LOOKS = (1.0, 3.0, 6.0)
"""Seconds between looks for something that a service did not say it created."""


def create_once(
    cloud: Cloud, kind: str, marker: Marker, clue: Mapping[str, Any], create: Callable[[Marker], Any]
) -> str:
    """Create something; returns its id. When no answer tells whether it was created, look, and only then
    create again.

    :param create: creates it with the marker, and returns it or its id.
    :param clue: as for :func:`find_created`.
    :raises CloudError: the service refuses or fails, again and again.
    """
    doubted = False
    for pause in (*PAUSES, None):
        try:
            thing = create(marker)
        except CloudError as exc:
            doubt = in_doubt(exc)
            doubted = doubted or doubt or was_repeated(exc)
            # A service that gave no answer may still be at it.
            for wait in (*([0.0] if doubted else ()), *(LOOKS if doubt and status_of(exc) is None else ())):
                time.sleep(wait)
                found = _look(cloud, kind, marker, clue)
                if found:
                    return found
            if pause is None or not doubt:
                raise
            time.sleep(pause)
        else:
            return thing if isinstance(thing, str) else str(thing.id)
    raise AssertionError("the last attempt raises or returns")


def _look(cloud: Cloud, kind: str, marker: Marker, clue: Mapping[str, Any]) -> str | None:
    try:
        return find_created(cloud, kind, marker, clue)
    except RefloatError:  # the first error is the one to tell
        return None

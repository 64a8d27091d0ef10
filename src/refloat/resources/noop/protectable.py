"""Made-up applications: ``tree-1000`` is one of a thousand resources, always the same one.

A tree has the shape of a real application: its root needs servers, each server has a few disks and
a network of its own, which the next server is on too. The ids tell everything, so nothing is kept
anywhere: ``tree-1000`` is the root and ``tree-1000-1`` to ``tree-1000-999`` are what it is made of.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from refloat.errors import NotFound
from refloat.graph import Resource
from refloat.resources.base import Protectable

TYPE = "Refloat::Noop"

TIER = 8
"""Resources of one server: itself, six disks and a network."""
LARGEST = 1000
_SPELLING = re.compile(r"tree[:-](?P<size>[1-9][0-9]{0,3})(?:-(?P<place>[1-9][0-9]{0,3}))?")


class NoopProtectable(Protectable):
    """Finds the parts of a made-up application; ``find("tree:1000")`` is its root."""

    type = TYPE
    parents = frozenset({TYPE})

    def list(self) -> list[Resource]:
        return []

    def show(self, identity: str) -> Resource:
        match = _SPELLING.fullmatch(identity)
        size, place = (int(part or 0) for part in match.groups()) if match else (0, 0)
        if match is None or place >= size or size > LARGEST:
            raise NotFound(
                f"there is no {TYPE} '{identity}'",
                advice=f"tree:{LARGEST} is the largest",
            )
        return _part(size, place)

    def dependants(self, parent: Resource) -> Iterable[Resource]:
        """What one part of a made-up application needs."""
        match = _SPELLING.fullmatch(parent.id)
        if match is None:
            return []
        size, place = (int(part or 0) for part in match.groups())
        if place == 0:
            return [_part(size, server) for server in range(1, size, TIER)]
        if place % TIER != 1:
            return []
        own = [_part(size, other) for other in range(place + 1, min(place + TIER, size))]
        shared = [_part(size, place - 1)] if place > 1 else []
        return own + shared


def _part(size: int, place: int) -> Resource:
    if place == 0:
        return Resource(TYPE, f"tree-{size}", f"tree:{size}")
    role = {1: "server", 0: "network"}.get(place % TIER, "disk")
    return Resource(TYPE, f"tree-{size}-{place}", f"{role}-{place}")

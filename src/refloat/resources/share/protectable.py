"""Finds shares. In a cloud without Manila there are none."""

from __future__ import annotations

from typing import Any

from refloat.graph import Resource
from refloat.resources.base import PROJECT
from refloat.resources.listed import ListedProtectable

TYPE = "OS::Manila::Share"


class ShareProtectable(ListedProtectable):
    """The shares of one project."""

    type = TYPE
    parents = frozenset({PROJECT})
    kind = noun = "share"
    selectors = ("metadata",)

    @classmethod
    def is_broken(cls, state: str) -> bool:
        return state.startswith("error") or state.endswith("error")

    def node(self, thing: Any) -> Resource:
        return Resource(
            TYPE, str(thing.id), thing.name or "", {"availability_zone": thing.availability_zone or ""}
        )

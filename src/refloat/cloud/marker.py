"""Marks on what an operation creates, so that a repeated step finds it instead of creating a second one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

METADATA_KEY = "refloat"


@dataclass(frozen=True, slots=True)
class Marker:
    """Which operation created a thing, for which source and in which role.

    Services differ in what can be marked at creation: use ``text`` as a description or tag, and
    ``metadata`` where there is metadata. What restores to the user's own eyes loses its mark
    again before its hook ends.
    """

    operation_id: str
    source: str
    """Id of the resource it was made for."""
    role: str
    """What it is for that resource: ``volume``, ``port-0``..."""

    @property
    def text(self) -> str:
        return f"refloat:{self.operation_id}:{self.source}:{self.role}"[:255]

    @property
    def metadata(self) -> dict[str, str]:
        return {METADATA_KEY: self.text}

    def on(self, thing: Any) -> bool:
        """Whether a thing carries this mark, in metadata, description or tags."""
        metadata = getattr(thing, "metadata", None) or {}
        if isinstance(metadata, dict) and metadata.get(METADATA_KEY) == self.text:
            return True
        if getattr(thing, "description", None) == self.text:
            return True
        return self.text in (getattr(thing, "tags", None) or [])


def unmarked(metadata: dict[str, Any] | None) -> dict[str, Any]:
    return {k: v for k, v in (metadata or {}).items() if k != METADATA_KEY}

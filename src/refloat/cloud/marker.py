"""Marks on what an operation creates, so that a repeated step finds it instead of creating a second one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

METADATA_KEY = "refloat"


@dataclass(frozen=True, slots=True)
class Marker:
    """Which operation created a thing, for which source and in which role.

    Services differ in what can be marked at creation: use ``text`` as a description or tag, and
    ``metadata`` where there is metadata. What is restored loses its mark when the whole operation has
    succeeded (:meth:`refloat.resources.creations.Creations.hand_over`).
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
        """Whether a thing carries this mark."""
        return self.text in _marks(thing)


def is_marked_by(thing: Any, operation_id: str) -> bool:
    """Whether a thing carries a mark of an operation."""
    return any(mark.startswith(f"refloat:{operation_id}:") for mark in _marks(thing))


def _marks(thing: Any) -> list[str]:
    """All that may be a mark: in metadata, description or tags."""
    metadata = getattr(thing, "metadata", None)
    told = [metadata.get(METADATA_KEY)] if isinstance(metadata, dict) else []
    return [
        str(mark)
        for mark in (*told, getattr(thing, "description", None), *(getattr(thing, "tags", None) or ()))
        if mark
    ]


def unmarked(metadata: dict[str, Any] | None) -> dict[str, Any]:
    return {k: v for k, v in (metadata or {}).items() if k != METADATA_KEY}

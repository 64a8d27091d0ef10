"""Rollback: what a failed or cancelled operation has created in the cloud is removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from refloat.cloud import Cloud, Marker
from refloat.cloud.create_once import find_created
from refloat.cloud.removal import LITTLE_PATIENCE, removal
from refloat.engine.program import Body
from refloat.errors import RefloatError
from refloat.graph import ResourceKey
from refloat.resources.context import CreationJournal


class CreatedThing(Protocol):
    """A line of the journal; ``id`` is empty while the thing is only intended."""

    @property
    def source(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def clue(self) -> Mapping[str, Any]: ...


class RollbackJournal(CreationJournal, Protocol):
    """What an operation has created."""

    def entries(self) -> Sequence[CreatedThing]:
        """All that is written down, oldest first."""
        ...


def rollback(cloud: Cloud, operation_id: str, journal: RollbackJournal) -> Body:
    """Remove all that an operation created, newest first; the rest too when one thing cannot be removed.

    :raises RefloatError: something is left behind.
    """
    failures: list[RefloatError] = []
    removed = 0
    for entry in reversed(journal.entries()):
        try:
            marker = Marker(operation_id, ResourceKey.parse(entry.source).id, entry.role)
            identity = entry.id or find_created(cloud, entry.kind, marker, entry.clue)
            if identity:
                patience = LITTLE_PATIENCE if failures else None
                removed += yield from removal(cloud, entry.kind, identity, patience)
        except RefloatError as exc:
            # Go on: one thing that cannot be removed must not keep the others there.
            exc.left_behind = f"{entry.kind.replace('_', ' ')} {entry.id or entry.role}"
            failures.append(exc)
            continue
        journal.forget(entry.source, entry.role)
    if failures:
        left = ", ".join(error.left_behind for error in failures)
        first = failures[0]
        raise RefloatError(
            "could not remove everything that was created",
            reason=str(first.reason or first),
            request_id=first.request_id,
            left_behind=left,
            advice=f"Try again with: refloat operation cancel {operation_id}",
        )
    return {"removed": removed}

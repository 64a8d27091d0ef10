"""Rollback: what a failed or cancelled operation has created in the cloud, and is still its own, goes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from refloat.cloud import Cloud, Marker
from refloat.cloud.create_once import find_created
from refloat.cloud.removal import LITTLE_PATIENCE, NotOurs, removal
from refloat.engine.program import Body
from refloat.errors import LeaseLost, RefloatError
from refloat.graph import ResourceKey
from refloat.resources.creations import BASELINE, REPLACED, STORED, Creation, CreationJournal, Creations


def _kept_nowhere(entry: Creation) -> None:
    raise RefloatError("nothing is known of where it is kept", resource=entry.source)


def rollback(
    cloud: Cloud,
    operation_id: str,
    journal: CreationJournal,
    forget: Callable[[Creation], None] = _kept_nowhere,
) -> Body:
    """Remove all that an operation created, newest first; the rest too when one thing cannot be removed.

    What carries its mark no longer, somebody has taken over: that stays, and is named. ``undone`` in the
    result tells what was removed.

    :param forget: removes a baseline.
    :raises RefloatError: something is left behind.
    """
    creations = Creations(cloud, operation_id, journal)
    failures: list[RefloatError] = []
    removed: list[dict[str, str]] = []
    for entry in reversed(journal.entries()):
        if entry.kind in (REPLACED, STORED):
            continue
        try:
            if entry.kind == BASELINE:
                forget(entry)
                journal.forget(entry.source, entry.role)
                removed.append({"kind": entry.kind, "id": entry.id, "for": entry.source, "role": entry.role})
                continue
            marker = Marker(operation_id, ResourceKey.parse(entry.source).id, entry.role)
            identity = entry.id or find_created(cloud, entry.kind, marker, entry.clue)
            if identity:
                patience = LITTLE_PATIENCE if failures else None
                ours = partial(creations.is_ours, entry, identity)
                if (yield from removal(cloud, entry.kind, identity, patience, ours)):
                    of = {"for": entry.source, "role": entry.role}
                    removed.append({"kind": entry.kind, "id": identity, **of})
        except LeaseLost:
            raise
        except RefloatError as exc:
            # Go on: one thing that cannot be removed must not keep the others there.
            why = " (not this operation's any more)" if isinstance(exc, NotOurs) else ""
            exc.left_behind = f"{entry.kind.replace('_', ' ')} {entry.id or entry.role}{why}"
            failures.append(exc)
            continue
        journal.forget(entry.source, entry.role)
    if failures:
        left = ", ".join(error.left_behind for error in failures)
        # Of what could not be removed there is more to say than of what must not be.
        first = min(failures, key=lambda error: isinstance(error, NotOurs))
        raise RefloatError(
            "could not remove everything that was created",
            reason=str(first.reason or first),
            request_id=first.request_id,
            left_behind=left,
            advice="What is in use, leave; delete the rest yourself"
            if isinstance(first, NotOurs)
            else f"Try again with: refloat operation cancel {operation_id}",
        )
    return {"undone": removed}

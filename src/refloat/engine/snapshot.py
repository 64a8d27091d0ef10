"""An operation as any process can see it, whoever runs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from refloat.engine.history import History
from refloat.engine.lease import Request, Row, owner_of
from refloat.engine.program import Ended, Event, Json, Outcome, State
from refloat.errors import Cancelled


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How far an operation is. Progress is up to about a second old."""

    operation_id: str
    kind: str
    on_failure: Literal["undo", "park"]
    state: State
    interrupted: bool
    """It is ``running``, but nobody runs it: it can be resumed or cancelled."""
    requested: Request
    """What its owner has been asked for and has not done yet."""
    owner: str
    """Where it runs, for people; empty when it does not."""
    attempt: int
    """1 and one more for every time it was resumed."""
    steps: int
    done: int
    failed: int
    skipped: int
    running: int
    active: tuple[Event, ...]
    """The latest of each of up to 100 steps that run or wait."""
    bytes_done: int
    bytes_total: int
    since: float
    """When it began, in seconds since 1970."""
    updated_at: float
    ended: Ended | None
    """None while it is ``queued`` or ``running``."""
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    """Of the steps that have ended so far."""


def snapshot(row: Row, history: History | None, *, alive: bool) -> Snapshot:
    """What *row* and *history* say of an operation."""
    shown = row.progress or {}
    finished = row.state not in ("queued", "running")
    owner = owner_of(row)
    active = tuple(_event(row.id, a) for a in shown.get("active", ())) if alive and not finished else ()
    return Snapshot(
        operation_id=row.id,
        kind=row.kind,
        on_failure=row.on_failure,
        state=row.state,
        interrupted=row.state == "running" and not alive,
        requested=row.requested,
        owner=owner.place if alive and owner else "",
        attempt=row.attempt,
        steps=shown.get("total", 0),
        done=shown.get("done", 0),
        failed=shown.get("failed", 0),
        skipped=shown.get("skipped", 0),
        running=0 if finished or not alive else shown.get("running", 0),
        active=active,
        bytes_done=shown.get("bytes_done", 0),
        bytes_total=shown.get("bytes_total", 0),
        since=row.since,
        updated_at=row.updated_at,
        ended=ended(row, history) if finished else None,
        outcomes=_outcomes(row, history),
    )


def ended(row: Row, history: History | None) -> Ended:
    return Ended(row.state, result=row.result, error=row.error, outcomes=_outcomes(row, history))


def _outcomes(row: Row, history: History | None) -> Mapping[str, Outcome]:
    if history is None:
        return {}
    outcomes = dict(history.outcomes)
    error = row.error or Cancelled("the operation was cancelled").to_json()
    for step, cause in (row.skipped or {}).items():
        known = history.outcomes.get(cause)
        outcomes[step] = Outcome("skipped", error=known.error if known and known.error else error)
    return outcomes


def _event(operation_id: str, active: Mapping[str, Json]) -> Event:
    return Event(
        operation_id,
        active["step"],
        "waiting" if active["state"] == "waiting" else ("progress" if active["total"] else "started"),
        active["text"],
        active["done"],
        active["total"],
    )

"""How an operation is: in a word, how far, what runs now, what has become of each resource. Pure.

Computed from the operation's record, the engine's snapshot and what the engine has recorded of its steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from refloat.engine.history import History
from refloat.engine.program import Outcome
from refloat.engine.snapshot import Snapshot
from refloat.errors import cause
from refloat.operations.compile import step_of
from refloat.records.journal import JournalItem
from refloat.records.operations import COMMAND, KINDS, OPEN, SERVICE, Operation
from refloat.resources.creations import STORED

_COUNTS = ("steps", "done", "failed", "skipped", "running", "bytes_done", "bytes_total")
_STARTING = 60.0
"""Seconds in which a command begins an operation that it has written down, or never does."""
_ENOUGH_PART, _ENOUGH_SECONDS = 0.05, 5.0
"""Before so much is done, and so long has passed, nobody can tell how long it will take."""


def status_of(operation: Operation, snapshot: Snapshot | None) -> str:
    if operation.state not in OPEN:
        return operation.state
    requested = snapshot.requested if snapshot else operation.requested
    if operation.runner == COMMAND and snapshot is not None and snapshot.interrupted:
        return "interrupted"  # no worker heeds what its command was asked for
    asked = {"cancel": "cancelling", "park": "stopping", "resume": "starting"}.get(requested)
    if asked or operation.state == "parked":
        return asked or "parked"
    if snapshot is None or snapshot.state == "queued":
        return "starting" if operation.runner == SERVICE or _age(operation) < _STARTING else "interrupted"
    return "interrupted" if snapshot.interrupted else "running"


def _age(operation: Operation) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(operation.created_at)).total_seconds()


def progress_of(operation: Operation, snapshot: Snapshot | None) -> dict[str, Any]:
    """Steps and bytes, ``percent`` (None: not known) and ``eta`` (seconds to go; None: not known)."""
    found: dict[str, Any] = {name: getattr(snapshot, name) if snapshot else 0 for name in _COUNTS}
    part = 1.0 if operation.state == "succeeded" else _part(found)
    eta = None
    if snapshot and part and status_of(operation, snapshot) == "running":
        took = snapshot.updated_at - snapshot.since
        if part >= _ENOUGH_PART and took >= _ENOUGH_SECONDS:
            eta = round(took / part * (1 - part))
    return {**found, "percent": None if part is None else int(100 * part), "eta": eta}


def _part(found: Mapping[str, int]) -> float | None:
    """How much is done, between 0 and 1: of the steps, and of the bytes when they are known."""
    steps = found["done"] / found["steps"] if found["steps"] else None
    moved = min(1.0, found["bytes_done"] / found["bytes_total"]) if found["bytes_total"] else None
    known = [part for part in (steps, moved) if part is not None]
    return sum(known) / len(known) if known else None


def active_steps(snapshot: Snapshot | None) -> list[dict[str, Any]]:
    return [
        {
            "step": event.step,
            "resource": place_of(event.step)[0],
            "state": "waiting" if event.state == "waiting" else "running",
            "text": event.text,
            "bytes_done": event.done,
            "bytes_total": event.total,
        }
        for event in (snapshot.active if snapshot else ())
    ]


def resources_of(
    operation: Operation, snapshot: Snapshot | None, history: History | None
) -> list[dict[str, Any]]:
    """What has become of each resource: by the result, else by the steps so far."""
    if operation.kind not in KINDS:
        return []
    told = (operation.result or {}).get("resources")
    if told is not None:
        return [_line(item) for item in told]
    if history is None or snapshot is None:
        return []
    return list(_so_far(operation, snapshot, (history.prepared or {}).get("graph", {}).get("nodes", ())))


def _so_far(
    operation: Operation, snapshot: Snapshot, nodes: Iterable[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    by_resource: dict[str | None, list[Outcome]] = {}
    for step, outcome in snapshot.outcomes.items():
        by_resource.setdefault(place_of(step)[0], []).append(outcome)
    active = {place_of(event.step)[0] for event in snapshot.active}
    for node in nodes:
        key = f"{node['type']}#{node['id']}"
        outcomes = by_resource.get(key, [])
        restored = [item for outcome in outcomes for item in _restored(outcome, operation.state)]
        yield from map(_line, restored)
        if not restored:
            status, reason = _standing(operation, outcomes, key in active)
            yield _line({**node, "status": status, "reason": reason})


def restored_so_far(
    operation: Operation, outcomes: Mapping[str, Outcome], state: str
) -> list[dict[str, Any]]:
    """Every resource that a restore made or re-used, also of one that did not succeed.

    :param outcomes: of its steps.
    :param state: as :func:`status_of` says.
    """
    if operation.result and "resources" in operation.result:
        return [dict(item) for item in operation.result["resources"]]
    lines: list[dict[str, Any]] = []
    for step, outcome in outcomes.items():
        lines += _restored(outcome, state)
        if outcome.status == "failed":
            kind, _, identity = step.partition(" ")[2].partition("#")
            lines.append(
                {
                    "type": kind,
                    "source_id": identity,
                    "new_id": "",
                    "name": "",
                    "status": "failed",
                    "reason": cause(outcome.error or {}),
                }
            )
    return lines


def _restored(outcome: Outcome, state: str) -> list[dict[str, Any]]:
    """What a step has restored; of what was made and the operation is undone, that it was removed again."""
    if outcome.status != "done" or not isinstance(outcome.result, dict):
        return []
    undone = state in ("failed", "cancelled")
    return [
        {**item, "status": "removed"} if undone and item["status"] == "created" else dict(item)
        for item in outcome.result.get("restored", ())
    ]


def _standing(operation: Operation, outcomes: list[Outcome], active: bool) -> tuple[str, str | None]:
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    if failed:
        return "failed", cause(failed[0].error or {})
    if operation.state == "succeeded":
        return "done", None
    if operation.state in ("failed", "cancelled"):
        skipped = any(outcome.status == "skipped" for outcome in outcomes)
        return ("skipped" if skipped or not outcomes else "stopped"), None
    return ("running" if active or outcomes else "pending"), None


def _line(item: Mapping[str, Any]) -> dict[str, Any]:
    """A resource, of a result or of the steps so far."""
    return {
        "type": item["type"],
        "id": str(item.get("source_id") or item.get("id") or ""),
        "name": item.get("name"),
        "status": item.get("status", "done"),
        "reason": item.get("reason") or None,
        "new_id": item.get("new_id") or None,
    }


def created_lines(entries: Iterable[JournalItem]) -> list[dict[str, Any]]:
    """What an operation has created in the cloud, by its journal."""
    return [
        {"kind": item.kind, "id": item.id, "for": item.source, "role": item.role}
        for item in entries
        if item.kind != STORED
    ]


def place_of(step: str) -> tuple[str | None, str | None]:
    """The resource and the hook of a step; None: it is of none."""
    if "#" not in step:
        return None, None
    key, hook = step_of(step)
    return str(key), hook

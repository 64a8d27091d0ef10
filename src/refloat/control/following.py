"""Plans live on: where a restore has made anew what was gone, the project's plans name what was made.

In the transaction of the restore's end. What is still there keeps its place in a plan: a restore beside it
has made a second one. So does what nobody could say of whether it is still there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from refloat.database import now
from refloat.graph import ResourceKey
from refloat.records import successors
from refloat.records.plans import PlanRow

Line = Mapping[str, Any]


def follow(session: Session, project_id: str, result: Mapping[str, Any]) -> list[dict[str, str]]:
    """Have the plans of a project follow a restore; what is to be told of each resource that they name.

    :param result: the restore's: ``resources``, and of these ``gone`` and ``unknown`` as ``TYPE#ID``.
    """
    if not (result.get("gone") or result.get("unknown")):
        return []
    query = select(PlanRow).where(PlanRow.project_id == project_id).order_by(PlanRow.id).with_for_update()
    rows = [
        (row, {_key(entry) for entry in (*row.resources, *row.exclude)} | set(row.parameters))
        for row in session.scalars(query)
    ]
    # A restore makes thousands, of which plans name a few.
    wanted = {key for _row, named in rows for key in named}
    made = {
        key: line
        for line in result.get("resources", ())
        if (key := f"{line['type']}#{line['source_id']}") in wanted
        and line["new_id"]
        and line["new_id"] != line["source_id"]
    }
    moved = {key: made[key] for key in result.get("gone", ()) if key in made}
    unsure = {key: made[key] for key in result.get("unknown", ()) if key in made}
    told: list[dict[str, str]] = []
    for row, named in rows:
        told += [_told(row, moved[key], "") for key in moved if key in named]
        reason = "it is not known whether the original is gone: the plan still names it"
        told += [_told(row, unsure[key], reason) for key in unsure if key in named]
        if named.isdisjoint(moved):
            continue
        row.resources, row.exclude = _followed(row.resources, moved), _followed(row.exclude, moved)
        # What is said of the new one already counts.
        renamed = {_new_key(moved[key]): value for key, value in row.parameters.items() if key in moved}
        row.parameters = renamed | {key: value for key, value in row.parameters.items() if key not in moved}
        row.updated_at = now().replace(microsecond=0)
    return told


def remember(session: Session, project_id: str, region: str, result: Mapping[str, Any]) -> None:
    """Write down what a restore has made in the place of what was gone, so that the next one finds it.

    What is there only for the sake of something else, such as the image of a server's disk, is no successor.
    """
    gone, stays = set(result.get("gone", ())), {each["id"] for each in result.get("stays", ())}
    made = {
        ResourceKey(line["type"], line["source_id"]): str(line["new_id"])
        for line in result.get("resources", ())
        if f"{line['type']}#{line['source_id']}" in gone
        and line["status"] == "created"
        and line["new_id"] not in stays
    }
    parts = {ResourceKey.parse(text): new for text, new in result.get("parts", {}).items()}
    successors.remember(session, project_id, region, made | parts)


def _followed(entries: Iterable[Line], moved: Mapping[str, Line]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for entry in entries:
        line = moved.get(_key(entry))
        new = dict(entry)
        if line is not None:
            new |= {"id": line["new_id"], "name": line.get("name") or entry.get("name", "")}
        found.setdefault(_key(new), new)
    return list(found.values())


def _key(entry: Line) -> str:
    return f"{entry['type']}#{entry['id']}" if "id" in entry else f"{entry['type']} {entry['select']}"


def _new_key(line: Line) -> str:
    return f"{line['type']}#{line['new_id']}"


def _told(row: PlanRow, line: Line, reason: str) -> dict[str, str]:
    return {
        "plan_id": row.id,
        "plan_name": row.name,
        **{name: str(line.get(name) or "") for name in ("type", "name", "source_id", "new_id")},
        "reason": reason,
    }

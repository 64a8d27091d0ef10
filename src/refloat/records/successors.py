"""What restores have made in the place of originals that were gone: the newest for each original.

A project's are kept as long as the project is known: an old checkpoint may be restored again at any time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from importlib import import_module
from typing import Any, TypeAlias

from sqlalchemy import DateTime, String, or_, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from refloat.database import now
from refloat.graph import ResourceKey
from refloat.records.database import Database
from refloat.records.tables import Base


class SuccessorRow(Base):
    """What was made in the place of an original."""

    __tablename__ = "successors"

    project_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    region: Mapped[str] = mapped_column(String(255), primary_key=True)
    """Empty: none was named, so the project's cloud has but one."""
    type: Mapped[str] = mapped_column(String(255), primary_key=True)
    source_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    new_id: Mapped[str] = mapped_column(String(255))
    made_at: Mapped[datetime] = mapped_column(DateTime)


Chains: TypeAlias = Mapping[ResourceKey, Sequence[tuple[ResourceKey, datetime]]]
"""By originals, what was made in their place and when; then what was made in the place of that, ..."""


def of(database: Database, project_id: str, region: str = "") -> Chains:
    with database.session() as session:
        return chains(session, project_id, region)


def chains(session: Session, project_id: str, region: str = "") -> Chains:
    """Those of a project; with a region, those that are there, or of which no region is known."""
    query = select(SuccessorRow).where(SuccessorRow.project_id == project_id)
    if region:
        query = query.where(or_(SuccessorRow.region == region, SuccessorRow.region == ""))
    known = {
        ResourceKey(row.type, row.source_id): (ResourceKey(row.type, row.new_id), row.made_at)
        for row in session.scalars(query.order_by(SuccessorRow.made_at))
    }
    return {key: _chain(known, key) for key in known}


def _chain(
    known: Mapping[ResourceKey, tuple[ResourceKey, datetime]], key: ResourceKey
) -> list[tuple[ResourceKey, datetime]]:
    chain: list[tuple[ResourceKey, datetime]] = []
    seen = {key}
    while (following := known.get(key)) is not None and (key := following[0]) not in seen:
        chain.append(following)
        seen.add(key)
    return chain


def remember(session: Session, project_id: str, region: str, made: Mapping[ResourceKey, str]) -> None:
    """Write down the new ids by their originals. They take the place of whatever came after these, too: who
    restores a checkpoint of one in between finds the same."""
    found, moment = chains(session, project_id, region), now().replace(microsecond=0)
    newest: dict[ResourceKey, str] = {}
    for key, new_id in made.items():
        newest |= dict.fromkeys((key, *(each for each, _at in found.get(key, ()))), new_id)
    rows = [
        {"type": key.type, "source_id": key.id, "new_id": new_id}
        for key, new_id in sorted(newest.items())
        if key.id != new_id
    ]
    _write(session, [{**row, "project_id": project_id, "region": region, "made_at": moment} for row in rows])


def _write(session: Session, rows: Iterable[Mapping[str, Any]]) -> None:
    dialect = import_module(f"sqlalchemy.dialects.{session.get_bind().dialect.name}")
    statement = dialect.insert(SuccessorRow)
    update = {name: statement.excluded[name] for name in ("new_id", "made_at")}
    statement = statement.on_conflict_do_update(
        index_elements=SuccessorRow.__mapper__.primary_key, set_=update
    )
    for row in rows:
        session.execute(statement, row)

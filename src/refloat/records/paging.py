"""Reads a list page by page: sorted by any of its columns, from a marker on, in one query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session
from sqlalchemy.sql.base import ExecutableOption

from refloat.errors import InvalidInput, NotFound

Row = TypeVar("Row")

NEWEST_FIRST = (("created_at", "desc"),)


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list.

    :param limit: so many items at most.
    :param marker: the id of the last item of the page before; empty: from the beginning.
    :param offset: skip so many items.
    :param sort: names of columns and ``asc`` or ``desc``; the id decides between equals.
    """

    limit: int
    marker: str = ""
    offset: int = 0
    sort: Sequence[tuple[str, str]] = field(default=NEWEST_FIRST)


def fetch(
    session: Session,
    row: type[Row],
    conditions: Sequence[ColumnElement[bool]],
    page: Page,
    sortable: Sequence[str],
    options: Sequence[ExecutableOption] = (),
) -> list[Row]:
    """The rows of a page.

    :param conditions: which rows the list has.
    :param sortable: the columns that can be sorted by; none of them is ever NULL.
    :param options: how the rows are read.
    :raises InvalidInput: it cannot be sorted so.
    :raises NotFound: the marker is not in the list.
    """
    for name, _direction in page.sort:
        if name not in sortable:
            raise InvalidInput(f"cannot sort by '{name}'", advice=f"Sort by {', '.join(sortable)}")
    order = [*page.sort, ("id", page.sort[0][1] if page.sort else "desc")]
    columns: list[tuple[Any, bool]] = [(getattr(row, name), way == "asc") for name, way in order]
    query = select(row).where(*conditions).options(*options)
    if page.marker:
        identity = columns[-1][0]
        marker = session.scalars(query.where(identity == page.marker)).one_or_none()
        if marker is None:
            raise NotFound(f"there is no item '{page.marker}' to go on after")
        query = query.where(_after(columns, [getattr(marker, name) for name, _way in order]))
    query = query.order_by(*(column.asc() if up else column.desc() for column, up in columns))
    return list(session.scalars(query.offset(page.offset or None).limit(page.limit)))


def _after(columns: Sequence[tuple[Any, bool]], values: Sequence[Any]) -> ColumnElement[bool]:
    alternatives = []
    for place, (column, up) in enumerate(columns):
        beyond = column > values[place] if up else column < values[place]
        same = [earlier == values[n] for n, (earlier, _up) in enumerate(columns[:place])]
        alternatives.append(and_(*same, beyond))
    return or_(*alternatives)

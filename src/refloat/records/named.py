"""What a project has of one noun, found by id or by name: plans, triggers, scheduled operations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from refloat.errors import InvalidInput, NotFound
from refloat.records.database import Database
from refloat.records.paging import Page, fetch

SHORTEST = 8
"""So much of an id will do for all of it."""

Row = TypeVar("Row")
Thing = TypeVar("Thing")


class Named(ABC, Generic[Row, Thing]):
    """All of a project.

    :param project_id: None: of all projects; then nothing can be created.
    """

    table: ClassVar[type[Any]]
    noun: ClassVar[str]
    """As commands call it."""
    title: ClassVar[str]
    """As clients of the service know it."""
    sortable: ClassVar[Sequence[str]]

    def __init__(self, database: Database, project_id: str | None) -> None:
        self._database = database
        self._project_id = project_id

    @staticmethod
    @abstractmethod
    def made(row: Row) -> Thing:
        """What a row says."""

    def _scope(self) -> list[ColumnElement[bool]]:
        return [] if self._project_id is None else [self.table.project_id == self._project_id]

    def list(self) -> list[Thing]:
        query = select(self.table).where(*self._scope()).order_by(self.table.created_at, self.table.id)
        return self._database.read(query, self.made)

    def _page(
        self, page: Page, same: Iterable[tuple[Any, Any]], containing: Iterable[tuple[Any, str | None]]
    ) -> Sequence[Thing]:
        """A page of those that have the same, and contain, what is wanted; None: anything."""
        conditions = [
            *self._scope(),
            *(column == wanted for column, wanted in same if wanted is not None),
            *(column.contains(text, autoescape=True) for column, text in containing if text is not None),
        ]
        with self._database.session() as session:
            return [self.made(row) for row in fetch(session, self.table, conditions, page, self.sortable)]

    def get(self, identity: str) -> Thing:
        """One by its id. :raises NotFound: there is none."""
        with self._database.session() as session:
            return self.made(self.row(session, identity))

    def row(self, session: Session, identity: str) -> Row:
        """The row of one, in a session of the caller's. :raises NotFound: there is none."""
        query = select(self.table).where(self.table.id == identity, *self._scope())
        row: Row | None = session.scalars(query).one_or_none()
        if row is None:
            raise NotFound(f"{self.title} {identity} could not be found")
        return row

    def find(self, name_or_id: str) -> Thing:
        """One by id, or by name when just one has it.

        :raises NotFound: there is none.
        :raises InvalidInput: several have this name.
        """
        known: Sequence[Any] = self.list()
        found = [item for item in known if name_or_id in (item.id, item.name)]
        exact = [item for item in found if item.id == name_or_id]
        if not found and len(name_or_id) >= SHORTEST:
            found = [item for item in known if item.id.startswith(name_or_id)]
        if not found:
            raise NotFound(f"there is no {self.noun} '{name_or_id}'", advice=f"See: refloat {self.noun} list")
        if len(found) > 1 and not exact:
            ids = ", ".join(item.id for item in found)
            raise InvalidInput(
                f"{len(found)} {self.noun}s are called '{name_or_id}'", advice=f"Use an id: {ids}"
            )
        one: Thing = (exact or found)[0]
        return one

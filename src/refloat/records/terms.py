"""What the operator says, kept in the database: so that it holds for whoever uses that, a command too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from refloat.records.tables import TermRow


@dataclass(frozen=True, slots=True)
class OperatorTerms:
    """The operator's terms.

    :param minimum: no checkpoint that is younger is deleted, but by an administrator.
    :param destinations: who is told of which events: patterns by destination.
    :param approval: restore plans are run only when somebody else has approved them.
    """

    minimum: timedelta = timedelta()
    destinations: Mapping[str, Sequence[str]] = field(default_factory=dict)
    approval: bool = False

    @classmethod
    def read(cls, session: Session) -> OperatorTerms:
        """What the latest start of the service has written down; nothing where there never was one."""
        kept = {row.name: row.value for row in session.scalars(select(TermRow))}
        return cls(
            timedelta(seconds=kept.get("minimum_retention", 0)),
            dict(kept.get("destinations", {})),
            bool(kept.get("approval", False)),
        )

    def write(self, session: Session) -> None:
        if OperatorTerms.read(session) == self:
            return
        destinations = {name: list(patterns) for name, patterns in self.destinations.items()}
        session.merge(TermRow(name="minimum_retention", value=int(self.minimum.total_seconds())))
        session.merge(TermRow(name="destinations", value=destinations))
        session.merge(TermRow(name="approval", value=self.approval))

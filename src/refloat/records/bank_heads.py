"""The last that was seen of each bank's head: whoever remembers it recognises an older state of the bank."""

from __future__ import annotations

from sqlalchemy import select, update

from refloat.records.database import Database
from refloat.records.tables import BankRow


class BankHeads:
    """The anchors of the banks that are known here, see :class:`refloat.bank.Freshness`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, bank_id: str) -> str:
        """What is remembered; empty: nothing."""
        with self._database.session() as session:
            heads = session.scalars(select(BankRow.head).where(BankRow.bank_id == bank_id))
            return max((str(head["anchor"]) for head in heads if head), key=_number, default="")

    def remember(self, bank_id: str, anchor: str) -> None:
        """A later one replaces an earlier one, never the other way round."""
        known = self.of(bank_id)
        if not known or _number(known) < _number(anchor):
            with self._database.session() as session:
                rows = update(BankRow).where(BankRow.bank_id == bank_id)
                session.execute(rows.values(head={"anchor": anchor}))


def _number(anchor: str) -> int:
    return int(anchor.partition(":")[0])

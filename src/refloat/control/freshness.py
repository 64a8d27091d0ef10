"""Whether a bank is as its writers left it, by its heads and by the last one that the records remember."""

from __future__ import annotations

from refloat.bank import Bank, Freshness
from refloat.records.banks import BankHeads
from refloat.records.database import Database


def fresh(database: Database, bank: Bank) -> Freshness:
    """Look, and remember the head, unless the bank is older than it was: then that is said every time."""
    heads = BankHeads(database)
    found = bank.freshness(heads.of(bank.id))
    if found.anchor and not found.older:
        heads.remember(bank.id, found.anchor)
    return found

"""Holds in both places: the records, which answer at once, and the bank, beside what they protect.

Whoever can open the bank writes a hold there: the command at once, the service's workers when they look into
their banks. What only the bank knows, as after an older database was brought back, is taken up; what it lacks
is written again. Only a release ends a hold.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from itertools import groupby

from refloat.bank import Bank, BankHold
from refloat.errors import RefloatError
from refloat.records.database import Database
from refloat.records.holds import Hold, Holds

_LOG = logging.getLogger(__name__)


def reconcile(database: Database, bank: Bank, there: Collection[str]) -> None:
    """Let the records and a bank know each other's holds.

    :param there: the checkpoints that are in the bank.
    """
    holds = Holds(database)
    in_bank = _by_checkpoint(bank.holds.all())
    for hold in holds.all():
        if hold.checkpoint_id in there:
            try:
                _settle(holds, bank, hold, in_bank.pop(hold.checkpoint_id, []))
            except RefloatError as exc:
                _LOG.warning("the hold on checkpoint %s: %s", hold.checkpoint_id, exc)
    for checkpoint_id, found in in_bank.items():
        if checkpoint_id in there:
            _take_up(holds, bank, found)


def take_up(database: Database, bank: Bank, checkpoint_id: str) -> None:
    """Write down what only the bank knows of a checkpoint's hold."""
    found = [hold for hold in bank.holds.of(checkpoint_id) if not hold.until]
    if found and not any(hold.checkpoint_id == checkpoint_id for hold in Holds(database).all()):
        _take_up(Holds(database), bank, found)


def place(
    database: Database, bank: Bank, checkpoint_id: str, project_id: str, user_id: str, reason: str
) -> Hold:
    """Put a checkpoint on hold in both places.

    :raises Conflict: it is being deleted.
    :raises BankError: it cannot be written into the bank; then there is no new hold at all.
    """
    holds = Holds(database)
    before = holds.among([checkpoint_id])
    hold = holds.place(checkpoint_id, project_id, user_id, reason)
    try:
        _settle(holds, bank, hold, bank.holds.of(checkpoint_id))
    except RefloatError:
        if not before:
            holds.forget(checkpoint_id)
        raise
    return hold


def release(database: Database, bank: Bank, checkpoint_id: str) -> None:
    """End a hold in both places. :raises NotFound: there is none."""
    holds = Holds(database)
    take_up(database, bank, checkpoint_id)
    holds.release(checkpoint_id)
    for hold in holds.all():
        if hold.checkpoint_id == checkpoint_id:
            _settle(holds, bank, hold, bank.holds.of(checkpoint_id))


def _settle(holds: Holds, bank: Bank, hold: Hold, there: Iterable[BankHold]) -> None:
    identity, older = hold.checkpoint_id, [each for each in there if not each.until]
    if hold.released_at is not None:
        bank.holds.release(identity, hold.released_at)
        holds.forget(identity, hold.released_at)
    elif not hold.in_bank or not older:
        if hold.in_bank:
            _LOG.warning("the hold on checkpoint %s was not in its bank any more: written again", identity)
        new = bank.holds.place(identity, hold.user_id, hold.reason, datetime.now(UTC))
        if older and not hold.in_bank:  # it replaces the reason
            bank.holds.replace(older, new)
        holds.kept(identity, hold.created_at)


def _take_up(holds: Holds, bank: Bank, found: list[BankHold]) -> None:
    hold = max(found, key=lambda each: each.created_at)
    reason = "nobody can read why" if hold.damaged else hold.reason
    made = datetime.fromisoformat(hold.created_at).replace(tzinfo=None)
    try:
        project_id = hold.project_id or bank.checkpoint(hold.checkpoint_id).info.project_id
    except RefloatError:
        return  # damaged as well; the bank itself refuses to delete it
    holds.take_up(Hold(hold.checkpoint_id, project_id, hold.user_id, reason, made, in_bank=True))
    if not bank.holds.of(hold.checkpoint_id):  # it was released meanwhile
        holds.forget(hold.checkpoint_id)


def _by_checkpoint(found: Iterable[BankHold]) -> dict[str, list[BankHold]]:
    ordered = sorted(found, key=lambda each: each.checkpoint_id)
    return {key: list(group) for key, group in groupby(ordered, key=lambda each: each.checkpoint_id)}

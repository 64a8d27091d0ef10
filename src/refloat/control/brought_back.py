"""A database that was brought back from a copy: seen by itself, or said by a person.

Such a database calls operations unfinished that have ended since, and whose things are others' by now. So all
that had not ended is parked, and goes on only when a person says so for each.

What this host has seen of a database is kept in a file outside it, and once an hour in the banks, for hosts
that are new.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from refloat.bank import Bank
from refloat.errors import Conflict, RefloatError
from refloat.notify.events import NOBODY, Notices
from refloat.records.database import Database
from refloat.records.incarnation import Incarnation, Incarnations
from refloat.records.operations import Operation

_LOG = logging.getLogger(__name__)

_EVERY = 10.0
"""Seconds after which what is seen is written down, if it has changed."""
_IN_BANKS = 3600.0

WHY = Conflict(
    "the database was brought back from a copy",
    reason="the operation may have ended, or gone on, since the copy was made",
    advice="Look whether it did. If not, resume it; else cancel it: only what carries its mark goes",
)


def is_brought_back(operation: Operation) -> bool:
    """Whether an operation was parked with the rest."""
    return operation.state == "parked" and (operation.error or {}).get("message") == WHY.message


def bring_back(database: Database, seen: Incarnation | None, notices: Notices = NOBODY) -> int:
    """Park all operations that have not ended; how many."""
    error = WHY.to_json()
    with database.one_at_a_time("incarnation") as session:
        parked = Incarnations(database).begin_anew(session, seen, error)
        for operation in parked:
            if operation.state != "parked":
                notices.parked(session, operation, error)
    return len(parked)


class Remembered:
    """What was seen of a database, outside it.

    :param folder: of this host; None: nothing is kept there.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self.in_banks_at = 0.0
        self._complained = False

    def read(self, identity: str) -> Incarnation | None:
        """The newest that this host has seen; None: it knows nothing of this database."""
        if self._folder is None:
            return None
        try:
            told = json.loads((self._folder / f"{identity}.json").read_text(encoding="utf-8"))
            self.in_banks_at = float(told["in_banks_at"])
            return Incarnation(identity, int(told["number"]), int(told["sequence"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as exc:
            _LOG.warning("what this host knows of the database cannot be read: %s", exc)
            return None

    def write(self, seen: Incarnation) -> None:
        if self._folder is None:
            return
        told = {"number": seen.number, "sequence": seen.sequence, "in_banks_at": self.in_banks_at}
        temporary = self._folder / f".{seen.id}.{os.getpid()}"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with temporary.open("w", encoding="utf-8") as file:
                json.dump(told, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._folder / f"{seen.id}.json")
        except OSError as exc:
            if not self._complained:
                _LOG.warning("what is seen of the database cannot be kept on this host: %s", exc)
            self._complained = True


class Guard:
    """Compares the database with what was seen of it.

    :param banks: those that are there; asked when this host knows nothing, and told once an hour.
    """

    def __init__(
        self,
        database: Database,
        folder: Path | None,
        banks: Callable[[], Iterable[Bank]] = lambda: (),
        notices: Notices = NOBODY,
    ) -> None:
        self._database = database
        self._incarnations = Incarnations(database)
        self._remembered = Remembered(folder)
        self._banks = banks
        self._notices = notices
        self._seen: Incarnation | None = None
        self._written_at = float("-inf")
        self._latest: Incarnation | None = None

    def look(self, *, busy: bool = False) -> None:
        """Before anything is taken up. If the database is older than was seen, all in it is parked.

        :param busy: something runs here.
        """
        now = self._incarnations.read()
        if self._seen is None or self._seen.id != now.id:
            self._seen = self._known(now)
        if now.is_older_than(self._seen):
            # Or another process has taken it further, and told this host of that, since it was read.
            now = self._incarnations.read()
        if now.is_older_than(self._seen):
            parked = bring_back(self._database, self._seen, self._notices)
            _LOG.error(
                "the database is older than what was seen of it (%s.%s, not %s.%s): it was brought back "
                "from a copy. %s operations are parked: see which have ended, resume or cancel each",
                *(now.number, now.sequence, self._seen.number, self._seen.sequence, parked),
            )
            now = self._incarnations.read()
        due = time.monotonic() - self._written_at > _EVERY
        if due and busy:
            self._incarnations.advance()
            now = self._incarnations.read()
        if now != self._seen and (due or now.number != self._seen.number or not busy):
            self._keep(now)

    def _known(self, now: Incarnation) -> Incarnation:
        """The newest of what this host and the banks know."""
        seen = self._remembered.read(now.id)
        if seen is not None:
            return seen
        newest = now
        for bank in self._banks():
            try:
                found = bank.recall(now.id)
            except RefloatError as exc:
                _LOG.warning("a bank could not be asked about the database: %s", exc)
                continue
            if found is not None and newest.is_older_than(Incarnation(now.id, *found)):
                newest = Incarnation(now.id, *found)
        return newest

    def _keep(self, now: Incarnation) -> None:
        if time.time() - self._remembered.in_banks_at > _IN_BANKS:
            for bank in self._banks():
                try:
                    bank.remember(now.id, now.number, now.sequence)
                    self._remembered.in_banks_at = time.time()
                except RefloatError as exc:
                    _LOG.warning("a bank could not be told about the database: %s", exc)
        self._remembered.write(now)
        self._seen, self._written_at = now, time.monotonic()

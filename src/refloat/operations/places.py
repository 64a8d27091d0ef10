"""Where banks are, and the open ones: one for each place, opened on first use."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from refloat.bank import Bank, BankKey, create_key, load_key
from refloat.errors import BankError, InvalidInput, NotFound


@dataclass(frozen=True, slots=True)
class BankPlace:
    """A bank's URL, and the file with the key that opens it."""

    url: str
    key_file: Path


class Banks:
    """The banks of an installation.

    :param notify: told, in a sentence, when a new key was made.

    Safe to use from many threads.
    """

    def __init__(self, notify: Callable[[str], None] | None = None) -> None:
        self._notify = notify or (lambda _sentence: None)
        self._lock = threading.RLock()
        self._open: dict[BankPlace, Bank] = {}

    def at(self, place: BankPlace, *, create: bool = True) -> Bank:
        """The bank at a place.

        :param create: make it, with a new key, when there is none.
        :raises NotFound: there is none.
        :raises BankError: it cannot be opened.
        :raises InvalidInput: its key is not there, or its URL is of no known store.
        """
        with self._lock:
            if place not in self._open:
                self._open[place] = self._opened(place, create=create)
            return self._open[place]

    def _opened(self, place: BankPlace, *, create: bool) -> Bank:
        if place.key_file.exists():
            return Bank.open(place.url, load_key(place.key_file), create=create)
        try:
            # Any key will do to find out whether there is a bank: a wrong one is refused as such.
            Bank.open(place.url, BankKey(secrets.token_bytes(32)))
        except NotFound:
            if not create:
                raise
            place.key_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            key = create_key(place.key_file)
        except BankError as exc:
            raise InvalidInput(
                f"the bank {place.url} cannot be read without its key",
                reason=f"there is no file {place.key_file}",
                advice="Put the copy of the key back, or name it with REFLOAT_BANK_KEY",
            ) from exc
        self._notify(
            f"Made a new bank key, {place.key_file}. "
            "Keep a copy elsewhere: without it no checkpoint can be read."
        )
        return Bank.open(place.url, key, create=True)

    def existing(self, places: Iterable[BankPlace]) -> list[tuple[BankPlace, Bank | None, str]]:
        """The banks that there are at some places, each once; None and why for one that cannot be read.

        A place where there is no bank (yet) is left out.
        """
        found: list[tuple[BankPlace, Bank | None, str]] = []
        for place in dict.fromkeys(places):
            try:
                found.append((place, self.at(place, create=False), ""))
            except NotFound:
                continue
            except (BankError, InvalidInput) as exc:
                found.append((place, None, str(exc)))
        return found

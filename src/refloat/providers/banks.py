"""Where banks are, and the open ones: one for each place, opened on first use."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from refloat.bank import Bank
from refloat.cloud import Cloud
from refloat.errors import BankError, InvalidInput, NotFound
from refloat.providers.bank_keys import open_bank
from refloat.providers.swift_login import logging_in_to


@dataclass(frozen=True, slots=True)
class BankLocation:
    """A bank's URL, and where the key is that opens it: a file, or ``barbican:ID``."""

    url: str
    key_file: Path


class Banks:
    """The banks of an installation.

    :param shared: the bank of all that have none of their own.
    :param notify: told, in a sentence, when a new key was made.
    :param cloud: where the object store of URLs is that name no cloud.

    Safe to use from many threads.
    """

    def __init__(
        self, shared: BankLocation, notify: Callable[[str], None] | None = None, cloud: Cloud | None = None
    ) -> None:
        self._shared = shared
        self._cloud = cloud
        self._notify = notify or (lambda _sentence: None)
        self._lock = threading.RLock()
        self._open: dict[BankLocation, Bank] = {}

    def at(self, place: BankLocation, *, create: bool = True) -> Bank:
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

    def _opened(self, place: BankLocation, *, create: bool) -> Bank:
        # The passphrase in the environment is that of the bank that all share.
        environ = os.environ if place == self._shared else {}
        with logging_in_to(self._cloud):
            return open_bank(place.url, place.key_file, create=create, notify=self._notify, environ=environ)

    def existing(self, places: Iterable[BankLocation]) -> list[tuple[BankLocation, Bank | None, str]]:
        """The banks that there are at some places, each once; None and why for one that cannot be read.

        A place where there is no bank (yet) is left out.
        """
        found: list[tuple[BankLocation, Bank | None, str]] = []
        for place in dict.fromkeys(places):
            try:
                found.append((place, self.at(place, create=False), ""))
            except NotFound:
                continue
            except (BankError, InvalidInput) as exc:
                found.append((place, None, str(exc)))
        return found

"""Where banks are, which they are, and the open ones: one for each place, opened on first use."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from refloat.bank import Bank, HeadMemory
from refloat.cloud import Cloud
from refloat.errors import BankError, Conflict, InvalidInput, NoBank, WrongBank
from refloat.providers.bank_keys import make_bank, open_bank
from refloat.providers.swift_login import logging_in_to


@dataclass(frozen=True, slots=True)
class BankLocation:
    """A bank's URL, and where the key is that opens it: a file, or ``barbican:ID``."""

    url: str
    key_file: Path


class KnownIds(Protocol):
    """Which bank each user of banks has; :class:`refloat.records.banks.KnownBanks`."""

    def of(self, users: Sequence[str]) -> Mapping[str, str]: ...

    def write(self, users: Sequence[str], bank_id: str) -> None: ...

    def forget_head(self, bank_id: str) -> None: ...

    def from_before(self) -> bool: ...


class IdRecords(Protocol):
    """Where that is kept; :class:`refloat.records.banks.BankRecords`."""

    def of(self, users: Sequence[str]) -> Mapping[str, str]: ...

    def changing(self) -> AbstractContextManager[KnownIds]: ...

    def memory(self, bank_id: str, accept: str) -> HeadMemory: ...


@dataclass(frozen=True, slots=True)
class BankUsers:
    """Who uses banks here: what their ids are known by.

    :param at: the users of the bank at a place.
    :param create: the command that makes one.
    :param accept: the command that lets another bank take a bank's place.
    :param own: the place where a bank may be made without being asked for.
    """

    at: Callable[[BankLocation], Sequence[str]]
    create: str
    accept: str
    own: BankLocation | None = None


class Banks:
    """The banks of an installation. Each is known by its id from when it was made, or first opened.

    :param shared: the bank of all that have none of their own.
    :param notify: told, in a sentence, what is now known of a bank.
    :param cloud: where the object store of URLs is that name no cloud.

    Safe to use from many threads.
    """

    def __init__(
        self,
        shared: BankLocation,
        records: IdRecords,
        users: BankUsers,
        notify: Callable[[str], None] | None = None,
        cloud: Cloud | None = None,
    ) -> None:
        self._shared = shared
        self._records = records
        self._users = users
        self._cloud = cloud
        self._notify = notify or (lambda _sentence: None)
        self._turns: dict[BankLocation, threading.RLock] = {}
        self._open: dict[BankLocation, Bank] = {}

    def at(self, place: BankLocation, *, create: bool = False) -> Bank:
        """The bank at a place.

        :param create: if it is the user's own place, and never had a bank, make it, with a new key.
        :raises NoBank: there is none, and none is known to have been there.
        :raises WrongBank: the one that is known is not there.
        :raises BankError: it cannot be opened.
        :raises InvalidInput: its key is not there, or its URL is of no known store.
        """
        with self._turn(place):
            bank = self._open.pop(place, None)
            if bank is None or not _is_there(bank):
                try:
                    bank = self._opened(place)
                except NoBank as absent:
                    if not create:
                        raise
                    bank = self._first(place, absent)
            self._open[place] = bank
            return bank

    def make(self, place: BankLocation, instead_of: str = "") -> Bank:
        """Make the bank at a place.

        :param instead_of: the id of the bank that was used there until now.
        :raises Conflict: there is one, or another one is known.
        :raises InvalidInput: there is something else.
        """
        users = self._users.at(place)
        with self._turn(place), self._records.changing() as known:
            for user, bank_id in known.of(users).items():
                if bank_id != instead_of:
                    raise Conflict(
                        f"the bank of {user} is known: it is the bank {bank_id}",
                        advice=f"If a new one in {place.url} is to take its place: --instead-of {bank_id}",
                    )
            return self._made(place, known)

    def accept(self, place: BankLocation, bank_id: str) -> Mapping[str, str]:
        """From now on, the bank at a place is this one, as it is there. Which it was until now, by its users.

        :raises WrongBank: it is not there.
        """
        users = self._users.at(place)
        with self._turn(place):
            bank = self._open_as(place, bank_id)
            with self._records.changing() as known:
                was = known.of(users)
                known.write(users, bank_id)
                known.forget_head(bank_id)
            self._open[place] = bank
        return {user: was.get(user, "") for user in users}

    def existing(self, places: Iterable[BankLocation]) -> list[tuple[BankLocation, Bank | None, str]]:
        """The banks at some places, each once; None and why for one that cannot be read.

        A place that has no bank, and is not known to have had one, is left out.
        """
        found: list[tuple[BankLocation, Bank | None, str]] = []
        for place in dict.fromkeys(places):
            try:
                found.append((place, self.at(place), ""))
            except NoBank:
                continue
            except (BankError, InvalidInput) as exc:
                found.append((place, None, str(exc)))
        return found

    def known_id(self, place: BankLocation) -> str:
        """The id of the bank that should be at a place; empty: none is known."""
        return next(iter(self._records.of(self._users.at(place)).values()), "")

    def _turn(self, place: BankLocation) -> threading.RLock:
        return self._turns.setdefault(place, threading.RLock())

    def is_new(self, place: BankLocation) -> bool:
        """Whether it is the user's own place, and nothing tells that it ever had a bank."""
        with self._records.changing() as known:
            return self._is_new(place, known)

    def _is_new(self, place: BankLocation, known: KnownIds) -> bool:
        unknown = not known.of(self._users.at(place))
        return place == self._users.own and unknown and not known.from_before()

    def _first(self, place: BankLocation, absent: NoBank) -> Bank:
        """Make the user's own bank, unless another process has just made it."""
        with self._records.changing() as known:
            if self._is_new(place, known):
                return self._made(place, known)
            if not known.of(self._users.at(place)):
                raise absent
        return self._opened(place)

    def _made(self, place: BankLocation, known: KnownIds) -> Bank:
        with logging_in_to(self._cloud):
            bank_id, new_key = make_bank(place.url, place.key_file, self._environ(place))
        known.write(self._users.at(place), bank_id)
        self._notify(f"Made a new bank in {place.url}: the bank {bank_id}.")
        if new_key:
            self._notify(
                f"Made a new bank key, {place.key_file}. "
                "Keep a copy elsewhere: without it no checkpoint can be read."
            )
        self._open[place] = self._open_as(place, bank_id)
        return self._open[place]

    def _opened(self, place: BankLocation) -> Bank:
        users = self._users.at(place)
        known = self._records.of(users)
        if len(ids := sorted(set(known.values()))) > 1:
            said = ", ".join(f"{user}: the bank {bank_id}" for user, bank_id in sorted(known.items()))
            raise InvalidInput(f"the bank in {place.url} should be {len(ids)} banks", reason=said)
        try:
            bank = self._open_as(place, ids[0] if ids else "")
        except WrongBank as error:
            error.advice += f". If another bank is to take its place: {self._users.accept}"
            raise
        except NoBank as error:
            error.advice = f"Is its file system mounted? A new bank is made with: {self._users.create}"
            raise
        if new := [user for user in users if user not in known]:
            with self._records.changing() as records:
                records.write([user for user in new if user not in records.of(new)], bank.id)
                now = records.of(users)
            if set(now.values()) != {bank.id}:  # another process has opened another one just now
                return self._opened(place)
            self._notify(
                f"The bank in {place.url} is the bank {bank.id}; from now on no other is opened there."
            )
        return bank

    def _open_as(self, place: BankLocation, bank_id: str) -> Bank:
        with logging_in_to(self._cloud):
            bank = open_bank(place.url, place.key_file, expect=bank_id, environ=self._environ(place))
        return bank.remembering(self._records.memory(bank.id, self._users.accept))

    def _environ(self, place: BankLocation) -> Mapping[str, str]:
        """The passphrase in the environment is that of the bank that all share."""
        return os.environ if place == self._shared else {}


def _is_there(bank: Bank) -> bool:
    """Whether it still is what it was; else another bank may have taken its place."""
    try:
        bank.confirm()
    except WrongBank:
        return False
    return True

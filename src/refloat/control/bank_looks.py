"""Compares the records with the banks: which checkpoints came, came back, or are not seen any more.

That a listing lacks a checkpoint is no proof that it is gone. One that several looks in turn do not find,
each in a bank that said who it is, is ``missing`` until it is seen again; nothing here calls one deleted.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial

from refloat.bank import Bank, CheckpointInfo
from refloat.control.adoption import HEALED, NOTED, adopt
from refloat.control.expected import fresh
from refloat.control.held import reconcile
from refloat.errors import BankDamaged, BankError, NotFound
from refloat.notify.events import MISSING, NOBODY, Notices
from refloat.providers.banks import BankLocation, Banks
from refloat.providers.provider import Providers
from refloat.records import checkpoints as records
from refloat.records.checkpoints import AVAILABLE, DELETED, CheckpointRecords
from refloat.records.database import Database

_LOG = logging.getLogger(__name__)

LOOKS = 3
"""So many looks in turn have to miss a checkpoint. Each process counts its own: several that look at one time
see one late listing."""


class BankLooks:
    """Looks into all banks.

    :param shared: the bank of the providers that have none of their own.
    """

    def __init__(
        self,
        database: Database,
        providers: Providers,
        banks: Banks,
        shared: BankLocation,
        notices: Notices = NOBODY,
    ) -> None:
        self._database = database
        self._providers = providers
        self._banks = banks
        self._shared = shared
        self._notices = notices
        self._checkpoints = CheckpointRecords(database)
        self.found: Mapping[str, tuple[bool, int]] = {}
        """Of each bank, by its id: whether the last look could read it; how much is not as it was left."""
        self._unseen: dict[str, int] = {}
        self._said: set[tuple[str, str]] = set()

    def look(self) -> None:
        """Learn of checkpoints that came without the service, and of those that are not seen."""
        known = self._checkpoints.known()
        places = {provider.id: provider.bank or self._shared for provider in self._providers}
        unseen: dict[str, int] = {}
        found: dict[str, tuple[bool, int]] = {}
        for place, bank, reason in self._banks.existing(places.values()):
            here = {
                identity: status
                for identity, (status, provider) in known.items()
                if places.get(provider) == place
            }
            try:
                if bank is None:
                    raise BankError("the bank cannot be read", reason=reason)
                found[bank.id] = True, 0
                missing = self._not_in(bank, place, here, places, known)
                found[bank.id] = True, sum(each == bank.id for each, _what in self._said)
                for identity in missing:
                    unseen[identity] = self._unseen.get(identity, 0) + 1
                    if unseen[identity] >= LOOKS and not _is_there(bank, identity):
                        self._missing(identity, bank)
            except BankError as exc:
                # A bank that is not there now, such as a file system that is not mounted, proves nothing.
                _LOG.warning("could not look into a bank: %s", exc)
                unseen |= {each: count for each, count in self._unseen.items() if each in here}
                if identity := bank.id if bank is not None else self._banks.known_id(place):
                    found[identity] = False, self.found.get(identity, (False, 0))[1]
        self._unseen, self.found = unseen, found

    def _not_in(
        self,
        bank: Bank,
        place: BankLocation,
        here: dict[str, str],
        places: dict[str, BankLocation],
        known: records.Known,
    ) -> list[str]:
        """Take up what a bank has; what it should have, and has not."""
        infos = bank.checkpoints()
        attached = {places[each.id]: each.id for each in self._providers if each.found}
        for info in infos:
            status, provider_id = known.get(info.id, (DELETED, NOTED))
            if provider_id.startswith(NOTED):
                status, provider_id = DELETED, self._id_of(info.provider)
                if places.get(provider_id) != place:
                    provider_id = attached.get(place, provider_id)
            # What lies in another bank than its provider's, only the command can work on.
            unknown = status in HEALED
            if unknown and not info.damaged and places.get(provider_id) == place:
                whole = partial(bank.checkpoint, info.id)
                try:
                    adopt(self._database, provider_id, whole, info, self._id_of, self._notices)
                except NotFound:
                    continue  # deleted just now
                except BankDamaged as exc:
                    _LOG.warning("checkpoint %s is not taken up: %s", info.id, exc)
        damaged = [info.id for info in infos if info.damaged and info.id in here]
        if damaged:
            with self._database.session() as session:
                self._checkpoints.verified(session, damaged, records.BAD, "manifests")
        seen = {info.id for info in infos}
        reconcile(self._database, bank, seen)
        self._describe(bank, infos)
        self._alarm(bank)
        return [identity for identity, status in here.items() if status == AVAILABLE and identity not in seen]

    def _describe(self, bank: Bank, infos: Sequence[CheckpointInfo]) -> None:
        """Keep in the bank what was said of checkpoints where the bank could not be asked."""
        there = {info.id: info.extra.get("about") for info in infos if not info.damaged}
        for identity, about in self._checkpoints.said(there.keys()).items():
            if there[identity] != about:
                try:
                    bank.describe(identity, dict(about))
                except NotFound:
                    continue  # deleted just now

    def _alarm(self, bank: Bank) -> None:
        """Say, once in this process, what of a bank is not as it was left. Nothing is done about it."""
        found = fresh(self._database, bank)
        said = [f"{name}: {reason}" for name, reason in sorted(found.problems.items())]
        for what in [found.older, *said] if found.older else said:
            if (bank.id, what) not in self._said:
                _LOG.error("bank %s is not as it was left: %s", bank.id, what)
                with self._database.session() as session:
                    self._notices.bank(session, bank.id, what)
        self._said = {each for each in self._said if each[0] != bank.id}
        self._said |= {(bank.id, what) for what in [found.older, *said] if what}

    def _missing(self, identity: str, bank: Bank) -> None:
        reason = f"{LOOKS} looks in turn did not find it in the bank {bank.id}"
        with self._database.one_at_a_time(f"checkpoint {identity}") as session:
            if self._checkpoints.move(session, identity, [AVAILABLE], status=records.MISSING, reason=reason):
                _LOG.error("checkpoint %s is missing: %s", identity, reason)
                self._notices.checkpoint(session, self._checkpoints.read(session, identity), MISSING)

    def _id_of(self, reference: str) -> str:
        try:
            return self._providers.find(reference).id
        except NotFound:
            return reference


def _is_there(bank: Bank, identity: str) -> bool:
    """Asked for by its name: what a whole listing leaves out may be there."""
    try:
        bank.checkpoint(identity)
    except NotFound:
        return False
    except BankDamaged:
        return True
    return True

"""Checkpoints: those in all banks that can be read here, and those that are being made."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from refloat.bank import Bank, Checkpoint, CheckpointInfo
from refloat.cli.embedded.session import EmbeddedSession
from refloat.cli.resolve import resolve
from refloat.cli.views import LIVE, CheckpointState, Json
from refloat.control import held
from refloat.control.adoption import adopt, note
from refloat.control.banks import absolute
from refloat.control.expected import expected
from refloat.control.progress import status_of
from refloat.control.settings import Settings
from refloat.control.submit import not_available
from refloat.engine.reader import Reader
from refloat.errors import BankError, InvalidInput, NoBank, NotFound, RefloatError
from refloat.providers.banks import BankLocation
from refloat.records.checkpoints import MISSING, SCHEDULED, CheckpointRecord, CheckpointRecords
from refloat.records.holds import Hold, Holds
from refloat.records.operations import OPEN, Operation
from refloat.records.tables import OPERATIONS

_UNSEEN = "it is not in the bank, and nobody here has deleted it"


@dataclass(frozen=True)
class FoundCheckpoint:
    """A checkpoint, and the bank it lies in."""

    location: BankLocation
    bank: Bank
    info: CheckpointInfo

    def read(self) -> Checkpoint:
        return self.bank.checkpoint(self.info.id)


class EmbeddedCheckpoints(EmbeddedSession):
    """The project's checkpoints."""

    def checkpoints(self, plan: str = "") -> list[CheckpointState]:
        """Those in all banks, newest first, and those that are being made.

        Of a bank that cannot be read the user is told.

        :param plan: only those of this plan, by id or by what it was called then.
        :raises BankError: it is the one of most providers.
        """
        states, unread = self._states()
        if self.settings.bank in unread:
            raise unread[self.settings.bank]
        for error in unread.values():
            self.notify(f"Its checkpoints are not listed: {error}")
        return [state for state in states if plan in ("", state.plan.get("name"), state.plan.get("id"))]

    def _states(self) -> tuple[list[CheckpointState], dict[BankLocation, RefloatError]]:
        kept, unread, read = self._kept()
        expected = self._expected(read)
        found = {record.id: _missing_state(record) for record in expected.values()}
        found |= {each.info.id: _state_of(each.info, expected.get(each.info.id)) for each in reversed(kept)}
        for operation in self.operations.list((*OPEN, "failed")) if self.reach is None else ():
            known = found.get(operation.checkpoint_id)
            if operation.kind == "protect" and known is None and operation.state in OPEN:
                if (state := self._being_made(operation)) is not None:
                    found[operation.checkpoint_id] = state
            elif operation.kind == "delete" and known is not None:
                found[operation.checkpoint_id] = replace(
                    known,
                    status="deleting",
                    operation_id=operation.id,
                    reason=str((operation.error or {}).get("reason", "")),
                )
        return sorted(found.values(), key=lambda state: state.created_at, reverse=True), unread

    def _being_made(self, operation: Operation) -> CheckpointState | None:
        state = status_of(operation, Reader(self.database, OPERATIONS).look(operation.id))
        if state not in LIVE | {"parked", "interrupted"}:
            return None
        return CheckpointState(
            operation.checkpoint_id,
            "protecting" if state in LIVE else state,
            operation.created_at,
            operation.project_id,
            str(operation.payload["provider"]),
            operation.payload["plan"],
            operation_id=operation.id,
            about=operation.payload.get("about") or {},
        )

    def find_checkpoint(self, identity: str) -> CheckpointState:
        states, unread = self._states()
        return self._resolved(identity, states, unread)

    def _resolved(
        self,
        identity: str,
        states: Iterable[CheckpointState],
        unread: Mapping[BankLocation, RefloatError],
        *,
        exactly: bool = False,
    ) -> CheckpointState:
        """As :func:`refloat.cli.resolve.resolve`; where there is none, it may be in a bank that is unread."""
        known = list(states)
        try:
            found = resolve(identity, known, exactly=exactly)
        except NotFound as exc:
            if unread:
                raise next(iter(unread.values())) from None
            other = next((info for info in self._others() if identity and info.id.startswith(identity)), None)
            if other is not None:
                exc.reason = (
                    f"the bank {self.settings.bank.url} has it: it is of the project {other.project_id}"
                )
                exc.advice = f"It is shown and restored with --project {other.project_id}"
            empty = "" if known else self.why_none()
            raise NotFound(exc.message, reason=exc.reason or empty, advice=exc.advice) from None
        projects = {state.project_id for state in known}
        if len(projects) > 1 and not (found.id.startswith(identity) or found.about.get("name") == identity):
            raise InvalidInput(
                f"'{identity}' does not say of which project: there are checkpoints of {len(projects)}",
                advice="Use an id, or say which with --project",
            )
        return found

    def why_none(self) -> str:
        """Why no checkpoint is listed: what there is instead."""
        url, others = self.settings.bank.url, Counter(info.project_id for info in self._others())
        if not self.banks.known_id(self.settings.bank):
            return f"the bank {url} has none of this project: the first protection will make it"
        whose = self.reach.project_id if self.reach is not None else None
        of = f" of this project, {self.cloud.project_id}" if whose is None else f" of the project {whose}"
        told = f"the bank {url} has none{of if whose != '' else ''}"
        if not others:
            return told
        projects = f"{len(others)} other project{'s' if len(others) > 1 else ''}"
        return f"{told}; there are {others.total()} of {projects}: see --all-projects"

    def _others(self) -> list[CheckpointInfo]:
        """The checkpoints of other projects in the bank of most providers, as far as its key opens them."""
        if self.reach is not None and self.reach.project_id == "":
            return []
        try:
            bank = self.banks.at(self.settings.bank)
            here = self._whose(bank)
            return [info for info in bank.checkpoints() if info.project_id not in ("", here)]
        except (NoBank, BankError, InvalidInput):  # that it cannot be read is told otherwise
            return []

    def describe(self, checkpoint: str, wanted: Mapping[str, Any]) -> CheckpointState:
        """Change what is said of a checkpoint: as :func:`refloat.records.about.changed`."""
        found = self.found_or_missing(checkpoint, exactly=True)
        record = found if isinstance(found, CheckpointRecord) else self.record_of(found)
        about = dict(CheckpointRecords(self.database).describe(record.id, wanted).about)
        if not isinstance(found, CheckpointRecord):
            found.bank.describe(record.id, about)
        return self.find_checkpoint(record.id)

    def checkpoint_id(self, identity: str) -> str:
        found = self.found_or_missing(identity, exactly=True)
        return found.id if isinstance(found, CheckpointRecord) else found.info.id

    def contents(self, checkpoint_id: str) -> Json:
        """What is told of a checkpoint that exists: ``cloud`` (where it was made), ``resources``..."""
        kept = self.found(checkpoint_id).read()
        extra = kept.info.extra
        found: dict[str, Any] = {"cloud": dict(extra.get("cloud", {}))}
        found |= {name: dict(extra[name]) for name in ("copied_from", "incomplete") if extra.get(name)}
        found["resources"] = [
            {"type": node["type"], "id": node["id"], "name": node["name"]} for node in kept.graph["nodes"]
        ]
        return found

    def place_hold(self, checkpoint: str, reason: str) -> Hold:
        if not reason.strip():
            raise InvalidInput("a hold needs a reason")
        found = self.found(checkpoint)
        identity = self.record_of(found).id
        return held.place(
            self.database, found.bank, identity, self.cloud.project_id, self.cloud.user_id, reason
        )

    def hold(self, checkpoint: str) -> Hold:
        found = self.found(checkpoint)
        held.take_up(self.database, found.bank, found.info.id)
        return Holds(self.database).get(found.info.id)

    def release_hold(self, checkpoint: str) -> str:
        found = self.found(self.checkpoint_id(checkpoint))
        held.release(self.database, found.bank, found.info.id)
        return found.info.id

    def found(self, identity: str) -> FoundCheckpoint:
        """A checkpoint that exists, from whichever bank has it.

        :raises NotFound: there is none.
        :raises InvalidInput: several ids begin so.
        :raises Conflict: it is missing.
        """
        found = self.found_or_missing(identity)
        if isinstance(found, CheckpointRecord):
            raise not_available(found.id, MISSING, found.reason or _UNSEEN)
        return found

    def found_or_missing(self, identity: str, *, exactly: bool = False) -> FoundCheckpoint | CheckpointRecord:
        """Likewise; or the record of one that no bank has, and that nobody has deleted."""
        kept, unread, read = self._kept()
        there = {each.info.id: each for each in reversed(kept)}
        expected = self._expected(read)
        known: dict[str, FoundCheckpoint | CheckpointRecord] = {**expected, **there}
        states = [
            _missing_state(each)
            if isinstance(each, CheckpointRecord)
            else _state_of(each.info, expected.get(key))
            for key, each in known.items()
        ]
        return known[self._resolved(identity, states, unread, exactly=exactly).id]

    def _expected(self, read: Iterable[BankLocation]) -> Mapping[str, CheckpointRecord]:
        """What should be in some banks, by id."""
        if self.reach is not None:  # the bank may be nobody's here
            return {}
        known = (self.database, self.providers, self.settings.bank)
        return {
            record.id: record
            for place in read
            for record in expected(*known, place.url, self.cloud.project_id)
        }

    def record_of(self, found: FoundCheckpoint) -> CheckpointRecord:
        if self.reach is not None and not self._is_of_its_provider(found):
            return note(self.database, found.bank.id, found.read, self.providers.id_of)
        provider_id = self.providers.id_of(found.info.provider)
        return adopt(self.database, provider_id, found.read, found.info, self.providers.id_of, self.notices)

    def _is_of_its_provider(self, found: FoundCheckpoint) -> bool:
        with contextlib.suppress(NotFound):
            place = self.providers.find(found.info.provider).bank or Settings.load().bank
            return absolute(place.url) == absolute(found.location.url)
        return False

    def elsewhere(self, found: FoundCheckpoint) -> Mapping[str, Any]:
        """What an operation's payload says of where a checkpoint lies."""
        if self.reach is not None:
            return {"place": {"url": found.location.url, "key": str(found.location.key_file)}}
        with contextlib.suppress(NotFound):
            if self.bank_location(self.providers.find(found.info.provider)) == found.location:
                return {}
        there = (item.reference for item in self.providers if self.bank_location(item) == found.location)
        return {"bank": next(there)}

    def _kept(self) -> tuple[list[FoundCheckpoint], dict[BankLocation, RefloatError], set[BankLocation]]:
        """The checkpoints of all banks; which could not be read, and why; which could."""
        mine = self.settings.bank
        places = [mine] if self.reach is not None else [mine, *map(self.bank_location, self.providers)]
        kept: list[FoundCheckpoint] = []
        unread: dict[BankLocation, RefloatError] = {}
        read: set[BankLocation] = set()
        for place in dict.fromkeys(places):
            try:
                bank = self.banks.at(place)
                infos = bank.checkpoints(self._whose(bank))
                given = [each for each in self._expected([place]).values() if each.reassigned_from]
                ids = {each.id for each in given}
                for owner in {each.owner for each in given}:
                    infos += [info for info in bank.checkpoints(owner) if info.id in ids]
                kept += [FoundCheckpoint(place, bank, info) for info in infos]
                read.add(place)
            except NoBank as exc:
                if place == mine and (self.reach is not None or not self.banks.is_new(mine)):
                    unread[place] = exc
            except (BankError, InvalidInput) as exc:
                others = BankError(f"the bank {place.url} cannot be read", reason=str(exc))
                unread[place] = exc if place == mine else others
        return kept, unread, read

    def _whose(self, bank: Bank) -> str | None:
        """The project whose checkpoints are looked at in a bank; None: all that the key opens."""
        project_id = self.reach.project_id if self.reach is not None else None
        if project_id is None and not (self.reach is not None and bank.project_id):
            return self.cloud.project_id
        return project_id or None


def _state_of(info: CheckpointInfo, known: CheckpointRecord | None = None) -> CheckpointState:
    return CheckpointState(
        info.id,
        "damaged" if info.damaged else "available",
        info.created_at,
        info.project_id,
        info.provider,
        info.plan,
        reason=info.reason,
        operation_id=str(info.extra.get("operation_id", "")),
        about=known.about if known is not None else dict(info.extra.get("about") or {}),
        scheduled_operation_id=str((info.extra.get("extra_info") or {}).get(SCHEDULED) or ""),
        size=info.extra.get("size"),
        seconds=info.extra.get("seconds"),
        lacks=info.extra.get("lacks", ()),
        **_verified(known),
    )


def _missing_state(record: CheckpointRecord) -> CheckpointState:
    return CheckpointState(
        record.id,
        MISSING,
        f"{record.created_at:%Y-%m-%dT%H:%M:%S}+00:00",
        record.project_id,
        record.provider_id,
        record.plan,
        reason=record.reason or _UNSEEN,
        lacks=record.lacks or (),
        about=record.about,
        scheduled_operation_id=str(record.extra_info.get(SCHEDULED) or ""),
        size=record.size,
        seconds=record.seconds,
        **_verified(record),
    )


def _verified(known: CheckpointRecord | None) -> dict[str, Any]:
    if known is None or known.verified_at is None:
        return {}
    moment = f"{known.verified_at:%Y-%m-%dT%H:%M:%S}+00:00"
    return {"verified": known.verified, "verified_at": moment, "verified_depth": known.verified_depth}

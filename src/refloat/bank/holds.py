"""What keeps a checkpoint from being deleted, in the bank beside it: legal holds, and the shortest retention.

So whoever opens the bank honours them: a command without the service, an older database, a repair. Each is
a sealed object ``holds/<checkpoint>.<tag>.<random>``, never changed; releasing removes it. One that cannot be
read holds nevertheless. Why a hold and a deletion never both succeed is argued in ``docs/bank-format.md``.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from refloat.bank import heads
from refloat.bank.manifest import find, get_manifest
from refloat.bank.mount import refuse_late
from refloat.bank.objects import Objects, WriteSession, canonical
from refloat.bank.reserve import put_before_removal
from refloat.bank.sealing import KIND_HOLD
from refloat.bank.store import AlreadyExists, ObjectMissing
from refloat.bank.tombstones import condemned, store_time, tombstones
from refloat.errors import BankDamaged, BankError, Conflict, Held

HOLDS = "holds/"


@dataclass(frozen=True, slots=True)
class BankHold:
    """A hold. Times are ISO 8601, UTC.

    :param until: when it ends by itself: the shortest retention. Empty: when somebody releases it.
    :param damaged: nobody can say any more who placed it, or why.
    """

    checkpoint_id: str
    project_id: str = ""
    user_id: str = ""
    reason: str = ""
    created_at: str = ""
    until: str = ""
    name: str = ""
    damaged: bool = False

    @property
    def tag(self) -> str:
        return self.name.split(".")[1]


class BankHolds:
    """The holds of an open bank."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def place(self, checkpoint_id: str, user_id: str, reason: str, created_at: datetime) -> BankHold:
        """Put a checkpoint on hold.

        :param created_at: UTC.
        :raises NotFound: there is none.
        :raises Conflict: it is being deleted.
        """
        objects = self._objects
        objects.confirm()
        manifest = find(objects, checkpoint_id)
        name = f"{HOLDS}{checkpoint_id}.{manifest.rpartition('.')[2]}.{secrets.token_hex(8)}"
        try:
            project_id, body = (found := get_manifest(objects, manifest)).info.project_id, found.body
        except BankDamaged:
            project_id, body = "", ""
        hold = BankHold(checkpoint_id, project_id, user_id, reason, _text(created_at), name=name)
        _put(objects, hold)
        try:
            going = condemned(objects, hold.tag) if body else set(tombstones(objects, hold.tag))
            if body in going or (going and not body):
                raise Conflict(f"the checkpoint {checkpoint_id} can not be put on hold: it is being deleted")
            find(objects, checkpoint_id)
        except Exception:
            with heads.removing(objects, [name]):
                objects.store.delete(name)
            raise
        return hold

    def of(self, checkpoint_id: str) -> list[BankHold]:
        return of(self._objects, checkpoint_id)

    def refuse_late(self) -> None:
        """:raises Held: this host may delete nothing: it might not see what others have written."""
        refuse_late(self._objects.store)

    def all(self) -> list[BankHold]:
        """All that wait for somebody to release them."""
        return [hold for hold in of(self._objects) if not hold.until]

    def release(self, checkpoint_id: str, before: datetime | None = None) -> None:
        """End the holds of a checkpoint, but not its shortest retention.

        :param before: only those that were placed before then (UTC), and those that cannot be read.
        :raises BankError: the store refuses.
        """
        self._objects.confirm()
        for hold in self.of(checkpoint_id):
            if not hold.until and (before is None or hold.damaged or hold.created_at <= _text(before)):
                with heads.removing(self._objects, [hold.name]):
                    self._objects.store.delete(hold.name)

    def replace(self, older: Iterable[BankHold], new: BankHold) -> None:
        """Let one hold stand for others of its checkpoint."""
        replaced = [each for each in older if each.checkpoint_id == new.checkpoint_id]
        with heads.removing(self._objects, [each.name for each in replaced]):
            forget(self._objects, replaced)

    def refuse_held(self, checkpoint_id: str, *, young: bool = False) -> None:
        """See that a checkpoint may be deleted.

        :param young: also one that the shortest retention keeps.
        :raises Held: it may not.
        """
        refuse_held(self._objects, of(self._objects, checkpoint_id), young=young)


def of(objects: Objects, checkpoint_id: str = "") -> list[BankHold]:
    """The holds of a checkpoint, or all."""
    found = []
    for entry in list(objects.store.list(f"{HOLDS}{checkpoint_id}." if checkpoint_id else HOLDS)):
        whose = entry.name.removeprefix(HOLDS).partition(".")[0]
        try:
            found.append(BankHold(**objects.get_json(KIND_HOLD, entry.name), name=entry.name))
        except ObjectMissing:
            continue
        except BankDamaged:
            made = _text(datetime.fromtimestamp(entry.modified, UTC))
            found.append(BankHold(whose, created_at=made, name=entry.name, damaged=True))
    return found


def refuse_held(objects: Objects, found: Iterable[BankHold], *, young: bool) -> None:
    """:raises Held: one of these holds is in force, by this machine's clock or the store's."""
    for hold in found:
        if hold.until and (young or not _is_ahead(objects, hold)):
            continue
        what = f"the checkpoint {hold.checkpoint_id}"
        if hold.until:
            raise Held(f"{what} cannot be deleted yet", reason=f"it is kept until {hold.until}")
        reason = f"{hold.name} holds it, and cannot be read" if hold.damaged else hold.reason
        raise Held(f"{what} is on legal hold and cannot be deleted", reason=reason, advice="Release it first")


def keep(objects: Objects, session: WriteSession, project_id: str, until: datetime) -> None:
    """Say, before a checkpoint exists, until when it has to be kept. Doing it again changes nothing."""
    now = _text(datetime.now(UTC))
    hold = BankHold(session.checkpoint_id, project_id, created_at=now, until=_text(until), name=session.hold)
    with contextlib.suppress(AlreadyExists):
        _put(objects, hold)


def forget(objects: Objects, found: Iterable[BankHold]) -> None:
    """Remove what kept a checkpoint that is gone."""
    with contextlib.suppress(BankError):
        for hold in found:
            objects.store.delete(hold.name)


def _put(objects: Objects, hold: BankHold) -> None:
    inside = {name: value for name, value in asdict(hold).items() if name not in ("name", "damaged")}
    text = objects.sealer.seal(KIND_HOLD, hold.name, canonical(inside))
    with heads.adding(objects, hold.name):
        put_before_removal(objects.store, hold.name, text)


def _is_ahead(objects: Objects, hold: BankHold) -> bool:
    until = datetime.fromisoformat(hold.until).timestamp()
    return time.time() < until or store_time(objects, hold.tag) < until


def _text(moment: datetime) -> str:
    return moment.replace(tzinfo=UTC).isoformat(timespec="seconds")

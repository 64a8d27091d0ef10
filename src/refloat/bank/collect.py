"""Taking away: what a writer left behind, and what no checkpoint needs.

Nothing here takes a lock: other processes may write, commit, abandon and collect at any moment. The order
of the steps is what keeps them safe; ``docs/bank-format.md`` has the argument, "Removing things safely".
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass

from refloat.bank.manifest import Manifest, find, get_checkpoint, get_manifest, manifests
from refloat.bank.objects import ABANDONED, Objects, Session
from refloat.bank.sealing import KIND_CONDEMNED
from refloat.bank.store import AlreadyExists, ObjectMissing
from refloat.errors import BankDamaged, Conflict, NotFound

WRITER_LIVES = 7 * 86400.0
"""A writer whose marker is older than this many seconds is taken for dead."""

_COLLECTOR_LIVES = WRITER_LIVES
_SIGN = b"This writing is being undone.\n"


@dataclass(frozen=True, slots=True)
class Collected:
    """What was freed, in bytes and objects; ``postponed`` says why not everything was."""

    freed: int = 0
    objects: int = 0
    postponed: str = ""

    def __add__(self, other: Collected) -> Collected:
        reasons = "; ".join(filter(None, (self.postponed, other.postponed)))
        return Collected(self.freed + other.freed, self.objects + other.objects, reasons)


def abandon(objects: Objects, checkpoint_id: str) -> Collected:
    """Remove all that was stored for a checkpoint that was never committed.

    :raises Conflict: it was committed.
    """
    names = {e.name for e in objects.store.list(f"writers/{checkpoint_id}.")}
    total = Collected()
    finished: Conflict | None = None
    for session in sorted({Session.of_marker(name) for name in names}, key=lambda s: s.id):
        try:
            total += _abandon_session(objects, session)
        except Conflict as error:
            finished = error
    if finished is not None:
        raise finished
    return total


def delete(objects: Objects, checkpoint_id: str) -> Collected:
    """Remove a checkpoint, and what only it needed.

    :raises NotFound: there is none.
    """
    name = find(objects, checkpoint_id)
    tag = name.rpartition(".")[2]
    own: set[str] = set()
    try:
        manifest = get_manifest(objects, name)
        own = {manifest.body, *get_checkpoint(objects, manifest).indexes}
    except ObjectMissing:
        raise NotFound(f"the checkpoint {checkpoint_id} was deleted just now") from None
    except BankDamaged:
        pass  # a damaged checkpoint can be deleted too; the collection finds what it left
    # The marker first: a marker without its manifest allows to abandon, and others may by now share
    # what this checkpoint's writer stored.
    for marker in list(objects.store.list(f"writers/{checkpoint_id}.{tag}.")):
        if not marker.name.endswith(ABANDONED) and _is_committed(
            objects, Session.of_marker(marker.name), unsure=True
        ):
            objects.store.delete(marker.name)
    objects.store.delete(name)
    return _remove(objects, own) + collect(objects, tag)


def collect(objects: Objects, tag: str) -> Collected:
    """Remove what none of a project's checkpoints needs.

    Nothing while somebody writes for this project, or while a manifest cannot be read.
    """
    store = objects.store
    _forget_old_notices(objects, tag)
    expired = [s for s, age in _writers(objects, tag) if age >= WRITER_LIVES]
    total = Collected()
    for session in expired:
        try:
            total += _abandon_session(objects, session)
        except Conflict:
            store.delete(session.marker)  # it had committed
        except BankDamaged:
            return total + _POSTPONED_DAMAGED
    stored = {e.name for e in store.list(f"data/{tag}/")}
    writers = _writers(objects, tag)
    needed, sessions = _needed(objects, tag)
    if needed is None:
        return total + _POSTPONED_DAMAGED
    candidates = stored - needed
    if not candidates:
        return total
    if _live(writers, sessions):
        return total + _POSTPONED_WRITERS
    notice = f"condemned/{tag}.{secrets.token_hex(8)}"
    objects.put_json(KIND_CONDEMNED, notice, sorted(candidates))
    try:
        return total + _execute(objects, tag, candidates)
    finally:
        store.delete(notice)


def condemned(objects: Objects, tag: str) -> set[str]:
    """What a collection may be about to remove: nobody may begin to rely on it.

    :raises BankDamaged: a notice cannot be read.
    """
    names: set[str] = set()
    for entry in list(objects.store.list(f"condemned/{tag}.")):
        try:
            names.update(objects.get_json(KIND_CONDEMNED, entry.name))
        except ObjectMissing:
            continue
    return names


def being_abandoned(objects: Objects, tag: str) -> set[str]:
    """The sessions that are being undone: nobody may begin to rely on what they stored."""
    names = [e.name for e in objects.store.list("writers/") if e.name.endswith(ABANDONED)]
    return {session.id for session in map(Session.of_marker, names) if session.tag == tag}


_POSTPONED_WRITERS = Collected(
    postponed="a checkpoint of this project is being written; collect again when it is finished"
)
_POSTPONED_DAMAGED = Collected(
    postponed="a damaged checkpoint hides what it needs; repair or delete it, then collect again"
)


def _execute(objects: Objects, tag: str, candidates: set[str]) -> Collected:
    """The notice is up. Look once more who is there, and only then remove."""
    writers = _writers(objects, tag)
    needed, sessions = _needed(objects, tag)
    if needed is None:
        return _POSTPONED_DAMAGED
    if _live(writers, sessions):
        return _POSTPONED_WRITERS
    return _remove(objects, candidates - needed)


def _abandon_session(objects: Objects, session: Session) -> Collected:
    store = objects.store
    sign = session.marker + ABANDONED
    with contextlib.suppress(AlreadyExists):
        store.put(sign, _SIGN)
    try:
        if _is_committed(objects, session):
            raise Conflict(
                f"the checkpoint {session.checkpoint_id} is finished and cannot be abandoned",
                advice="Delete the checkpoint instead",
            )
    except (Conflict, BankDamaged):
        store.delete(sign)
        raise
    if session.marker not in {e.name for e in store.list(session.marker)}:
        # It was committed, and deleted since: others may share what it stored.
        store.delete(sign)
        return Collected()
    removed = _remove(objects, [e.name for e in store.list(session.folder)])
    if _is_committed(objects, session):
        store.delete(session.manifest)  # it came too late: what it needs is gone
    store.delete(session.marker)
    store.delete(sign)
    return removed


def _is_committed(objects: Objects, session: Session, *, unsure: bool = False) -> bool:
    """Whether this session's manifest is there; ``unsure`` is the answer for an unreadable one."""
    try:
        return get_manifest(objects, find(objects, session.checkpoint_id)).session == session.id
    except (NotFound, ObjectMissing):
        return False
    except BankDamaged:
        if unsure:
            return True
        raise


def _writers(objects: Objects, tag: str) -> list[tuple[Session, float]]:
    """The sessions that have a marker, and its age in seconds."""
    now = time.time()
    found: dict[Session, float] = {}
    for entry in objects.store.list("writers/"):
        session = Session.of_marker(entry.name)
        if session.tag == tag:
            found[session] = max(found.get(session, 0.0), now - entry.modified)
    return list(found.items())


def _live(writers: list[tuple[Session, float]], committed: set[str]) -> bool:
    """Whether one of the writers may still commit something."""
    return any(session.id not in committed for session, _ in writers)


def _needed(objects: Objects, tag: str) -> tuple[set[str] | None, set[str]]:
    """All objects that a project's checkpoints need (None: that cannot be told), and the sessions
    that wrote them."""
    needed: set[str] = set()
    sessions: set[str] = set()
    for _, manifest in manifests(objects, tag):
        if not isinstance(manifest, Manifest):
            return None, sessions
        try:
            kept = get_checkpoint(objects, manifest)
        except BankDamaged:
            if _vanished(objects, manifest):
                continue
            return None, sessions
        needed.update((manifest.body, *kept.indexes, *kept.packs))
        sessions.add(manifest.session)
    return needed, sessions


def _vanished(objects: Objects, manifest: Manifest) -> bool:
    """Whether a checkpoint whose body is missing was deleted while we looked."""
    try:
        find(objects, manifest.info.id)
    except NotFound:
        return True
    return False


def _remove(objects: Objects, names: Iterable[str]) -> Collected:
    freed = count = 0
    for name in sorted(names):
        try:
            size = objects.store.stat(name).size
        except ObjectMissing:
            continue
        objects.store.delete(name)
        freed += size
        count += 1
    return Collected(freed, count)


def _forget_old_notices(objects: Objects, tag: str) -> None:
    """Remove the notices of collections that died; they only made the bank larger."""
    for entry in list(objects.store.list(f"condemned/{tag}.")):
        if time.time() - entry.modified > _COLLECTOR_LIVES:
            objects.store.delete(entry.name)

"""Taking away: what a writer left behind, and what no checkpoint needs.

Nothing here takes a lock: other processes may write, commit, abandon and collect at any moment. The order
of the steps is what keeps them safe; ``docs/bank-format.md`` has the argument, "Removing things safely".
"""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from refloat.bank import heads, holds, said
from refloat.bank.lost import lost
from refloat.bank.manifest import Checkpoint, Manifest, find, get_checkpoint, get_manifest, manifests
from refloat.bank.mount import refuse_late
from refloat.bank.objects import ABANDONED, Objects, WriteSession
from refloat.bank.reserve import put_before_removal, restock
from refloat.bank.sealing import KIND_CONDEMNED, tag_in
from refloat.bank.store import AlreadyExists, Denied, ObjectMissing, exists
from refloat.bank.tombstones import (
    WATCH,
    drop_tombstone,
    forget_lost_packs,
    put_condemned,
    put_tombstone,
    store_time,
    tombstones,
)
from refloat.errors import BankDamaged, Conflict, Held, NotFound

WRITER_LIVES = 7 * 86400.0
"""A writer whose marker is older than this many seconds, and was not renewed since, is taken for dead."""

_DELETION_TAKES = 86400.0
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
    objects.confirm()
    names = {e.name for e in objects.store.list(f"writers/{checkpoint_id}.")}
    total = Collected()
    finished: Conflict | None = None
    for session in sorted({WriteSession.of_marker(name) for name in names}, key=lambda s: s.id):
        try:
            total += _abandon_session(objects, session)
        except Conflict as error:
            finished = error
    restock(objects.store, objects.keys.root)
    if finished is not None:
        raise finished
    return total


def delete(objects: Objects, checkpoint_id: str, *, tag: str = "", young: bool = False) -> Collected:
    """Remove a checkpoint, and what only it needed.

    :param tag: of its project, if that is known.
    :param young: also one that the shortest retention keeps.
    :raises NotFound: there is none.
    :raises Held: it must be kept, or this host may delete nothing.
    """
    objects.confirm()
    refuse_late(objects.store)
    heads.refuse_older(objects)
    name = find(objects, checkpoint_id, tag)
    tag = name.rpartition(".")[2]
    try:
        own = _own(objects, tag, checkpoint_id, name)
    except ObjectMissing:
        raise NotFound(f"the checkpoint {checkpoint_id} was deleted just now") from None
    holds.refuse_held(objects, holds.of(objects, checkpoint_id), young=young)
    # The tombstone tells a deletion from the loss of a manifest; and whoever places a hold, that it is late.
    tombstone = put_tombstone(objects, tag, own)
    try:
        over = holds.of(objects, checkpoint_id)
        holds.refuse_held(objects, over, young=young)
    except Held:
        drop_tombstone(objects, tombstone)
        raise
    # The marker first: a marker without its manifest allows to abandon, and others may by now share
    # what this checkpoint's writer stored.
    for marker in list(objects.store.list(f"writers/{checkpoint_id}.{tag}.")):
        if not marker.name.endswith(ABANDONED) and _is_committed(
            objects, WriteSession.of_marker(marker.name), unsure=True
        ):
            objects.store.delete(marker.name)
    with heads.removing(objects, [name, *(hold.name for hold in over)]):
        objects.check()  # only this has a name that is used again, by a copy that is made anew
        objects.store.delete(name)
        removed = _remove(objects, own | set(said.names(objects, checkpoint_id)))
        holds.forget(objects, over)
    drop_tombstone(objects, tombstone)
    return removed + collect(objects, tag)


def _own(objects: Objects, tag: str, checkpoint_id: str, name: str) -> set[str]:
    """What belongs to a checkpoint alone: the bodies and indexes of its session.

    Of one whose manifest is damaged: the body, if there is one that says so.
    """
    try:
        session = WriteSession(checkpoint_id, tag, get_manifest(objects, name).session)
    except BankDamaged:
        found = find_lost(objects, tag)
        return {body for body, (manifest, _) in found.items() if manifest.info.id == checkpoint_id}
    entries = objects.store.list(session.folder)
    return {entry.name for entry in entries if not entry.name.endswith(".pack")}


def collect(objects: Objects, tag: str) -> Collected:
    """Remove what none of a project's checkpoints needs.

    What a writing that has begun may rely on is only condemned, and removed by a later collection, when
    that writing has ended. Nothing is removed while a manifest cannot be read.

    :raises Held: this host may delete nothing.
    """
    objects.confirm()
    refuse_late(objects.store)
    total = Collected()
    try:
        _drop_unreadable(objects, tag)
        total += _abandon_expired(objects, tag)
        pending: set[str] = set()
        for tombstone in tombstones(objects, tag):
            done, left = _execute(objects, tag, tombstone)
            total += done
            pending |= left
        seen = _look(objects, tag)
    except BankDamaged:
        seen = None
    objects.confirm()  # before anything is condemned because no manifest names it
    if seen is None:
        return total + _POSTPONED_DAMAGED
    for checkpoint_id in seen.lost:
        total += Collected(postponed=f"the manifest of the checkpoint {checkpoint_id} is lost; repair it")
    writing = tuple(f"data/{tag}/{session}/" for session in seen.alive)
    candidates = {n for n in seen.stored - seen.needed - pending if not n.startswith(writing)}
    if candidates:
        total += _execute(objects, tag, put_tombstone(objects, tag, candidates))[0]
    elif writing and not total.postponed:
        total += _POSTPONED_WRITERS
    forget_lost_packs(objects, tag, seen.stored)
    restock(objects.store, objects.keys.root)
    return total


def find_lost(objects: Objects, tag: str) -> dict[str, tuple[Manifest, Checkpoint]]:
    """The checkpoints of a project whose manifests are lost or damaged, by the names of their bodies."""
    stored = {e.name for e in objects.store.list(f"data/{tag}/")}
    known = {session.id for session, _ in _writers(objects, tag)}
    needed: set[str] = set()
    for _, manifest in manifests(objects, tag):
        if isinstance(manifest, Manifest):
            needed.add(manifest.body)
            known.add(manifest.session)
    return lost(objects, tag, stored, needed, known)


def erase(objects: Objects, tag: str) -> Collected:
    """Remove everything of a project whose keys are gone."""
    prefixes = (
        f"data/{tag}/",
        f"condemned/{tag}.",
        f"damaged/{tag}.",
        "checkpoints/",
        "writers/",
        "alive/",
        said.ABOUT,
    )
    names = [e.name for prefix in prefixes for e in objects.store.list(prefix) if tag_in(e.name) == tag]
    names += [hold.name for hold in holds.of(objects) if hold.tag == tag]
    with heads.removing(objects, [name for name in names if name.startswith(("checkpoints/", holds.HOLDS))]):
        return _remove(objects, names)


def being_abandoned(objects: Objects, tag: str) -> set[str]:
    """The sessions that are being undone: nobody may begin to rely on what they stored."""
    names = [e.name for e in objects.store.list("writers/") if e.name.endswith(ABANDONED)]
    return {session.id for session in map(WriteSession.of_marker, names) if session.tag == tag}


_POSTPONED_WRITERS = Collected(
    postponed="a checkpoint of this project is being written; collect again when it is finished"
)
_POSTPONED_DAMAGED = Collected(
    postponed="a damaged checkpoint hides what it needs; repair or delete it, then collect again"
)


def _drop_unreadable(objects: Objects, tag: str) -> None:
    """Remove the tombstones that nobody can execute (what they named is found again), and watches of none."""
    names = {entry.name for entry in objects.store.list(f"condemned/{tag}.")}
    for name in names:
        if name.endswith(WATCH) and name.removesuffix(WATCH) not in names:
            drop_tombstone(objects, name)
    for tombstone in tombstones(objects, tag):
        with contextlib.suppress(ObjectMissing):
            try:
                objects.get_json(KIND_CONDEMNED, tombstone)
                _watched(objects, tombstone)
            except BankDamaged:
                drop_tombstone(objects, tombstone)


def _execute(objects: Objects, tag: str, tombstone: str) -> tuple[Collected, set[str]]:
    """A tombstone is up. When nobody is left who may rely on what it names, remove that, then the tombstone.

    :returns: what was removed, and what the tombstone still names.
    """
    store = objects.store
    try:
        candidates = set(objects.get_json(KIND_CONDEMNED, tombstone))
    except ObjectMissing:
        return Collected(), set()  # another collection has finished it
    watched = _watched(objects, tombstone)
    seen = _look(objects, tag)
    if seen is None:
        return _POSTPONED_DAMAGED, candidates
    alive = seen.alive if watched is None else seen.alive & watched
    if alive:
        if watched is None:
            with contextlib.suppress(AlreadyExists):
                put_condemned(objects, tombstone + WATCH, alive)
        return _POSTPONED_WRITERS, candidates
    there = {e.name: e.modified for e in store.list(tombstone)}
    if tombstone not in there:
        return Collected(), set()  # those who came since did not see it
    if any(not name.endswith(".pack") for name in candidates & seen.needed) and _is_young(
        objects, tag, there[tombstone], _DELETION_TAKES
    ):
        return Collected(), candidates  # of a deletion that has only begun, or was interrupted
    removed = _remove(objects, candidates - seen.needed)
    drop_tombstone(objects, tombstone)
    return removed, set()


@dataclass(frozen=True, slots=True)
class _Seen:
    """How a project's part of the bank looks.

    :param stored: its objects below ``data/``.
    :param needed: what its checkpoints need.
    :param alive: sessions that have a marker and no manifest.
    :param lost: checkpoints that have lost their manifests.
    """

    stored: set[str]
    needed: set[str]
    alive: set[str]
    lost: list[str]


def _look(objects: Objects, tag: str) -> _Seen | None:
    """Look at a project, in this order: objects, markers, manifests. None: a manifest cannot be read."""
    stored = {e.name for e in objects.store.list(f"data/{tag}/")}
    writers = {session.id for session, _ in _writers(objects, tag)}
    needed, committed = _needed(objects, tag)
    if needed is None:
        return None
    found = lost(objects, tag, stored, needed, committed | writers)
    for body, (_, kept) in found.items():
        needed.update((body, *kept.indexes, *kept.packs))
    return _Seen(stored, needed, writers - committed, [manifest.info.id for manifest, _ in found.values()])


def _watched(objects: Objects, tombstone: str) -> set[str] | None:
    """The writings that a tombstone waits for; None: it is not known yet."""
    try:
        return set(objects.get_json(KIND_CONDEMNED, tombstone + WATCH))
    except ObjectMissing:
        return None


def _abandon_expired(objects: Objects, tag: str) -> Collected:
    """Undo the writings of those who are long dead, by the store's own clock, or were too late."""
    renewed = _renewals(objects, tag)
    total = Collected()
    for session, since in _writers(objects, tag):
        latest = max([since, *renewed.pop(session.id, {}).values()])
        if _is_young(objects, tag, latest, WRITER_LIVES) and not _is_superseded(objects, session):
            continue
        try:
            total += _abandon_session(objects, session)
        except Conflict:
            objects.store.delete(session.marker)  # it had committed
            drop_renewals(objects, session)
    for name in [name for left in renewed.values() for name in left]:
        with contextlib.suppress(Denied):
            objects.store.delete(name)  # of a writing that has ended
    return total


def _renewals(objects: Objects, tag: str) -> dict[str, dict[str, float]]:
    """The renewals of markers, and their times, by session."""
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for entry in objects.store.list("alive/"):
        if tag_in(entry.name) == tag:
            found[entry.name.split(".")[2]][entry.name] = entry.modified
    return found


def drop_renewals(objects: Objects, session: WriteSession) -> None:
    """Its marker is gone; under object lock they stay until a later collection."""
    with contextlib.suppress(Denied):
        for entry in list(objects.store.list(session.renewals)):
            objects.store.delete(entry.name)


def _is_young(objects: Objects, tag: str, since: float, limit: float) -> bool:
    """Whether less than ``limit`` seconds have passed, by the store's clock.

    That of this machine only says whether it is worth while to ask the store for its own.
    """
    return time.time() - since < limit or store_time(objects, tag) - since < limit


def _abandon_session(objects: Objects, session: WriteSession) -> Collected:
    store = objects.store
    sign = session.marker + ABANDONED
    with contextlib.suppress(AlreadyExists):
        put_before_removal(store, sign, _SIGN)
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
        with heads.removing(objects, [session.manifest]):
            store.delete(session.manifest)  # it came too late: what it needs is gone
    removed += _remove(objects, [e.name for e in store.list(session.folder)])  # and what came with it
    if exists(objects.store, session.hold):
        with heads.removing(objects, [session.hold]):
            store.delete(session.hold)
    store.delete(session.marker)
    store.delete(sign)
    drop_renewals(objects, session)
    return removed


def _is_committed(objects: Objects, session: WriteSession, *, unsure: bool = False) -> bool:
    """Whether this session's manifest is there; ``unsure`` is the answer for an unreadable one."""
    try:
        return get_manifest(objects, find(objects, session.checkpoint_id, session.tag)).session == session.id
    except (NotFound, ObjectMissing):
        return False
    except BankDamaged:
        if unsure:
            return True
        raise


def _is_superseded(objects: Objects, session: WriteSession) -> bool:
    """Whether its checkpoint is there, and another session has written it."""
    try:
        return get_manifest(objects, find(objects, session.checkpoint_id, session.tag)).session != session.id
    except (NotFound, ObjectMissing):
        return False


def unfinished(objects: Objects) -> list[tuple[WriteSession, float]]:
    """The sessions that have a marker, and since when by the store's time."""
    found: dict[WriteSession, float] = {}
    for entry in objects.store.list("writers/"):
        session = WriteSession.of_marker(entry.name)
        found[session] = min(found.get(session, entry.modified), entry.modified)
    return list(found.items())


def _writers(objects: Objects, tag: str) -> list[tuple[WriteSession, float]]:
    return [(session, since) for session, since in unfinished(objects) if session.tag == tag]


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
            if _vanished(objects, manifest, tag):
                continue
            return None, sessions
        needed.update((manifest.body, *kept.indexes, *kept.packs))
        sessions.add(manifest.session)
    return needed, sessions


def _vanished(objects: Objects, manifest: Manifest, tag: str) -> bool:
    """Whether a checkpoint whose body is missing was deleted while we looked."""
    try:
        find(objects, manifest.info.id, tag)
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

"""Heads: what a bank says of itself as a whole, in a chain: an older state is not taken for the present.

A *head* (``keys/<bank id>.head.<number>``) names the manifests, slots, holds and erased keys that are there.
It is sealed under the root and written once; the next has the next number, and the ids of those before. What
is written gets a head before (it is *coming*) and one after; what is removed, one before (it is *going*) and
one after. So what was removed and is put back is in no head, and what a head names Refloat did not remove.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from blake3 import blake3

from refloat.bank.manifest import MANIFESTS, get_manifest
from refloat.bank.mount import late_at
from refloat.bank.objects import Json, Objects, canonical
from refloat.bank.reserve import put_before_removal
from refloat.bank.roots import public_half
from refloat.bank.sealing import KIND_HEAD, Header
from refloat.bank.store import AlreadyExists, ObjectMissing, exists
from refloat.errors import BankDamaged, BankError, Conflict, OlderBank, RefloatError

_KEPT = 8
_HISTORY = 500
_ATTEMPTS = 100
_UNKNOWN = "?"
_KEYS = re.compile(r"keys/([0-9a-f]{32})\.(?:[0-9a-f]{32}|erased\.[0-9a-f]{16}\.[0-9]+|root\.[0-9]+)")
_SLOT = re.compile(r"keys/[0-9a-f]{32}\.([0-9a-f]{32})")

Marks = Mapping[str, str]
"""Names of objects. Of a manifest: the session that wrote it; of a slot: the public half of its key, if that
is known (see :mod:`refloat.bank.roots`); of others: nothing."""


@dataclass(frozen=True, slots=True)
class Head:
    """One head.

    :param id: a fingerprint of it.
    :param history: the ids of those before, the latest first.
    :param epoch: of the root that it is under.
    """

    number: int
    id: str
    there: Marks
    coming: Marks
    going: Marks
    history: list[str]
    epoch: int

    def knows(self, name: str) -> bool:
        return name in self.there or name in self.coming or name in self.going

    @property
    def anchor(self) -> str:
        """What to remember of it elsewhere."""
        return f"{self.number}:{self.id}"


@dataclass(frozen=True, slots=True)
class Freshness:
    """Whether a bank is as its writers left it.

    :param anchor: of its latest head; empty: it has none, as one that an earlier Refloat made.
    :param problems: objects that were removed and are back, or that are gone and were not removed; and why.
    :param older: why it is not what it was when ``since`` was remembered; empty: it is.
    """

    anchor: str = ""
    problems: Mapping[str, str] = field(default_factory=dict)
    older: str = ""


@contextlib.contextmanager
def adding(objects: Objects, name: str) -> Iterator[None]:
    """Around the ``put`` of an object that heads name; in a full store, in the room of the reserve."""
    announce(objects, name)
    yield
    change(objects, there=[name])


def announce(objects: Objects, name: str, mark: str = "") -> None:
    """Before the ``put`` of an object that heads name."""
    change(objects, coming={name: mark}, reserve=True)


@contextlib.contextmanager
def removing(objects: Objects, names: Collection[str]) -> Iterator[None]:
    """Around the removal of objects that heads name."""
    if not names:
        yield
        return
    change(objects, going=names)
    try:
        yield
    except BaseException:
        with contextlib.suppress(RefloatError):
            change(objects, there=names)
        raise
    change(objects)


def change(
    objects: Objects,
    *,
    coming: Marks | None = None,
    there: Collection[str] | Marks = (),
    going: Collection[str] = (),
    reserve: bool = False,
    anew: bool = False,
) -> None:
    """Write the next head, in which what was coming or going has come or gone, as far as it has.

    :param there: these are there, if they are, whatever heads say; their marks, if that is not the same.
    :param reserve: use the room that is kept for removing things, also for what is coming.
    :param anew: take what is there for what is meant to be there, whatever heads say.
    :raises Conflict: others write heads all the time.
    :raises OlderBank: see :func:`refuse_older`.
    """
    head: Head | None
    for _ in range(_ATTEMPTS):
        number, head = _latest(objects) if anew else refuse_older(objects)
        if anew or head is None or head.number < number:  # none, or the newest cannot be read
            head = _continued(objects, number, head)
        if _put(objects, number + 1, _next(objects, head, coming or {}, there, going), reserve or not coming):
            break
    else:
        raise Conflict("the bank's head is being written by many others", advice="Try again")
    if objects.memory is not None and head.number and head.id != _UNKNOWN:
        # The new one may be lost, where two may write one number at the same moment. This is in its history.
        objects.memory.remember(head.anchor)
    with contextlib.suppress(BankError):  # as under object lock
        for entry in list(objects.store.list(_prefix(objects))):
            if _number(entry.name) <= number + 1 - _KEPT:
                objects.store.delete(entry.name)


def check(objects: Objects, since: str = "", *, manifests: bool = False) -> Freshness:
    """Compare what is there with the heads.

    :param since: the anchor that was remembered.
    :param manifests: read these too: one may have been replaced by an earlier one of its name.
    """
    first, before = _latest(objects)
    there = _present(objects, read=manifests)
    last, after = _latest(objects)
    older = _older(after, since)
    if before is None or after is None or (before.number, after.number) != (first, last):
        return Freshness(after.anchor if after else "", {}, older)  # nobody can tell
    problems = {}
    for name, mark in there.items():
        known = [h.get(name) for head in (before, after) for h in (head.there, head.coming, head.going)]
        if not any(each is not None for each in known):
            problems[name] = (
                "no head of the bank names it: it was removed and is back, or not made by Refloat"
            )
        elif mark and not any(each in ("", mark) for each in known if each is not None):
            problems[name] = "it is another than the bank's head names: an earlier one is back"
    for name in before.there.keys() & after.there.keys() - there.keys():
        problems[name] = "it is missing, and was not removed by Refloat"
    return Freshness(after.anchor, problems, older)


def refuse_older(objects: Objects) -> tuple[int, Head | None]:
    """Nothing is changed in an earlier state of a bank that has come in its place: its latest head.

    A head that a listing lacks is asked for by its name; where listings are late its absence says nothing.
    What cannot be read is a damage, not an earlier state.

    :raises OlderBank: the bank is older than it was when its head was last remembered.
    """
    since = objects.memory.last() if objects.memory is not None else ""  # before the listing: it only grows
    number, head = _latest(objects)
    older = _older(head, since)
    if objects.memory is None or not older:
        return number, head
    last, _, identity = since.partition(":")
    if head is not None and head.number >= int(last):
        sure = [head.id, *head.history][head.number - int(last)] not in (identity, _UNKNOWN)
    else:
        is_late = late_at(objects.store) is not None
        sure = not is_late and not exists(objects.store, f"{_prefix(objects)}{int(last):012}")
    if not sure:
        return number, head
    raise OlderBank(
        f"the bank in {objects.store.url} is an older copy of itself, and is not changed",
        reason=older,
        advice="Bring the newer one back, then try again. Restores from this one go on working. "
        f"If it is to take the newer one's place: {objects.memory.accept}",
    )


def publics(objects: Objects, epoch: int) -> dict[str, str]:
    """The public halves of keys, by their ids, that somebody who had the root of this epoch wrote down."""
    _, head = _latest(objects)
    marks = head.there if head is not None and head.epoch == epoch else {}
    return {match[1]: mark for name, mark in marks.items() if mark and (match := _SLOT.fullmatch(name))}


def unreadable(objects: Objects) -> dict[str, str]:
    """The heads that are not what was written, and why."""
    found, epoch = {}, 0
    for name in sorted(entry.name for entry in objects.store.list(_prefix(objects))):
        try:
            head = _read(objects, name)
        except ObjectMissing:
            continue
        except BankDamaged as error:
            found[name] = error.reason
            continue
        if head.epoch < epoch:
            found[name] = "it is under an earlier root than the head before it: a removed key has written it"
        epoch = max(epoch, head.epoch)
    return found


def mend(objects: Objects, *, apply: bool) -> list[str]:
    """The heads that cannot be read; ``apply`` writes the next one, and removes them."""
    found = sorted(unreadable(objects))
    if found and apply:
        change(objects)
        for name in found:
            objects.store.delete(name)
    return found


def _older(head: Head | None, since: str) -> str:
    if not since:
        return ""
    number, _, identity = since.partition(":")
    if head is None:
        return f"its head was number {number}, and it has none"
    if head.number < int(number):
        return f"its head was number {number}, and is number {head.number}"
    ids = [head.id, *head.history]
    at = head.number - int(number)
    if at < len(ids) and ids[at] != identity:
        return f"its head number {number} is another one: it was continued from an older state, or damaged"
    return ""


def _latest(objects: Objects) -> tuple[int, Head | None]:
    """The highest number of a head, and the newest that can be read, of the newest epoch that has one."""
    highest = 0
    best: Head | None = None
    for _ in range(_ATTEMPTS):
        names = sorted((entry.name for entry in objects.store.list(_prefix(objects))), reverse=True)
        highest = max([highest, *map(_number, names)])
        vanished = False
        for name in names:
            try:
                head = _read(objects, name)
                best = head if best is None or head.epoch > best.epoch else best
                if best.epoch == objects.keys.roots.epoch:
                    return highest, best
            except ObjectMissing:
                vanished = True  # so there are newer ones by now
            except BankDamaged:
                continue
        if best is not None or not vanished:
            break
    return highest, best


def _read(objects: Objects, name: str) -> Head:
    blob = objects.store.get(name)
    data = json.loads(objects.sealer.open(KIND_HEAD, name, blob))
    identity = blake3(blob).hexdigest(length=16)
    epoch = objects.keys.roots.epoch_of(Header.parse(name, blob, KIND_HEAD).key_id)
    return Head(_number(name), identity, data["there"], data["coming"], data["going"], data["history"], epoch)


def _number(name: str) -> int:
    end = name.rpartition(".")[2]
    return int(end) if end.isdecimal() else 0


def _prefix(objects: Objects) -> str:
    """In the folder keys: a copy of that, kept elsewhere, remembers a head too."""
    return f"keys/{objects.identity.id}.head."


def _continued(objects: Objects, number: int, head: Head | None) -> Head:
    """In the place of a head that there is not, or that cannot be read: all that is there."""
    history = [] if head is None else [*[_UNKNOWN] * (number - head.number - 1), head.id, *head.history]
    identity = head.id if head is not None and head.number == number else _UNKNOWN
    if identity != _UNKNOWN:
        history = history[1:]
    there = _present(objects, read=True)
    if head is not None:
        there |= {n: mark for n, mark in head.there.items() if n in there and _SLOT.fullmatch(n)}
    return Head(number, identity, there, {}, {}, history, head.epoch if head is not None else 0)


def _put(objects: Objects, number: int, content: Json, reserve: bool) -> bool:
    """Write a head; False: somebody was faster."""
    name = f"{_prefix(objects)}{number:012}"
    blob = objects.sealer.seal(KIND_HEAD, name, canonical(content))
    try:
        if reserve:
            put_before_removal(objects.store, name, blob)
        else:
            objects.store.put(name, blob)
    except AlreadyExists:
        return False
    return True


def _next(
    objects: Objects, head: Head, coming: Marks, there: Collection[str] | Marks, going: Collection[str]
) -> Json:
    # Whoever removes one of these now writes a head before, and then this one is not the next any more.
    marks = dict(there) if isinstance(there, Mapping) else {}
    there = [name for name in there if exists(objects.store, name)]
    now = dict(head.there)
    if 0 < head.epoch < objects.keys.roots.epoch:  # who has an earlier root may have written these marks
        now |= {name: "" for name in now if _SLOT.fullmatch(name)}
    pending = {**head.coming, **coming}
    for name, mark in list(pending.items()):
        if name in there or (name not in coming and exists(objects.store, name)):
            now[name] = _mark(objects, name) if name.startswith(MANIFESTS) else mark
            del pending[name]
        elif name not in coming and _was_given_up(objects, name, mark):
            del pending[name]
    now.update({name: _mark(objects, name) for name in there if name not in now})
    marks |= {
        f"keys/{objects.identity.id}.{objects.keys.roots.key.id.hex()}": public_half(objects.keys.roots.key)
    }
    now.update({name: mark for name, mark in marks.items() if name in now and mark})
    leaving = {n: mark for n, mark in head.going.items() if n not in there and exists(objects.store, n)}
    for name in going:
        leaving[name] = now.pop(name, pending.pop(name, leaving.get(name, "")))
    history = [head.id, *head.history][:_HISTORY] if head.number else []
    return {"there": now, "coming": pending, "going": leaving, "history": history}


def _present(objects: Objects, *, read: bool) -> dict[str, str]:
    """The objects that heads name.

    :param read: say by which session manifests were written.
    """
    names = [entry.name for prefix in (MANIFESTS, "holds/", "keys/") for entry in objects.store.list(prefix)]
    found = {}
    for name in names:
        key = _KEYS.fullmatch(name)
        if name.startswith("keys/") and (key is None or key[1] != objects.identity.id):
            continue
        found[name] = _mark(objects, name) if read else ""
    return found


def _mark(objects: Objects, name: str) -> str:
    """The session that wrote a manifest; empty: none, or it cannot be read."""
    if not name.startswith(MANIFESTS):
        return ""
    try:
        return get_manifest(objects, name).session
    except (BankDamaged, ObjectMissing):
        return ""


def _was_given_up(objects: Objects, name: str, session: str) -> bool:
    """Whether a manifest's writer has left. Of others there is no telling: they may be about to write."""
    return name.startswith(MANIFESTS) and not exists(
        objects.store, f"writers/{name.removeprefix(MANIFESTS)}.{session}"
    )

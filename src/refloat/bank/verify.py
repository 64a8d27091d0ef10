"""Verification: is everything that checkpoints need there, and is it what was written.

Three depths: *manifests* reads what describes the checkpoints; *existence* reads the indexes too, and sees
that every pack is there, whole, and holds by its own account what the indexes want of it; *full* reads every
chunk back, or a random sample of them. What many checkpoints share is looked at once. All damages are
collected, and each is named: the checkpoint, the section, the object, and why.
"""

from __future__ import annotations

import random
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, TypedDict, Unpack

from blake3 import blake3

from refloat.bank.collect import find_lost
from refloat.bank.dataindex import DataIndex, load_index
from refloat.bank.manifest import MANIFESTS, Checkpoint, Manifest, get_checkpoint, get_manifest, id_in
from refloat.bank.notes import NO_NOTES, Notes
from refloat.bank.objects import Objects
from refloat.bank.packing import WORKERS
from refloat.bank.packs import ChunkLocation, ChunkReader, Pack, largest_request, neighbours, read_footer
from refloat.bank.references import references
from refloat.bank.sealing import damaged, tag_in
from refloat.bank.store import ObjectMissing
from refloat.bank.verification_report import Damage, Depth, VerificationReport
from refloat.errors import BankDamaged, Cancelled

GRAPH = "graph"
"""Stands for a section where the checkpoint's graph itself is meant."""


class _Wanted(NamedTuple):
    """A chunk that indexes want: its size, and how many bytes of data it stands for."""

    chunk_id: bytes
    place: ChunkLocation
    size: int
    uses: int


class _Found(NamedTuple):
    """What came of looking at a part of a pack."""

    pack: str
    uses: int
    chunks: int
    bad: dict[int, str]
    whole: str


@dataclass(slots=True)
class _PackUse:
    """A pack, what is wanted of it, and which indexes want it."""

    pack: Pack
    chunk_key: bytes
    wanted: dict[int, _Wanted] = field(default_factory=dict)
    indexes: set[str] = field(default_factory=set)
    bad: dict[int, str] = field(default_factory=dict)
    whole: str = ""
    pending: int = 0

    def mark(self) -> str:
        places = b"".join(place.to_bytes(4, "big") for place in sorted(self.wanted))
        return blake3(places).hexdigest(length=8)


class Watched(TypedDict, total=False):
    """Who wants to know how far a verification is, and may end it."""

    progress: Callable[[int, int], None] | None
    """Called in this thread with bytes of data done and in all."""
    cancelled: Callable[[], bool] | None
    """Asked now and then; when it says yes, :class:`Cancelled`."""


class Manner(Watched, total=False):
    """How a verification is done."""

    sample: float
    """Which part of the chunks to read back, chosen at random; 1.0 (if nothing is said): all of them."""
    seed: int
    """Of that choice; 0: a new one, which the report names."""
    notes: Notes
    """Where to keep what was done, so that it can be resumed."""
    resume: bool
    """Go on where an interrupted verification of the same kind was, as the notes say."""


class Verifier:
    """One verification."""

    def __init__(self, objects: Objects, depth: Depth = "full", **manner: Unpack[Manner]) -> None:
        self._objects = objects
        self._depth = depth
        self._notes = manner.get("notes", NO_NOTES)
        self._resume = manner.get("resume", False)
        self._progress = manner.get("progress")
        self._cancelled = manner.get("cancelled")
        self._done = self._total = 0
        self._manifests: dict[str, str] = {}
        self._users: dict[str, set[tuple[str, str]]] = {}
        self._references: dict[str, set[tuple[int, str]]] = {}
        self._broken: dict[str, str] = {}
        self._packs: dict[str, _PackUse] = {}
        self._readers: dict[bytes, ChunkReader] = {}
        seed = manner.get("seed") or secrets.randbelow(1 << 31) + 1
        self.report = VerificationReport(depth, manner.get("sample", 1.0), seed)

    def checkpoints(self, names: Sequence[str], tags: Iterable[str] = ()) -> VerificationReport:
        """Verify checkpoints.

        :param names: of their manifests.
        :param tags: of projects in which to look for checkpoints that have lost theirs.
        """
        for tag in sorted(tags):
            self._find_lost(tag, names)
        for name in names:
            self._check_cancelled()
            kept = self._read(name)
            if kept is not None:
                self.report.checkpoints += 1
                self.report.read.append(kept.info.id)
                self._manifests[kept.info.id] = name
                self._note(kept)
        return self._run()

    def data(self, ref: tuple[str, int, str]) -> VerificationReport:
        """Verify one piece of data: its index's name, its size and its digest."""
        name, size, digest = ref
        self._users[name] = {("", "")}
        self._references[name] = {(size, digest)}
        return self._run()

    # --- what there is to look at

    def _read(self, name: str) -> Checkpoint | None:
        at = name
        try:
            manifest: Manifest = get_manifest(self._objects, name)
            at = manifest.body
            return get_checkpoint(self._objects, manifest)
        except ObjectMissing:
            return None  # it was deleted since it was listed
        except BankDamaged as error:
            if at != name and self._gone(name):
                return None
            self._add(id_in(name), "", at, error.reason)
            return None

    def _find_lost(self, tag: str, names: Sequence[str]) -> None:
        try:
            found = find_lost(self._objects, tag)
        except BankDamaged:
            return  # a tombstone is damaged: a collection removes it
        for manifest, kept in found.values():
            name = f"{MANIFESTS}{manifest.info.id}.{tag}"
            if name not in names:
                self._add(manifest.info.id, "", name, "it is missing, its checkpoint was not deleted")
            self._note(kept)

    def _gone(self, name: str) -> bool:
        return name not in {entry.name for entry in self._objects.store.list(name)}

    def _note(self, kept: Checkpoint) -> None:
        indexes = set(kept.indexes)
        for section, value in [(GRAPH, kept.graph), *kept.sections.items()]:
            for name, size, digest in references(value, indexes):
                self._users.setdefault(name, set()).add((kept.info.id, section))
                self._references.setdefault(name, set()).add((size, digest))
        for name in indexes:  # a reference that is none by its looks
            if name not in self._users:
                self._users[name] = {(kept.info.id, GRAPH)}

    def _run(self) -> VerificationReport:
        if self._depth != "manifests":
            self._load_indexes()
            self._look_at_packs()
        self._attribute()
        self._notes.end()
        return self.report

    def _load_indexes(self) -> None:
        for name in sorted(self._users):
            self._check_cancelled()
            try:
                index = load_index(self._objects.store, self._objects.sealer, name)
                chunk_key = self._objects.keys.chunk_key(index.project_id)
                self._check_references(name, index, chunk_key)
                self._want(name, index, chunk_key)
            except BankDamaged as error:
                self._broken[name] = error.reason
                continue
            self.report.pieces += 1
            self._total += index.size

    def _check_references(self, name: str, index: DataIndex, chunk_key: bytes) -> None:
        found = self._references.get(name)
        if found and found != {(index.size, index.digest(chunk_key))}:
            raise damaged(name, "it is the index of other data than its checkpoint says")

    def _want(self, name: str, index: DataIndex, chunk_key: bytes) -> None:
        tag = tag_in(name)
        self._done += sum(length for _, length in index.holes())
        for number, chunk_id, pack, place in index.stored():
            size = index.chunk_size(number)
            use = self._packs.get(pack.name)
            if use is None:
                use = self._packs[pack.name] = _PackUse(pack, chunk_key)
            use.indexes.add(name)
            before = use.wanted.get(place.place)
            wanted = _Wanted(chunk_id, place, size, size + (before.uses if before else 0))
            if use.pack != pack or tag_in(pack.name) != tag or (before and before[:3] != wanted[:3]):
                raise damaged(name, f"it says of {pack.name} what another index, or the name, denies")
            use.wanted[place.place] = wanted

    # --- looking

    def _look_at_packs(self) -> None:
        report = self.report
        about = {"depth": self._depth, "sample": report.sample}
        before = self._notes.begin(about, resume=self._resume)
        if self._resume and before is not None and report.sample < 1:
            report.seed = before.seed
        self._notes.seed(report.seed)
        chooser = random.Random(report.seed)  # noqa: S311
        self._tell()
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="bank-verify") as pool:
            pending: deque[Future[_Found]] = deque()
            try:
                for use in [self._packs[name] for name in sorted(self._packs)]:
                    chosen = self._chosen(use, chooser)
                    known = before.packs.get(use.pack.name) if before else None
                    if known is not None and known.mark == use.mark():
                        self._take_over(use, known.bad, known.whole)
                        continue
                    for task in self._tasks(use, chosen):
                        pending.append(pool.submit(task))
                        use.pending += 1
                        while len(pending) > 3 * WORKERS:
                            self._settle(pending.popleft().result())
                        self._check_cancelled()
                while pending:
                    self._check_cancelled()
                    self._settle(pending.popleft().result())
            finally:
                for future in pending:
                    future.cancel()

    def _chosen(self, use: _PackUse, chooser: random.Random) -> list[_Wanted]:
        found = sorted(use.wanted.values(), key=lambda each: each.place.offset)
        if self._depth != "full":
            return []
        if self.report.sample >= 1:
            return found
        return [each for each in found if chooser.random() < self.report.sample]

    def _tasks(self, use: _PackUse, chosen: list[_Wanted]) -> Iterator[Callable[[], _Found]]:
        """First the pack as a whole, then its chunks; the bytes of chunks that are not chosen count too."""
        rest = sum(each.uses for each in use.wanted.values()) - sum(each.uses for each in chosen)
        yield partial(self._check_pack, use, rest)
        if chosen:
            reader = self._reader(use.chunk_key)
            for span in neighbours(chosen, largest_request(self._objects.store)):
                yield partial(_check_span, reader, use.pack, span)

    def _reader(self, chunk_key: bytes) -> ChunkReader:
        """One for each project: a reader keeps memory for every thread, which takes time to get."""
        if chunk_key not in self._readers:
            self._readers[chunk_key] = ChunkReader(self._objects.store, self._objects.sealer, chunk_key)
        return self._readers[chunk_key]

    def _check_pack(self, use: _PackUse, uses: int) -> _Found:
        """A pack is there, whole, and holds by its own account what the indexes want of it."""
        name, store = use.pack.name, self._objects.store
        try:
            try:
                found, chunks = read_footer(store, self._objects.sealer, name, use.pack.size)
            except BankDamaged:
                size = store.stat(name).size
                if size == use.pack.size:
                    raise
                reason = f"it has {size} bytes instead of {use.pack.size}"
                cut = [place for place, each in use.wanted.items() if each.place.end > size]
                return _Found(name, uses, 0, dict.fromkeys(cut, reason), reason)
            here = dict(enumerate(chunks))
            if found != use.pack or any(here.get(p) != w[:2] for p, w in use.wanted.items()):
                raise damaged(name, "it does not hold what the index of the data says")
        except ObjectMissing:
            return _Found(name, uses, 0, dict.fromkeys(use.wanted, "it is missing"), "it is missing")
        except BankDamaged as error:
            return _Found(name, uses, 0, {}, error.reason)
        return _Found(name, uses, 0, {}, "")

    def _settle(self, found: _Found) -> None:
        use = self._packs[found.pack]
        use.pending -= 1
        use.bad.update(found.bad)
        use.whole = use.whole or found.whole
        self._done += found.uses
        self.report.chunks += found.chunks
        if not use.pending:
            self.report.packs += 1
            self._notes.add(use.pack.name, use.mark(), use.bad, use.whole)
        self._tell()

    def _take_over(self, use: _PackUse, bad: Mapping[int, str], whole: str) -> None:
        use.bad, use.whole = dict(bad), whole
        self._done += sum(each.uses for each in use.wanted.values())
        self.report.resumed += 1
        self.report.packs += 1
        self._tell()

    # --- whom it hurts

    def _attribute(self) -> None:
        self._forget_deleted()
        for name, reason in self._broken.items():
            for checkpoint_id, section in sorted(self._users[name]):
                self._add(checkpoint_id, section, name, reason)
        for use in self._packs.values():
            if use.bad or use.whole:
                self._attribute_pack(use)
        self.report.damages.sort(key=lambda each: (each.checkpoint_id, each.section, each.object))
        self.report.bytes = self._done

    def _forget_deleted(self) -> None:
        """A checkpoint that was deleted since it was read needs nothing. (Its manifest went first.)"""
        bad = {name for use in self._packs.values() if use.bad or use.whole for name in use.indexes}
        hurt = {checkpoint_id for name in bad | self._broken.keys() for checkpoint_id, _ in self._users[name]}
        gone = {each for each in hurt if each in self._manifests and self._gone(self._manifests[each])}
        for name in self._users:
            self._users[name] = {user for user in self._users[name] if user[0] not in gone}

    def _attribute_pack(self, use: _PackUse) -> None:
        if not any(self._users[name] for name in use.indexes):
            return
        full = self._depth == "full" and self.report.sample >= 1
        if use.bad or not full:
            self.report.lost_packs.add(use.pack.name)
        for name in sorted(use.indexes - self._broken.keys()):
            if not self._users[name]:
                continue
            index = load_index(self._objects.store, self._objects.sealer, name)
            hurt = {
                place.place: use.bad[place.place]
                for _, _, pack, place in index.stored()
                if pack.name == use.pack.name and place.place in use.bad
            }
            if not hurt and not use.whole:
                continue
            reason = use.whole or next(iter(hurt.values()))
            if hurt and not use.whole and len(hurt) > 1:
                reason += f"; {len(hurt)} chunks in all"
            for checkpoint_id, section in sorted(self._users[name]):
                self._add(checkpoint_id, section, use.pack.name, reason, readable=full and not hurt)

    def _add(
        self, checkpoint_id: str, section: str, name: str, reason: str, *, readable: bool = False
    ) -> None:
        self.report.damages.append(Damage(checkpoint_id, section, name, reason, readable))

    def _tell(self) -> None:
        if self._progress is not None and self._total:
            self._progress(min(self._done, self._total), self._total)

    def _check_cancelled(self) -> None:
        if self._cancelled is not None and self._cancelled():
            raise Cancelled("the verification was cancelled")


def _check_span(reader: ChunkReader, pack: Pack, span: list[_Wanted]) -> _Found:
    """Read chunks back; if that fails, one by one, to know which are bad."""
    try:
        _read_back(reader, pack, span)
        bad: dict[int, str] = {}
    except BankDamaged:
        bad = {}
        for each in span:
            try:
                _read_back(reader, pack, [each])
            except BankDamaged as error:
                bad[each.place.place] = error.reason
    return _Found(pack.name, sum(each.uses for each in span), len(span), bad, "")


def _read_back(reader: ChunkReader, pack: Pack, span: list[_Wanted]) -> None:
    sizes = [len(data) for data in reader.look(pack, [(each.chunk_id, each.place) for each in span])]
    if sizes != [each.size for each in span]:
        raise damaged(pack.name, "a chunk has another size than the index of the data says")

"""Writing one checkpoint: its data, then its manifest, or taking all of it back.

A writer announces itself with a marker object before it looks at what is in the bank, and takes the
marker away when it has committed or has been abandoned. That is what makes collecting garbage safe beside
it; the argument is in ``docs/bank-format.md``. A writer that died is reopened with the same checkpoint id:
the new one finds the marker, goes on in the same session and knows all chunks that were stored.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from refloat.bank.collect import abandon, being_abandoned
from refloat.bank.dataindex import RECORD, DataIndex, load_index
from refloat.bank.feeding import Watch, feed_extents, feed_stream
from refloat.bank.manifest import (
    CheckpointInfo,
    Manifest,
    find,
    get_checkpoint,
    get_manifest,
    manifests,
    put_body,
    put_manifest,
)
from refloat.bank.objects import (
    ABANDONED,
    Json,
    Objects,
    WriteSession,
    canonical,
    check_checkpoint_id,
    indexes_in,
)
from refloat.bank.packing import WORKERS, Feed, Found, Packer
from refloat.bank.packs import OpenPack, Pack, read_footer
from refloat.bank.sealing import KIND_INDEX, KIND_MARKER, Header
from refloat.bank.sources import Extents
from refloat.bank.store import AlreadyExists, ObjectMissing
from refloat.bank.streams import Source
from refloat.bank.tombstones import condemned, unreliable
from refloat.errors import BankDamaged, BankError, Conflict, InvalidInput, LeaseLost, NotFound

_log = logging.getLogger(__name__)

_PATIENCE = 30.0
_PAUSE = 0.1


class Writer:
    """Writes one checkpoint; made by :meth:`refloat.bank.Bank.writer`. Safe to use from many threads.

    Leaving it as a context manager closes it, nothing more: what was stored stays, for a writer
    opened later, until somebody commits or abandons.
    """

    def __init__(self, objects: Objects, checkpoint_id: str, project_id: str) -> None:
        self._objects = objects
        self._project_id = project_id
        self._session = _announce(objects, checkpoint_id, objects.sealer.tag(project_id))
        self._chunk_key = objects.sealer.chunk_key(project_id)
        self._packer = Packer(objects, self._session, self._chunk_key)
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix=f"bank-{checkpoint_id[:8]}")
        self._loading = threading.Lock()
        self._loaded = False
        self._indexes: dict[str, DataIndex] = {}
        self._closed = False
        self._finished = False

    @property
    def checkpoint_id(self) -> str:
        """The checkpoint being written."""
        return self._session.checkpoint_id

    def put_data(
        self,
        source: Source | Extents,
        *,
        size: int | None = None,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> dict[str, Any]:
        """Store data; it is durable when this returns.

        :param source: a stream, which is something with ``read(n)`` or an iterable of bytes; or
            :class:`refloat.bank.sources.Extents`, which is read by many threads and skips holes.
        :param size: how many bytes it has; a source of another size is refused.
        :param progress: called in this thread with the bytes done and ``size`` (0: not known).
        :param cancelled: asked in this thread now and then; when it says yes, :class:`Cancelled`.
        :returns: the reference for :meth:`refloat.bank.Bank.open_data`: JSON with ``object``,
            ``size``, ``digest`` (the same for the same bytes of the same project) and ``stored``,
            the bytes this added to the bank. It has to be somewhere in the graph or in a section
            when the checkpoint is committed; data that nothing refers to is removed then.
        """
        self._check_open()
        self._load()
        watch = Watch(size, progress, cancelled)
        with Feed(self._pool, self._packer) as feed:
            if isinstance(source, Extents):
                length = feed_extents(feed, source, watch)
            else:
                length = feed_stream(feed, source, watch)
            found, added = feed.finish()
        index = _index(self._project_id, length, found)
        name = self._session.new_name("index")
        blob = self._objects.sealer.seal(KIND_INDEX, name, index.encode())
        self._objects.store.put(name, blob)
        self._indexes[name] = replace(index, key_id=Header.parse(name, blob, KIND_INDEX).key_id)
        digest = index.digest(self._chunk_key)
        return {"object": name, "size": length, "digest": digest, "stored": added + len(blob)}

    def commit(
        self,
        *,
        created_at: str,
        provider: str = "",
        plan: Mapping[str, Any] | None = None,
        extra: Mapping[str, Any] | None = None,
        graph: Json,
        sections: Mapping[str, Json],
    ) -> None:
        """Make the checkpoint exist, and close the writer. Doing it again with the same content is fine.

        :param created_at: when, in UTC, as ``2031-01-31T12:00:00+00:00`` (or with ``Z``).
        :param sections: ``TYPE#id`` -> JSON.
        :raises Conflict: the checkpoint exists with another content, or this writer was abandoned.
        """
        if not self._finished:
            self._check_open()
        _check_time(created_at)
        self._objects.confirm()
        info = CheckpointInfo(
            self.checkpoint_id, self._project_id, created_at, provider, dict(plan or {}), dict(extra or {})
        )
        described = [info.project_id, created_at, provider, info.plan, info.extra, graph, dict(sections)]
        content = self._objects.sealer.digest(canonical(described))
        wrote: Manifest | None = None
        used: set[bytes] = set()
        if not self._committed(content) and self._announced(content):
            lists, sizes, used = self._references([graph, dict(sections)])
            body = self._session.new_name("body")
            manifest = Manifest(info, self._session.id, body, content)
            put_body(self._objects, manifest, graph, sections, lists)
            try:
                self._check_there(content, {body, *lists["indexes"]}, sizes)
                self._objects.sealer.keys.confirm(self._session.tag, used)
            except (BankError, Conflict):
                self._withdraw(body)
                raise
            try:
                put_manifest(self._objects, self._session.manifest, manifest)
                wrote = manifest
            except AlreadyExists:
                pass  # somebody was faster; who, is seen below
            except LeaseLost:
                self._withdraw(body)
                raise
        self._confirm(content, wrote is not None)
        self._read_back(content, used, wrote)
        self._tidy()
        self._finished = True
        self.close()

    def abandon(self) -> None:
        """Remove everything that was stored for this checkpoint id and is not part of a checkpoint.

        :raises Conflict: it was committed; delete the checkpoint instead.
        """
        self.close()
        abandon(self._objects, self.checkpoint_id)

    def close(self) -> None:
        """Stop the threads. What was stored and the marker stay."""
        self._closed = True
        self._pool.shutdown(wait=True)
        self._packer.close()

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise Conflict(f"the writer of the checkpoint {self.checkpoint_id} is closed")

    # --- data

    def _load(self) -> None:
        """Learn which chunks the project has in the bank, once."""
        with self._loading:
            if not self._loaded:
                self._learn()
                self._loaded = True

    def _learn(self) -> None:
        """The order is what makes it safe: tombstones, manifests, signs of abandonment, packs."""
        store, tag = self._objects.store, self._session.tag
        try:
            doomed = unreliable(self._objects, tag)
        except BankDamaged as error:
            _log.warning("Everything is stored anew: %s", error)
            return
        for entry in [e for e in store.list(self._session.folder) if e.name.endswith(".pack")]:
            try:
                pack, chunks = read_footer(store, self._objects.sealer, entry.name, entry.size)
            except BankError as error:
                _log.warning("A pack of an earlier attempt is not used: %s", error)
            else:
                self._packer.learn((chunk_id, pack, place) for chunk_id, place in chunks)
        for _ in self._pool.map(
            self._learn_checkpoint, (found for _, found in manifests(self._objects, tag))
        ):
            pass
        undone = [f"data/{tag}/{session}/" for session in being_abandoned(self._objects, tag)]
        there = {e.name: e.size for e in store.list(f"data/{tag}/")}
        self._packer.keep(
            {n: s for n, s in there.items() if n not in doomed and not n.startswith(tuple(undone))}
        )

    def _learn_checkpoint(self, manifest: Manifest | BankDamaged) -> None:
        """Learn the chunks of one checkpoint. What cannot be read is stored anew."""
        if isinstance(manifest, BankDamaged):
            _log.warning("Data of a damaged checkpoint is stored anew: %s", manifest)
            return
        try:
            for name in get_checkpoint(self._objects, manifest).indexes:
                self._packer.learn_index(load_index(self._objects.store, self._objects.sealer, name))
        except BankError as error:
            _log.warning("Data of a checkpoint is stored anew: %s", error)

    # --- the end

    def _withdraw(self, body: str) -> None:
        """Remove a body that will have no manifest: it would look as if that were lost."""
        with contextlib.suppress(BankError):
            self._objects.store.delete(body)

    def _committed(self, content: str) -> bool:
        """Whether the checkpoint exists, with just this content."""
        try:
            found = get_manifest(self._objects, find(self._objects, self.checkpoint_id))
        except NotFound:
            return False
        if found.content != content:
            raise Conflict(f"the checkpoint {self.checkpoint_id} exists, with another content")
        return True

    def _announced(self, content: str) -> bool:
        """Whether the marker is there; False if another process has just finished the same commit.

        :raises Conflict: it is not, because the writing was abandoned.
        """
        marker = self._session.marker
        if [entry.name for entry in self._objects.store.list(marker)] == [marker]:
            return True
        if not self._committed(content):
            raise self._given_up()
        return False

    def _given_up(self) -> Conflict:
        return Conflict(
            f"the writing of the checkpoint {self.checkpoint_id} was given up meanwhile",
            advice="Protect again",
        )

    def _confirm(self, content: str, wrote: bool) -> None:
        """The manifest was there a moment ago. Make sure that it stays and that nothing it needs goes.

        Whoever abandons or collects has put up a sign before looking for the manifest. So: no sign
        and the marker still there, nobody overlooked the manifest. A sign: wait until it is gone.
        No marker: it was abandoned or, by another process that finished the same commit, tidied up;
        everything being there tells which.
        """
        store = self._objects.store
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                manifest = get_manifest(self._objects, find(self._objects, self.checkpoint_id))
            except (NotFound, ObjectMissing):
                raise self._given_up() from None
            if manifest.content != content:
                raise Conflict(f"the checkpoint {self.checkpoint_id} exists, with another content")
            session = WriteSession(self.checkpoint_id, self._session.tag, manifest.session)
            signs = {entry.name for entry in store.list(session.marker)}
            if signs == {session.marker}:
                return
            if not signs:
                needed = _needed_by(self._objects, manifest)
                if not needed & condemned(self._objects, self._session.tag):
                    break
            if time.monotonic() > deadline:
                raise BankError(
                    f"whether the checkpoint {self.checkpoint_id} is finished cannot be told yet",
                    reason="another process is removing things from the bank",
                    advice="Try again",
                )
            time.sleep(_PAUSE)
        if not needed <= {entry.name for entry in store.list(f"data/{self._session.tag}/")}:
            if wrote:
                store.delete(self._session.manifest)
                store.delete(manifest.body)
            raise self._given_up()

    def _read_back(self, content: str, used: set[bytes], wrote: Manifest | None) -> None:
        """See that whoever opens the bank now can read the checkpoint: from the store, with no key in memory.

        :param used: the ids of the keys that its data is encrypted with.
        :param wrote: the manifest, if this writer has put it: it is taken back when it cannot be read.
        :raises WrongBank: the store does not hold this bank any more.
        """
        self._objects.confirm()
        objects = self._objects.fresh()
        try:
            manifest = get_manifest(objects, self._session.manifest)
            get_checkpoint(objects, manifest)
            objects.sealer.keys.confirm(self._session.tag, used)
        except (BankDamaged, ObjectMissing, Conflict) as error:
            if wrote is not None:
                self._objects.store.delete(self._session.manifest)
                self._withdraw(wrote.body)
            raise self._given_up() from error
        if manifest.content != content:
            raise Conflict(f"the checkpoint {self.checkpoint_id} exists, with another content")

    def _references(self, value: Json) -> tuple[dict[str, list[str]], dict[str, int], set[bytes]]:
        """The names of the indexes that a checkpoint mentions and of the packs these need, how large each of
        the packs is, and the ids of the keys that all of them are encrypted with."""
        names = sorted(indexes_in(value))
        packs: dict[str, int] = {}
        used: set[bytes] = set()
        for name in names:
            if not name.startswith(self._session.folder):
                raise InvalidInput(f"the data {name} was not stored by this writer")
            index = self._indexes.get(name) or load_index(self._objects.store, self._objects.sealer, name)
            packs.update((pack.name, pack.size) for pack in index.packs)
            used |= index.key_ids()
        return {"indexes": names, "packs": sorted(packs)}, packs, used

    def _check_there(self, content: str, names: set[str], sizes: Mapping[str, int]) -> None:
        """No checkpoint is made of what the store has lost. (Another process that has just finished
        the same commit may have tidied up.)"""
        there = {e.name: e.size for e in self._objects.store.list(f"data/{self._session.tag}/")}
        lost = [name for name in names if name not in there]
        lost += [name for name, size in sizes.items() if there.get(name) != size]
        if lost and not self._committed(content) and self._announced(content):
            raise BankDamaged(
                f"the bank has lost {lost[0]}, which this checkpoint needs",
                reason=f"{len(lost)} objects in all are missing or of a wrong size",
                advice="Protect again",
            )

    def _tidy(self) -> None:
        """Remove what earlier attempts left, and the marker. The checkpoint exists already: a store
        that refuses this must not turn it into a failure; a collection will do it later."""
        store = self._objects.store
        try:
            manifest = get_manifest(self._objects, self._session.manifest)
            if manifest.session == self._session.id:
                get_checkpoint(self._objects, manifest)  # or else nothing is surely superfluous
                needed = _needed_by(self._objects, manifest)
            else:
                needed = set()
            for entry in list(store.list(self._session.folder)):
                if entry.name not in needed:
                    store.delete(entry.name)
            store.delete(self._session.marker)
        except BankError as error:
            _log.warning("The checkpoint %s is kept; tidying up was refused: %s", self.checkpoint_id, error)


def _announce(objects: Objects, checkpoint_id: str, tag: str) -> WriteSession:
    """ChunkLocation the marker, or find the one of an earlier process."""
    check_checkpoint_id(checkpoint_id)
    names = {e.name for e in objects.store.list(f"writers/{checkpoint_id}.{tag}.")}
    if any(name.endswith(ABANDONED) for name in names):
        with contextlib.suppress(Conflict):  # it was committed before
            abandon(objects, checkpoint_id)  # this was interrupted
        names = {e.name for e in objects.store.list(f"writers/{checkpoint_id}.{tag}.")}
    if names:
        return WriteSession.of_marker(min(names))
    session = WriteSession.new(checkpoint_id, tag)
    about = {"checkpoint": checkpoint_id, "started_at": datetime.now(UTC).isoformat(), "process": os.getpid()}
    objects.put_json(KIND_MARKER, session.marker, about)
    try:
        objects.check()
    except LeaseLost as lost:
        if lost.ended:  # else whoever runs the operation now may have found it, and go on in this session
            objects.store.delete(session.marker)
        raise
    return session


def _needed_by(objects: Objects, manifest: Manifest) -> set[str]:
    try:
        kept = get_checkpoint(objects, manifest)
    except BankDamaged:
        return {manifest.body}
    return {manifest.body, *kept.indexes, *kept.packs}


def _index(project_id: str, size: int, found: list[Found]) -> DataIndex:
    numbers: dict[str, int] = {}
    packs: list[Pack] = []
    records = bytearray()
    for number, chunk_id, stored in found:
        pack = stored.pack.result if isinstance(stored.pack, OpenPack) else stored.pack
        if pack is None or stored.place is None:
            raise BankError("a part of the data could not be stored", advice="Try again")
        pack_number = numbers.setdefault(pack.name, len(packs))
        if pack_number == len(packs):
            packs.append(pack)
        place = stored.place
        records += RECORD.pack(number, chunk_id, pack_number, place.place, place.offset, place.stored_field())
    return DataIndex(project_id, size, packs, bytes(records))


def _check_time(text: str) -> None:
    try:
        aware = datetime.fromisoformat(text).utcoffset()
    except ValueError:
        aware = None
    if aware is None or aware.total_seconds():
        raise InvalidInput(f"{text!r} is not a time in UTC")

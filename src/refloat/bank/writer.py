"""Writing one checkpoint: its data, then its manifest, or taking all of it back.

A writer announces itself with a marker object before it looks at what is in the bank, and takes the
marker away when it has committed or has been abandoned. That is what makes collecting garbage safe beside
it; the argument is in ``docs/bank-format.md``. A writer that died is reopened with the same checkpoint id:
the new one finds the marker, goes on in the same session and knows all chunks that were stored.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from typing import Any

from refloat.bank.collect import abandon, being_abandoned
from refloat.bank.commit import Commit
from refloat.bank.dataindex import RECORD, DataIndex, load_index
from refloat.bank.feeding import Watch, feed_extents, feed_stream
from refloat.bank.manifest import (
    CheckpointInfo,
    Manifest,
    get_checkpoint,
    manifests,
)
from refloat.bank.markers import Renewal, announce
from refloat.bank.objects import (
    Json,
    Objects,
)
from refloat.bank.packing import WORKERS, Feed, Found, Packer
from refloat.bank.packs import CHUNK_SIZE, OpenPack, Pack, read_footer
from refloat.bank.reader import open_index
from refloat.bank.references import mark
from refloat.bank.sealing import KIND_INDEX, Header
from refloat.bank.sources import Extents, Former, Source
from refloat.bank.tombstones import unreliable
from refloat.closing import Closing
from refloat.errors import BankDamaged, BankError, Conflict, InvalidInput

_log = logging.getLogger(__name__)


class Writer(Closing):
    """Writes one checkpoint; made by :meth:`refloat.bank.Bank.writer`. Safe to use from many threads.

    Leaving it as a context manager closes it, nothing more: what was stored stays, for a writer
    opened later, until somebody commits or abandons.
    """

    def __init__(self, objects: Objects, checkpoint_id: str, project_id: str) -> None:
        self._objects = objects
        self._project_id = project_id
        self._session = announce(objects, checkpoint_id, objects.keys.project_tag(project_id))
        self._renewal = Renewal(objects, self._session)
        self._chunk_key = objects.keys.chunk_key(project_id)
        self._packer = Packer(objects, self._session, self._chunk_key)
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix=f"bank-{checkpoint_id[:8]}")
        self._loading = threading.Lock()
        self._loaded = False
        self._indexes: dict[str, DataIndex] = {}
        self._closed = False
        self._finished = False

    @property
    def checkpoint_id(self) -> str:
        return self._session.checkpoint_id

    def put_data(
        self,
        source: Source | Extents,
        *,
        size: int | None = None,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        former: Former | None = None,
    ) -> dict[str, Any]:
        """Store data; it is durable when this returns.

        :param source: a stream, which is something with ``read(n)`` or an iterable of bytes; or
            :class:`refloat.bank.sources.Extents`, which is read by many threads and skips holes.
        :param size: how many bytes it has; a source of another size is refused.
        :param progress: called in this thread with the bytes done and ``size`` (0: not known).
        :param cancelled: asked in this thread now and then; when it says yes, :class:`Cancelled`.
        :param former: what the extents had once: of them is read only what may have changed, and what may
            not be used again. The reference is the one that reading all of it gives.
        :raises BankDamaged: the former data's index is not what was written, or is gone.
        :raises InvalidInput: the former data has another size, or is another project's; or this is a stream.
        :returns: the reference for :meth:`refloat.bank.Bank.open_data`: JSON with ``object``,
            ``size``, ``digest`` (the same for the same bytes of the same project), ``stored``, the
            bytes this added to the bank, and ``mark``, which nobody else can make. It has to be
            somewhere in the graph or in a section when the checkpoint is committed; data that
            nothing refers to is removed then.
        """
        self._check_open()
        self._load()
        watch = Watch(size, progress, cancelled)
        with Feed(self._pool, self._packer) as feed:
            if isinstance(source, Extents):
                kept = self._unchanged(former, source.size) if former is not None else {}
                length = feed_extents(feed, source, watch, kept)
            elif former is not None:
                raise InvalidInput("a stream is always read as a whole")
            else:
                length = feed_stream(feed, source, watch)
            found, added = feed.finish()
        index = _index(self._project_id, length, found)
        name = self._session.new_name("index")
        blob = self._objects.sealer.seal(KIND_INDEX, name, index.encode())
        self._objects.store.put(name, blob)
        self._indexes[name] = replace(index, key_id=Header.parse(name, blob, KIND_INDEX).key_id)
        digest = index.digest(self._chunk_key)
        ref = {"object": name, "size": length, "digest": digest, "stored": added + len(blob)}
        return {**ref, "mark": mark(self._chunk_key, ref)}

    def differing(self, ref: Mapping[str, Any], former: Former) -> int:
        """How many chunks differ from the former ones of which it is said that they have not changed.

        :raises BankDamaged, InvalidInput: as ``put_data`` does.
        """
        now = open_index(self._objects, ref)
        then, changed = self._former(former, now.size)
        ids = [{number: chunk_id for number, chunk_id, *_where in index.stored()} for index in (now, then)]
        there = (ids[0].keys() | ids[1].keys()) - changed
        return sum(ids[0].get(number) != ids[1].get(number) for number in there)

    def commit(
        self,
        *,
        created_at: str,
        provider: str = "",
        plan: Mapping[str, Any] | None = None,
        extra: Mapping[str, Any] | None = None,
        graph: Json,
        sections: Mapping[str, Json],
        keep_until: datetime | None = None,
    ) -> None:
        """Make the checkpoint exist, and close the writer. Doing it again with the same content is fine.

        :param created_at: when, in UTC, as ``2031-01-31T12:00:00+00:00`` (or with ``Z``).
        :param sections: ``TYPE#id`` -> JSON.
        :param keep_until: nobody deletes it before then (UTC), but who may delete it young.
        :raises Conflict: the checkpoint exists with another content, or this writer was abandoned.
        """
        if not self._finished:
            self._check_open()
        _check_time(created_at)
        info = CheckpointInfo(
            self.checkpoint_id, self._project_id, created_at, provider, dict(plan or {}), dict(extra or {})
        )
        self._renewal.end()  # or one might come behind the commit
        try:
            Commit(self._objects, self._session, info, graph, sections, keep_until).run(self._indexes)
        except BaseException:
            if not self._finished:
                self._renewal = Renewal(self._objects, self._session)
            raise
        self._finished = True
        self.close()

    def abandon(self) -> None:
        """Remove everything that was stored for this checkpoint id and is not part of a checkpoint.

        :raises Conflict: it was committed; delete the checkpoint instead.
        """
        self.close()
        abandon(self._objects, self.checkpoint_id)

    def close(self) -> None:
        self._closed = True
        self._renewal.end()
        self._pool.shutdown(wait=True)
        self._packer.close()

    def _check_open(self) -> None:
        if self._closed:
            raise Conflict(f"the writer of the checkpoint {self.checkpoint_id} is closed")

    # --- data

    def _former(self, former: Former, size: int) -> tuple[DataIndex, set[int]]:
        """The index of former data, and the numbers of the chunks that may have changed."""
        index = open_index(self._objects, former.ref)
        if index.project_id != self._project_id:
            raise InvalidInput("the former data is another project's")
        if index.size != size:
            raise InvalidInput(f"the former data has {index.size} bytes, and this has {size}")
        return index, former.numbers(CHUNK_SIZE, size)

    def _unchanged(self, former: Former, size: int) -> dict[int, Found]:
        """The chunks that have not changed and may be used again, by number.

        Where they are is what this writer knows, never what the former index says: its packs may be gone,
        about to be removed, or damaged.
        """
        index, changed = self._former(former, size)
        return {
            number: Found(number, chunk_id, stored)
            for number, chunk_id, *_where in index.stored()
            if number not in changed and (stored := self._packer.known(chunk_id)) is not None
        }

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

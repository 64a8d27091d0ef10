"""Making a checkpoint exist: body, manifest, and the proof that whoever opens the bank now can read it.

Other processes may abandon, delete and collect meanwhile; why what is committed stays whole is argued in
``docs/bank-format.md``, "Removing things safely".
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from refloat.bank import heads
from refloat.bank.collect import drop_renewals
from refloat.bank.dataindex import DataIndex, load_index
from refloat.bank.holds import keep
from refloat.bank.manifest import (
    CheckpointInfo,
    Manifest,
    find,
    get_checkpoint,
    get_manifest,
    put_body,
    put_manifest,
)
from refloat.bank.objects import Json, Objects, WriteSession, canonical
from refloat.bank.references import lookalikes, mark
from refloat.bank.store import AlreadyExists, ObjectMissing, Store
from refloat.bank.tombstones import condemned
from refloat.errors import BankDamaged, BankError, Conflict, InvalidInput, LeaseLost, NotFound

_log = logging.getLogger(__name__)

_PATIENCE = 30.0
_PAUSE = 0.1
_ASKED_AT_ONCE = 16


class Commit:
    """The end of one session."""

    def __init__(
        self,
        objects: Objects,
        session: WriteSession,
        info: CheckpointInfo,
        graph: Json,
        sections: Mapping[str, Json],
        keep_until: datetime | None = None,
    ) -> None:
        self._objects = objects
        self._session = session
        self._info = info
        self._keep_until = keep_until
        self._graph = graph
        self._sections = dict(sections)
        described = [info.project_id, info.created_at, info.provider, info.plan, info.extra, graph]
        self._content = objects.keys.fingerprint(canonical([*described, self._sections]))

    def run(self, indexes: Mapping[str, DataIndex]) -> None:
        """Commit. Doing it again with the same content is fine.

        :param indexes: those that are in memory.
        :raises Conflict: the checkpoint exists with another content, or its writing was abandoned.
        """
        self._objects.confirm()
        wrote: Manifest | None = None
        used: set[bytes] = set()
        if not self._committed() and self._announced():
            lists, sizes, used = self._references(indexes)
            body = self._session.new_name("body")
            manifest = Manifest(self._info, self._session.id, body, self._content)
            put_body(self._objects, manifest, self._graph, self._sections, lists)
            try:
                self._check_there({body, *lists["indexes"]}, sizes)
                self._objects.keys.confirm(self._session.tag, used)
                if self._keep_until is not None:
                    keep(self._objects, self._session, self._info.project_id, self._keep_until)
            except (BankError, Conflict, LeaseLost):
                self._withdraw(body)
                raise
            try:
                heads.change(self._objects, coming={self._session.manifest: self._session.id})
                put_manifest(self._objects, self._session.manifest, manifest)
                wrote = manifest
            except AlreadyExists:
                pass  # somebody was faster; who, is seen below
            except LeaseLost:
                self._withdraw(body)
                raise
        self._confirm(wrote is not None)
        self._read_back(used, wrote)
        self._tidy()

    def _withdraw(self, body: str) -> None:
        """Remove a body that will have no manifest: it would look as if that were lost."""
        with contextlib.suppress(BankError):
            self._objects.store.delete(body)

    def _take_back(self, body: str) -> None:
        with contextlib.suppress(LeaseLost):  # removing it is allowed also then
            heads.change(self._objects, going=[self._session.manifest])
        self._objects.store.delete(self._session.manifest)
        self._withdraw(body)

    def _committed(self) -> bool:
        """Whether the checkpoint exists, with just this content."""
        try:
            found = get_manifest(self._objects, self._name())
        except NotFound:
            return False
        if found.content != self._content:
            raise Conflict(f"the checkpoint {self._session.checkpoint_id} exists, with another content")
        return True

    def _name(self) -> str:
        """That of the manifest, if it is there. :raises NotFound: it is not."""
        return find(self._objects, self._session.checkpoint_id, self._session.tag)

    def _announced(self) -> bool:
        """Whether the marker is there; False if another process has just finished the same commit.

        :raises Conflict: it is not, because the writing was abandoned.
        """
        marker = self._session.marker
        if [entry.name for entry in self._objects.store.list(marker)] == [marker]:
            return True
        if not self._committed():
            raise self._given_up()
        return False

    def _given_up(self) -> Conflict:
        return Conflict(
            f"the writing of the checkpoint {self._session.checkpoint_id} was given up meanwhile",
            advice="Protect again",
        )

    def _confirm(self, wrote: bool) -> None:
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
                manifest = get_manifest(self._objects, self._name())
            except (NotFound, ObjectMissing):
                raise self._given_up() from None
            if manifest.content != self._content:
                raise Conflict(f"the checkpoint {self._session.checkpoint_id} exists, with another content")
            session = WriteSession(self._session.checkpoint_id, self._session.tag, manifest.session)
            signs = {entry.name for entry in store.list(session.marker)}
            if signs == {session.marker}:
                return
            if not signs:
                needed = _needed_by(self._objects, manifest)
                if not needed & condemned(self._objects, self._session.tag):
                    break
            if time.monotonic() > deadline:
                raise BankError(
                    f"whether the checkpoint {self._session.checkpoint_id} is finished cannot be told yet",
                    reason="another process is removing things from the bank",
                    advice="Try again",
                )
            time.sleep(_PAUSE)
        if not needed <= sizes_of(store, needed).keys():
            if wrote:
                self._take_back(manifest.body)
            raise self._given_up()

    def _read_back(self, used: set[bytes], wrote: Manifest | None) -> None:
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
            objects.keys.confirm(self._session.tag, used)
        except (BankDamaged, ObjectMissing, Conflict) as error:
            if wrote is not None:
                self._take_back(wrote.body)
            raise self._given_up() from error
        if manifest.content != self._content:
            raise Conflict(f"the checkpoint {self._session.checkpoint_id} exists, with another content")

    def _references(
        self, indexes: Mapping[str, DataIndex]
    ) -> tuple[dict[str, list[str]], dict[str, int], set[bytes]]:
        """The names of the indexes that the checkpoint mentions and of the packs these need, how large each
        of the packs is, and the ids of the keys that all of them are encrypted with."""
        packs: dict[str, int] = {}
        used: set[bytes] = set()
        chunk_key = self._objects.keys.chunk_key(self._info.project_id)
        found = set()
        for ref in lookalikes([self._graph, self._sections]):
            if ref["object"].startswith(self._session.folder):
                found.add(ref["object"])
            elif ref.get("mark") == mark(chunk_key, ref):  # else it is what a user wrote
                raise InvalidInput(f"the data {ref['object']} was not stored by this writer")
        names = sorted(found)
        for name in names:
            index = indexes.get(name) or load_index(self._objects.store, self._objects.sealer, name)
            packs.update((pack.name, pack.size) for pack in index.packs)
            used |= index.key_ids()
        return {"indexes": names, "packs": sorted(packs)}, packs, used

    def _check_there(self, names: set[str], sizes: Mapping[str, int]) -> None:
        """No checkpoint is made of what the store has lost. (Another process that has just finished
        the same commit may have tidied up.)"""
        there = sizes_of(self._objects.store, {*names, *sizes})
        lost = [name for name in names if name not in there]
        lost += [name for name, size in sizes.items() if there.get(name) != size]
        if lost and not self._committed() and self._announced():
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
            heads.change(self._objects, there=[self._session.manifest])
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
            drop_renewals(self._objects, self._session)
        except (BankError, Conflict, LeaseLost) as error:
            _log.warning(
                "The checkpoint %s is kept; tidying up was refused: %s", self._session.checkpoint_id, error
            )


def _needed_by(objects: Objects, manifest: Manifest) -> set[str]:
    try:
        kept = get_checkpoint(objects, manifest)
    except BankDamaged:
        return {manifest.body}
    return {manifest.body, *kept.indexes, *kept.packs}


def sizes_of(store: Store, names: Iterable[str]) -> Mapping[str, int]:
    """The sizes of those that are there, asked one by one: a listing may be late."""

    def size(name: str) -> int | None:
        try:
            return store.stat(name).size
        except ObjectMissing:
            return None

    wanted = list(names)
    with ThreadPoolExecutor(_ASKED_AT_ONCE, "presence") as pool:
        found = zip(wanted, pool.map(size, wanted), strict=True)
        return {name: there for name, there in found if there is not None}

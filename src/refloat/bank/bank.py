"""A bank: checkpoints in a store, encrypted.

All of it is synchronous and safe to use from many threads; many processes may use one bank at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, Unpack

from refloat.bank import collect as collecting
from refloat.bank import databases, heads, said
from refloat.bank.bankkeys import BankKeys
from refloat.bank.beside import Opened, hurt_keys, not_fresh, tags_in
from refloat.bank.collect import Collected
from refloat.bank.dataindex import check_ref
from refloat.bank.descriptor import Descriptor
from refloat.bank.fence import Check, fenced
from refloat.bank.heads import Freshness
from refloat.bank.holds import BankHolds, refuse_held
from refloat.bank.info import Info, survey
from refloat.bank.keys import KeySource, ProjectKey
from refloat.bank.manifest import (
    MANIFESTS,
    Checkpoint,
    CheckpointInfo,
    find,
    get_checkpoint,
    get_manifest,
    listing,
)
from refloat.bank.mount import refuse_late
from refloat.bank.objects import HeadMemory, Objects, check_checkpoint_id
from refloat.bank.reader import DataReader
from refloat.bank.references import typed
from refloat.bank.repair import Repair, repair
from refloat.bank.reserve import restock
from refloat.bank.sealing import tag_in
from refloat.bank.second_copies import add_missing
from refloat.bank.store import ObjectMissing, Store
from refloat.bank.unlock import create, find_bank, look, unlock, unlock_project
from refloat.bank.verification_report import Depth, VerificationReport
from refloat.bank.verify import Manner, Verifier, Watched
from refloat.bank.writer import Writer
from refloat.errors import Conflict, NoBank, NotFound


@dataclass(frozen=True, slots=True)
class Verified:
    """What a verification read: data bytes (before compression) and pieces of data."""

    bytes: int
    pieces: int


class Bank(Opened):
    """An open bank.

    :param objects: its store, keys, and identity; :meth:`open` makes them.
    :param descriptor: what its descriptor says.
    :param only: the key of one project, if it was opened with that.
    :param key_id: which of its keys it was opened with, hexadecimal; empty: a project's.

    ``keys`` has and changes the keys that open it, and those of its projects; ``holds`` has what keeps
    checkpoints from being deleted; ``project_id`` is the only one that its key opens, empty: it opens all.
    """

    def __init__(
        self,
        objects: Objects,
        descriptor: Descriptor,
        *,
        only: ProjectKey | None = None,
        key_id: str = "",
    ) -> None:
        self._objects = objects
        self._only = only
        self.project_id = only.project_id if only else ""
        self._descriptor = descriptor
        self._has_copies = False
        self.id = descriptor.id
        self.keys = BankKeys(objects, key_id)
        self.holds = BankHolds(objects)

    @classmethod
    def open(
        cls, url: str | Store, key: KeySource | ProjectKey, *, create: bool = False, expect: str = ""
    ) -> Bank:
        """Open the bank at ``url`` (``file:///path`` or a plain path), or in a store.

        :param key: a bank's key, where to get it, or the key of a project (for reading only).
        :param create: make one if there is none, and none is expected.
        :param expect: the id of the bank that has to be there.
        :raises NoBank, WrongBank: there is none; the expected one is not there, but nothing or another one.
        :raises BankError: the key is of another bank, or the format is unknown.
        """
        try:
            store, found = find_bank(url, expect=expect)
        except NoBank:
            if not create or isinstance(key, ProjectKey):
                raise
            with suppress(Conflict):
                cls.create(url, key)
            store, found = find_bank(url)
        if isinstance(key, ProjectKey):
            objects, descriptor = unlock_project(store, found, key)
            return cls(objects, descriptor, only=key)
        objects, descriptor, key_id = unlock(store, found, key)
        return cls(objects, descriptor, key_id=key_id)

    create = staticmethod(create)
    look = staticmethod(look)

    def fenced(self, check: Check) -> Bank:
        """The same bank, for an operation that may be taken over: changed only while the check allows it.

        :param check: called, in any thread, right before each object is published.
        """
        view = copy(self)
        view._objects = replace(self._objects, store=fenced(self._objects.store, check), check=check)
        return view

    def remembering(self, memory: HeadMemory) -> Bank:
        """The same bank, whose latest head is remembered: an older copy of it is not changed."""
        objects = replace(self._objects, memory=memory)
        return Bank(objects, self._descriptor, only=self._only, key_id=self.keys.used)

    def refuse_older(self) -> None:
        """:raises OlderBank: it is older than it was when its head was last remembered."""
        if self._only is None:
            heads.refuse_older(self._objects)

    def checkpoints(self, project_id: str | None = None) -> list[CheckpointInfo]:
        """All checkpoints, or a project's, newest first; damaged ones are listed as such."""
        if project_id is None and self._only is not None:
            project_id = self._only.project_id
        tag = None if project_id is None else self._objects.keys.project_tag(project_id)
        found = said.with_it(self._objects, listing(self._objects, tag))
        self._objects.confirm()  # what the listing of another place lacks is not missing
        return found

    def checkpoint(self, checkpoint_id: str, project_id: str = "") -> Checkpoint:
        """One checkpoint.

        :param project_id: whose it is, if that is known: then no late listing hides it.
        :raises NotFound: there is none.
        :raises BankDamaged: it is not what was written.
        """
        name = find(self._objects, checkpoint_id, self._tag(project_id))
        try:
            kept = get_checkpoint(self._objects, get_manifest(self._objects, name))
        except ObjectMissing:
            raise NotFound(f"the checkpoint {checkpoint_id} was deleted just now") from None
        return replace(kept, sections=typed(kept.sections, set(kept.indexes)))

    def describe(self, checkpoint_id: str, about: dict[str, Any]) -> None:
        """Keep what is said of a checkpoint by now: ``extra["about"]`` of :meth:`checkpoints`.

        :raises NotFound: there is none.
        """
        said.write(self._objects, checkpoint_id, about)

    def writer(self, checkpoint_id: str, project_id: str) -> Writer:
        """Begin to write a checkpoint, or go on after a crash.

        Data is shared among the checkpoints of a project, never between projects.
        """
        check_checkpoint_id(checkpoint_id)
        self._objects.check()
        self._objects.confirm()
        self.refuse_older()
        if not self._has_copies:
            add_missing(self._objects)
            restock(self._objects.store, self._objects.keys.root)
            self._has_copies = True
        self._objects.keys.ensure(project_id)
        return Writer(self._objects, checkpoint_id, project_id)

    def abandon(self, checkpoint_id: str) -> Collected:
        """Remove everything that was stored for a checkpoint that was never committed.

        :raises Conflict: it was committed.
        """
        return collecting.abandon(self._objects, check_checkpoint_id(checkpoint_id))

    def recall(self, database_id: str) -> tuple[int, int] | None:
        """How far a database had come when one who uses it last said so here; None: nobody has."""
        return databases.recall(self._objects.store, database_id)

    def remember(self, database_id: str, number: int, sequence: int) -> None:
        databases.remember(self._objects.store, database_id, number, sequence)

    def open_data(self, ref: Any) -> DataReader:
        """Read data back.

        :param ref: what :meth:`Writer.put_data` returned.
        :raises BankDamaged: its index is not what was written; reading raises the same.
        """
        return DataReader(self._objects, ref)

    def verify_data(self, ref: Any, *, read_data: bool = True, **watched: Unpack[Watched]) -> Verified:
        """Check one piece of data.

        :raises BankDamaged: it is not what was written.
        """
        depth: Depth = "full" if read_data else "existence"
        check = Verifier(self._objects, depth, **watched)
        name, size, digest = check_ref(ref)
        report = check.data((name, size, digest))
        self._objects.confirm()
        report.raise_damages(f"the data {name}")
        return Verified(size, 1)

    def verify(self, checkpoint_id: str, *, read_data: bool = True, **watched: Unpack[Watched]) -> Verified:
        """Check a checkpoint and all its data. All of it is looked at, also after the first damage.

        :raises NotFound: there is none.
        :raises BankDamaged: something is not what was written; the message names what.
        """
        report = self.verify_all("full" if read_data else "existence", [checkpoint_id], **watched)
        report.raise_damages(f"the checkpoint {checkpoint_id}")
        return Verified(report.bytes, report.pieces)

    def verify_all(
        self,
        depth: Depth = "full",
        checkpoint_ids: Sequence[str] | None = None,
        project_id: str | None = None,
        **manner: Unpack[Manner],
    ) -> VerificationReport:
        """Check some checkpoints, those of a project, or all. What they share is looked at once.

        :param depth: ``manifests``, ``existence`` or ``full``.
        :raises NotFound: a checkpoint is not there.
        """
        tag = None
        if self._only is not None:
            project_id = project_id or self._only.project_id
        if project_id is not None:
            tag = self._objects.keys.project_tag(project_id)
        if checkpoint_ids is not None:
            names = [find(self._objects, each) for each in checkpoint_ids]
        else:
            names = [e.name for e in self._objects.store.list(MANIFESTS)]
        check = Verifier(self._objects, depth, **manner)
        chosen = sorted(n for n in names if tag is None or n.endswith(f".{tag}"))
        report = check.checkpoints(chosen, tags_in(self._objects, tag) if checkpoint_ids is None else ())
        if checkpoint_ids is None and tag is None:
            report.damages += hurt_keys(self._objects, self.holds.all())
            report.damages += not_fresh(self._objects, self.freshness(manifests=True).problems, report)
        self._objects.confirm()  # another place has neither checkpoints nor damages of this bank
        return report

    def repair(
        self,
        report: VerificationReport,
        *,
        apply: bool = False,
        delete_damaged: bool = False,
        accept: bool = False,
        told: Callable[[str, str], None] = lambda _checkpoint_id, _reason: None,
    ) -> Repair:
        """After a verification: say whom the damages hurt, and keep the rest.

        :param apply: do it; else only look.
        :param delete_damaged: also remove the checkpoints of which nothing can be restored.
        :param accept: take the checkpoints, keys and holds that are there for those that are meant to be.
        :param told: called with each checkpoint that was removed, and why.
        """
        return repair(
            self._objects, report, apply=apply, delete_damaged=delete_damaged, accept=accept, told=told
        )

    def stored(self) -> int:
        """Bytes in the store. Lists all that is in it, and reads nothing."""
        return sum(entry.size for entry in self._objects.store.list(""))

    def info(self, cancelled: Callable[[], bool] | None = None) -> Info:
        """What is in the bank. Reads the manifests and bodies of all checkpoints, no data."""
        self._objects.keys.root  # noqa: B018 - a project's key does not show the others
        about = Info(
            self.id, self.url, self._descriptor.version, self._descriptor.created_at, self.keys.slots()
        )
        survey(self._objects, about, cancelled)
        self._objects.confirm()
        return about

    def delete(self, checkpoint_id: str, project_id: str = "", *, young: bool = False) -> Collected:
        """Remove a checkpoint and what only it needed. Other checkpoints are not touched.

        While somebody writes for the same project, shared data stays until a later collection;
        ``postponed`` says so.

        :param young: also one that the shortest retention keeps.
        :raises NotFound: there is none.
        :raises Held: it is on hold, or too young.
        """
        return collecting.delete(self._objects, checkpoint_id, tag=self._tag(project_id), young=young)

    def collect(self) -> Collected:
        self._objects.confirm()
        self.refuse_older()
        prefixes = ("data/", "writers/", "alive/", "condemned/", "damaged/")
        names = [entry.name for prefix in prefixes for entry in self._objects.store.list(prefix)]
        total = Collected()
        for tag in sorted(set(map(tag_in, names))):
            total += collecting.collect(self._objects, tag)
        return total

    def erase_project(self, project_id: str) -> Collected:
        """Remove a project's keys, so that nobody can ever read its checkpoints, then all its objects.

        Killed in the middle, it can be done again.

        :raises BankError: the store refuses to remove something.
        :raises Held: one of its checkpoints is on legal hold.
        """
        tag = self._objects.keys.project_tag(project_id)
        self._objects.confirm()
        self.refuse_older()
        refuse_late(self._objects.store)
        refuse_held(self._objects, [each for each in self.holds.all() if each.tag == tag], young=True)
        self._objects.keys.erase(tag, lambda name: heads.announce(self._objects, name))
        erased = [e.name for e in self._objects.store.list(f"keys/{self.id}.erased.{tag}.")]
        heads.change(self._objects, there=erased)
        return collecting.erase(self._objects, tag)

    def freshness(self, since: str = "", *, manifests: bool = False) -> Freshness:
        """Whether the bank is as its writers left it: nothing removed that is back, nothing gone.

        :param since: the ``anchor`` that was remembered, to tell an older state from the present.
        :param manifests: read these too.
        """
        self._objects.keys.root  # noqa: B018 - heads are not for a project's key
        found = heads.check(self._objects, since, manifests=manifests)
        self._objects.confirm()
        return found

    def _tag(self, project_id: str) -> str:
        return self._objects.keys.project_tag(project_id) if project_id else ""

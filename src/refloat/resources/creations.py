"""What operations create: how it is written down, and whether it is surely theirs before it is removed.

Whatever a restore creates carries its mark until the whole operation has succeeded
(:meth:`Creations.hand_over`): a mark that is gone means that somebody has it now, whatever a database says.
What cannot carry one all the time (a rule, a key pair, a volume that Cinder restores a backup into) is proven
by the *anchor*: a key pair, named after the operation, that is there for as long as that.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, Protocol

from refloat.cloud import Cloud, Marker, explained
from refloat.cloud.create_once import create_once, find_created
from refloat.cloud.kinds import KINDS
from refloat.cloud.marker import is_marked_by
from refloat.cloud.retries import ensure_done
from refloat.errors import LeaseLost, RefloatError

_LOG = logging.getLogger(__name__)

REPLACED = "replaced"
"""The kind of an entry that tells that something has been changed in place: there is nothing to remove."""

STORED = "stored"
"""The kind of an entry that tells that something of the checkpoint may be in the bank."""

BASELINE = "baseline"
"""The kind of an entry of a snapshot that is kept on the storage itself, beside what Cinder knows."""

STOPPED = "stopped_server"
"""The kind of an entry of a server that is switched off for a while: what removes it switches it on."""

_KEYPAIR, _ANCHOR = "keypair", "anchor"
_UNMARKED = "unmarked"
OVERWRITTEN = "overwritten"
"""The clue of what a service takes the mark off while it is at work on it: its metadata meanwhile."""

_MARKLESS = frozenset({"id", "name", "fields", OVERWRITTEN})
_AT_ONCE = 4


class Creation(Protocol):
    """One thing that an operation created, or was about to create."""

    @property
    def source(self) -> str:
        """``TYPE#ID`` of the resource it is for."""

    @property
    def role(self) -> str:
        """What it is for that resource."""

    @property
    def kind(self) -> str:
        """A name of ``refloat.cloud.kinds``."""

    @property
    def id(self) -> str:
        """Empty while it is only intended."""

    @property
    def clue(self) -> Mapping[str, Any]:
        """How to find it when it cannot carry a mark; what takes the mark's place."""


class CreationJournal(Protocol):
    """The durable list of what an operation creates; kept by the records room."""

    anchoring: threading.Lock
    """Held while the anchor is made."""

    def find(self, source: str, role: str) -> Creation | None:
        """What was written down for a role."""

    def intend(self, source: str, role: str, kind: str, clue: Mapping[str, Any]) -> None:
        """Write down, durably, that something is about to be created."""

    def made(self, source: str, role: str, identity: str) -> str:
        """Write down that it was created, unless something else is written there; returns what is.

        Empty: it is not intended any more.
        """

    def forget(self, source: str, role: str) -> None:
        """Write down that it is gone again, or never was."""

    def entries(self) -> Sequence[Creation]:
        """All that is written down, oldest first."""


class Creations:
    """What one operation creates in a cloud."""

    def __init__(self, cloud: Cloud, operation_id: str, journal: CreationJournal) -> None:
        self._cloud = cloud
        self._operation_id = operation_id
        self._journal = journal

    def clue(self, clue: Mapping[str, Any] | None, unmarked: Mapping[str, Any] | None) -> dict[str, Any]:
        """What is kept of a creation. Where it cannot carry a mark, the anchor is there from now on.

        :param unmarked: what takes the mark's place when it is handed over.
        """
        kept = dict(clue or {})
        if kept and not self._is_named(kept):
            self._make_anchor()
        return kept if unmarked is None else {**kept, _UNMARKED: dict(unmarked)}

    def is_ours(self, entry: Creation, identity: str) -> bool:
        """Whether something in the cloud is, by what the cloud says now, still what this operation made."""
        thing = self._cloud.find(entry.kind, identity)
        if thing is None or is_marked_by(thing, self._operation_id):
            return True
        if not _MARKLESS & entry.clue.keys():
            return False
        if not entry.clue.get(OVERWRITTEN, {}).items() <= (getattr(thing, "metadata", None) or {}).items():
            return False
        if self._is_named(entry.clue):
            return str(thing.name) == str(entry.clue.get("name") or entry.clue["id"])
        wholes = set(KINDS[entry.kind].part_of(identity, thing))
        made = [other for other in self._journal.entries() if (other.kind, other.id) in wholes]
        if made:
            return all(self.is_ours(other, other.id) for other in made)
        return self._cloud.find(_KEYPAIR, self._anchor) is not None

    def hand_over(self) -> list[str]:
        """Take all marks off, as the operation has succeeded; returns what still carries one, and why."""
        entries = [entry for entry in self._journal.entries() if entry.id and _UNMARKED in entry.clue]
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="hand-over") as pool:
            asked = [pool.submit(copy_context().run, self._unmark, entry) for entry in entries]
        notes = [note for each in asked if (note := each.result())]
        if (anchor := self._journal.find(self._anchor_source, _ANCHOR)) is not None:
            try:
                self._cloud.remove(_KEYPAIR, self._anchor)
                self._journal.forget(anchor.source, anchor.role)
            except LeaseLost:
                raise
            except RefloatError as exc:
                notes.append(f"the temporary key pair {self._anchor} is still there: {exc}")
        for note in notes:
            _LOG.warning("operation %s: %s", self._operation_id, note)
        return notes

    def _unmark(self, entry: Creation) -> str:
        kind, identity = entry.kind, entry.id

        def done() -> bool:
            thing = self._cloud.find(kind, identity)
            return thing is None or not is_marked_by(thing, self._operation_id)

        try:
            ensure_done(done, partial(self._cloud.unmark, kind, identity, entry.clue[_UNMARKED]))
        except LeaseLost:
            raise
        except RefloatError as exc:
            return f"the {kind.replace('_', ' ')} {identity} still carries the mark of this operation: {exc}"
        return ""

    def _is_named(self, clue: Mapping[str, Any]) -> bool:
        """Whether its very name tells whose it is."""
        return self._operation_id in str(clue.get("name") or clue.get("id") or "")

    @property
    def _anchor(self) -> str:
        return f"refloat-{self._operation_id}"

    @property
    def _anchor_source(self) -> str:
        return f"OS::Nova::KeyPair#{self._anchor}"

    def _make_anchor(self) -> None:
        with self._journal.anchoring:
            source, name = self._anchor_source, self._anchor
            entry = self._journal.find(source, _ANCHOR)
            if entry is not None and entry.id:
                return
            if entry is None:
                self._journal.intend(source, _ANCHOR, _KEYPAIR, {"id": name})
            marker = Marker(self._operation_id, name, _ANCHOR)
            try:
                found = find_created(self._cloud, _KEYPAIR, marker, {"id": name})
                self._journal.made(
                    source,
                    _ANCHOR,
                    found or create_once(self._cloud, _KEYPAIR, marker, {"id": name}, self._import),
                )
            except LeaseLost:
                raise
            except RefloatError as exc:
                # Then what cannot carry a mark would be left, and named, if the operation had to be undone.
                _LOG.warning("operation %s: no temporary key pair could be made: %s", self._operation_id, exc)

    def _import(self, _marker: Marker) -> str:
        """A key of which nobody has the private part."""
        from cryptography.hazmat.primitives import serialization  # large, and rarely needed
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        public = Ed25519PrivateKey.generate().public_key()
        form = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        text = public.public_bytes(*form).decode()
        with explained("make a temporary key pair"):
            self._cloud.create(_KEYPAIR, {"name": self._anchor, "public_key": text})
        return self._anchor

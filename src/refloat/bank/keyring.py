"""The secrets of an open bank: its root, and each project's keys under the root.

A *project key* (``keys/<bank id>.project.<tag>.<number>``) is a random secret, encrypted with the root. All
objects of a project are sealed under its newest one. Each is kept twice, the second time under the name
with ``.copy`` added: no single lost object makes a project unreadable.

When a project is erased, ``keys/<bank id>.erased.<tag>.<number>`` comes before each key goes: its number is
never used again, and a key that is put back is not used.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import secrets
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from blake3 import blake3

from refloat.bank.keys import ProjectKey, key_id
from refloat.bank.sealing import KIND_KEY, ROOT_ID, Sealer, Secret, damaged, derive
from refloat.bank.store import AlreadyExists, ObjectMissing, Store
from refloat.errors import BankDamaged, BankError, Conflict, NotFound

_log = logging.getLogger(__name__)

COPY = ".copy"
_PROJECT = re.compile(r"keys/([0-9a-f]{32})\.project\.([0-9a-f]{16})\.([1-9][0-9]*)(\.copy)?")
_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class ProjectVersion:
    """One of a project's keys."""

    tag: str
    number: int
    project_id: str
    created_at: str
    secret: bytes = field(repr=False)

    def about(self) -> dict[str, Any]:
        """What is in its object."""
        return {
            "project_id": self.project_id,
            "number": self.number,
            "created_at": self.created_at,
            "secret": self.secret.hex(),
        }


class Keyring:
    """The secrets of an open bank. Safe to use from many threads.

    :param root: the root secret; None with a project's key, which opens that project only.
    """

    def __init__(
        self, store: Store, bank_id: bytes, root: bytes | None, only: ProjectKey | None = None
    ) -> None:
        self._store = store
        self._bank_id = bank_id
        self._root = root
        self._only = only
        self._lock = threading.Lock()
        self._known: dict[str, list[Secret]] = {}
        if only is not None:
            self._known[only.tag] = [Secret(key_id(each), each) for each in only.keys]

    def fresh(self) -> Keyring:
        """The same, knowing nothing yet: what it finds, anybody who opens the bank now finds."""
        return Keyring(self._store, self._bank_id, self._root, self._only)

    # --- what a sealer asks

    def current(self, tag: str) -> Secret:
        if not tag and self._root is not None:
            return Secret(ROOT_ID, self._root)
        found = self._of(tag)
        if not found:
            raise BankError("this project has no key in the bank", reason="it was erased, or lost")
        return found[-1]

    def find(self, tag: str, wanted: bytes) -> bytes | None:
        if not tag:
            return self._root if wanted == ROOT_ID else None
        for fresh in (False, True):
            for each in self._of(tag, fresh=fresh):
                if each.id == wanted:
                    return each.secret
        return None

    def project_tag(self, project_id: str) -> str:
        if self._root is None:
            return self._the_one(project_id).tag
        return derive("project tag", self._root, self._bank_id, project_id.encode(), length=8).hex()

    def chunk_key(self, project_id: str) -> bytes:
        if self._root is None:
            return self._the_one(project_id).chunk_key
        return derive("chunk ids", self._root, self._bank_id, project_id.encode())

    def fingerprint(self, text: bytes) -> str:
        key = derive("content", self.root, self._bank_id)
        return blake3(text, key=key).hexdigest()

    # --- the bank

    @property
    def root(self) -> bytes:
        """The root secret.

        :raises BankError: the bank was opened with a project's key.
        """
        if self._root is None:
            raise BankError("the bank was opened with the key of one project", advice="Use the bank's key")
        return self._root

    def check(self, text: bytes) -> str:
        """An authenticator for the descriptor, which is not encrypted."""
        key = derive("descriptor", self.root, self._bank_id)
        return blake3(text, key=key).hexdigest(length=16)

    # --- projects

    def ensure(self, project_id: str) -> None:
        """Make sure that a project has a key. Its keys are read again from the store."""
        tag = self.project_tag(project_id)
        for _ in range(_ATTEMPTS):
            if self._of(tag, fresh=True):
                return
            self._refuse_lost(project_id, tag)
            self._make(project_id, tag)
        raise Conflict("the project's keys are being changed by others", advice="Try again")

    def confirm(self, tag: str, used: Collection[bytes]) -> None:
        """Read a project's keys from the store again, and see that these are among them.

        :param used: the ids of those that something was sealed under.
        :raises Conflict: one is not.
        """
        if set(used) - {each.id for each in self._of(tag, fresh=True)}:
            raise Conflict(
                "what was stored is encrypted with a key that is not in the bank",
                reason="the project's keys were erased or replaced meanwhile",
                advice="Protect again",
            )

    def rotate(self, project_id: str) -> int:
        """Give a project a new key; what it has stays readable under the old ones. The new key's number.

        :raises NotFound: the project has none.
        """
        tag = self.project_tag(project_id)
        for _ in range(_ATTEMPTS):
            if not self._numbers(tag)[0]:
                raise NotFound(f"the project {project_id} has nothing in this bank")
            number, made = self._make(project_id, tag)
            if made:
                return number
        raise Conflict("the project's key is being changed by others", advice="Try again")

    def projects(self) -> list[ProjectVersion]:
        """All keys of all projects, the newest of each project last.

        :raises BankDamaged: one cannot be read, and its copy neither.
        """
        tags = {
            match[2]
            for entry in self._store.list(f"keys/{self._bank_id.hex()}.project.")
            if (match := _PROJECT.fullmatch(entry.name))
        }
        found = [self._read(self._name(tag, number)) for tag in tags for number in self._numbers(tag)[0]]
        return sorted(found, key=lambda each: (each.project_id, each.number))

    def export(self, project_id: str, descriptor: bytes) -> ProjectKey:
        """The key to all that a project has in this bank now. What it gets under later keys, not.

        :raises NotFound: the project has nothing in this bank.
        """
        tag = derive("project tag", self.root, self._bank_id, project_id.encode(), length=8).hex()
        found = self._of(tag, fresh=True)
        if not found:
            raise NotFound(f"the project {project_id} has nothing in this bank")
        return ProjectKey(
            self._bank_id.hex(),
            blake3(descriptor).hexdigest(),
            project_id,
            tag,
            self.chunk_key(project_id),
            tuple(each.secret for each in found),
        )

    def erase(self, tag: str) -> None:
        """Remove a project's keys: nobody can ever read what it has in the bank."""
        with self._lock:
            self._known.pop(tag, None)
        done: set[int] = set()
        while numbers := self._stored(tag) - done:
            for number in numbers:
                done.add(number)
                now = datetime.now(UTC).isoformat(timespec="seconds")
                name, about = self._erased_name(tag, number), {"number": number, "erased_at": now}
                with contextlib.suppress(AlreadyExists):
                    self._store.put(name, self._seal(name, about))
                self._store.delete(self._name(tag, number) + COPY)
                self._store.delete(self._name(tag, number))

    def mend(self, *, apply: bool) -> list[str]:
        """Project keys of which one of the two copies is lost or damaged; ``apply`` writes it anew."""
        mended = []
        for name, blobs in self._copies().items():
            good = [self._open(each, blob) for each, blob in blobs.items()]
            whole = next((each for each in good if each is not None), None)
            if whole is None:
                continue
            for each in (name, name + COPY):
                if each not in blobs or self._open(each, blobs[each]) is None:
                    mended.append(each)
                    if apply:
                        self._store.delete(each)
                        self._store.put(each, self._seal(each, whole))
        return sorted(mended)

    def _copies(self) -> dict[str, dict[str, bytes]]:
        found: dict[str, dict[str, bytes]] = {}
        for entry in list(self._store.list(f"keys/{self._bank_id.hex()}.project.")):
            try:
                blob = self._store.get(entry.name)
            except ObjectMissing:
                continue
            found.setdefault(entry.name.removesuffix(COPY), {})[entry.name] = blob
        return found

    def _of(self, tag: str, *, fresh: bool = False) -> list[Secret]:
        """A project's secrets, the newest last.

        :param fresh: as they are in the store now, read one by one: that there are as many as before does not
            say that they are the same.
        """
        with self._lock:
            known = self._known.get(tag, [])
            if self._root is None or (known and not fresh):
                return known
            self._known.pop(tag, None)
            found = [self._read(self._name(tag, number)).secret for number in self._numbers(tag)[0]]
            if found:  # that there are none is never kept: it may be the store that is away
                self._known[tag] = [Secret(key_id(each), each) for each in found]
            return self._known.get(tag, [])

    def _stored(self, tag: str) -> set[int]:
        """The numbers of all of a project's keys that are in the store."""
        names = [entry.name for entry in self._store.list(self._name(tag, ""))]
        return {int(match[3]) for match in map(_PROJECT.fullmatch, names) if match}

    def _numbers(self, tag: str) -> tuple[list[int], set[int]]:
        """The numbers of a project's keys, and those of the erased ones."""
        stored = self._stored(tag)
        prefix = self._erased_name(tag, "")
        ends = [entry.name.removeprefix(prefix) for entry in self._store.list(prefix)]
        erased = {int(end) for end in ends if end.isdecimal()}
        return sorted(stored - erased), erased

    def _refuse_lost(self, project_id: str, tag: str) -> None:
        """:raises BankDamaged: the project has checkpoints, and its keys were not erased: they are lost."""
        if self._numbers(tag)[1]:
            return
        kept = [e.name for e in self._store.list("checkpoints/") if e.name.endswith(f".{tag}")]
        if kept and not self._of(tag, fresh=True):
            raise BankDamaged(
                f"the keys of the project {project_id} are lost",
                reason=f"the bank has {len(kept)} of its checkpoints and no key for them",
                advice=(
                    "Bring the folder keys back from a copy of the bank, or give the checkpoints up with: "
                    "refloat bank keys erase"
                ),
            )

    def _make(self, project_id: str, tag: str) -> tuple[int, bool]:
        """Write a key under the next number: that, and whether no other process has been faster."""
        live, erased = self._numbers(tag)
        number = max((0, *live, *erased)) + 1
        while self._is_there(self._erased_name(tag, number)):  # no listing is trusted with this
            number += 1
        name = self._name(tag, number)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        new = ProjectVersion(tag, number, project_id, now, secrets.token_bytes(32))
        # The copy first. It alone is a key already; whoever finds another's copy finishes that one.
        try:
            self._store.put(name + COPY, self._seal(name + COPY, new.about()))
            made = True
        except AlreadyExists:
            new = self._read(name)
            made = False
        with contextlib.suppress(AlreadyExists):
            self._store.put(name, self._seal(name, new.about()))
        with self._lock:
            self._known.pop(tag, None)
        return number, made

    def _is_there(self, name: str) -> bool:
        try:
            self._store.stat(name)
        except ObjectMissing:
            return False
        return True

    def _read(self, name: str) -> ProjectVersion:
        problem: BankError | None = None
        for each in (name, name + COPY):
            try:
                blob = self._store.get(each)
            except ObjectMissing:
                continue
            about = self._open(each, blob)
            if about is not None:
                match = _PROJECT.fullmatch(name)
                if match is None or self.project_tag(about["project_id"]) != match[2]:
                    raise damaged(each, "it is the key of another project")
                if problem is not None:
                    _log.warning("%s; its copy is used. Mend it with: refloat bank repair", problem.message)
                return ProjectVersion(
                    match[2],
                    int(match[3]),
                    about["project_id"],
                    about["created_at"],
                    bytes.fromhex(about["secret"]),
                )
            problem = damaged(each, "its content does not match its authentication tag")
        raise problem or damaged(name, "it is missing")

    def _open(self, name: str, blob: bytes) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = json.loads(Sealer(self, self._bank_id).open(KIND_KEY, name, blob))
        except BankDamaged:
            return None
        return found

    def _seal(self, name: str, about: Mapping[str, Any]) -> bytes:
        return Sealer(self, self._bank_id).seal(KIND_KEY, name, json.dumps(about).encode())

    def _name(self, tag: str, number: int | str) -> str:
        return f"keys/{self._bank_id.hex()}.project.{tag}.{number}"

    def _erased_name(self, tag: str, number: int | str) -> str:
        return f"keys/{self._bank_id.hex()}.erased.{tag}.{number}"

    def _the_one(self, project_id: str) -> ProjectKey:
        if self._only is None or project_id != self._only.project_id:
            raise BankError(
                "the key opens another project's checkpoints",
                reason=f"it is of the project {self._only.project_id}" if self._only else "",
            )
        return self._only

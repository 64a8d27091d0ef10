"""The secrets of an open bank: its root, and each project's keys under the root.

A *project key* (``keys/<bank id>.project.<tag>.<number>``) is a random secret, encrypted with the root. All
objects of a project are sealed under its newest one. Each is kept twice, the second time under the name
with ``.copy`` added: no single lost object makes a project unreadable.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import secrets
import threading
from collections.abc import Mapping
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
        """Make sure that a project has a key; see new ones."""
        tag = self.project_tag(project_id)
        if not self._of(tag, fresh=True):
            self._make(project_id, tag, 1)

    def rotate(self, project_id: str) -> int:
        """Give a project a new key; what it has stays readable under the old ones. The new key's number.

        :raises NotFound: the project has none.
        """
        tag = self.project_tag(project_id)
        for _ in range(_ATTEMPTS):
            numbers = self._numbers(tag)
            if not numbers:
                raise NotFound(f"the project {project_id} has nothing in this bank")
            if self._make(project_id, tag, max(numbers) + 1):
                return max(numbers) + 1
        raise Conflict("the project's key is being changed by others", advice="Try again")

    def projects(self) -> list[ProjectVersion]:
        """All keys of all projects, the newest of each project last.

        :raises BankDamaged: one cannot be read, and its copy neither.
        """
        names: dict[str, None] = {}
        for entry in self._store.list(f"keys/{self._bank_id.hex()}.project."):
            if _PROJECT.fullmatch(entry.name):
                names.setdefault(entry.name.removesuffix(COPY))
        found = [self._read(name) for name in names]
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
        for entry in list(self._store.list(f"keys/{self._bank_id.hex()}.project.{tag}.")):
            self._store.delete(entry.name)

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
        """A project's secrets, the newest last."""
        with self._lock:
            known = self._known.get(tag)
            if self._root is None or (known and not fresh):
                return known or []
            numbers = self._numbers(tag)
            if not known or len(numbers) != len(known):
                secrets_ = [self._read(self._name(tag, number)).secret for number in numbers]
                self._known[tag] = known = [Secret(key_id(each), each) for each in secrets_]
            return known

    def _numbers(self, tag: str) -> list[int]:
        found = set()
        for entry in self._store.list(f"keys/{self._bank_id.hex()}.project.{tag}."):
            if match := _PROJECT.fullmatch(entry.name):
                found.add(int(match[3]))
        return sorted(found)

    def _make(self, project_id: str, tag: str, number: int) -> bool:
        """Write a key of this number; False if another process has been faster."""
        name = self._name(tag, number)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        new = ProjectVersion(tag, number, project_id, now, secrets.token_bytes(32))
        name = self._name(tag, number)
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
        return made

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

    def _name(self, tag: str, number: int) -> str:
        return f"keys/{self._bank_id.hex()}.project.{tag}.{number}"

    def _the_one(self, project_id: str) -> ProjectKey:
        if self._only is None or project_id != self._only.project_id:
            raise BankError(
                "the key opens another project's checkpoints",
                reason=f"it is of the project {self._only.project_id}" if self._only else "",
            )
        return self._only

"""The keys of projects, as they are in the store.

A *project key* (``keys/<bank id>.project.<tag>.<number>``) is a random secret, encrypted with the root that
was the newest when it was made. All objects of a project are sealed under its newest one that is under the
newest root; if there is none, one is made first. Each is kept twice, the second time under the name with
``.copy`` added: no single lost object makes a project unreadable. Both are always under the same root: a key
that is known to who has an earlier root must not be taken for one of the newest.

When a project is erased, ``keys/<bank id>.erased.<tag>.<number>`` comes before each key goes: its number is
never used again, and a key that is put back is not used.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias

from refloat.bank.identity import COPY
from refloat.bank.keys import key_id
from refloat.bank.reserve import put_before_removal
from refloat.bank.roots import Roots
from refloat.bank.sealing import KIND_KEY, ROOT_ID, Header, OneSecret, Sealer, Secret, damaged, derive
from refloat.bank.store import AlreadyExists, ObjectMissing, Store, exists
from refloat.errors import BankDamaged, BankError

_log = logging.getLogger(__name__)

_PROJECT = re.compile(r"keys/([0-9a-f]{32})\.project\.([0-9a-f]{16})\.([1-9][0-9]*)(\.copy)?")

_MISSING = "it is missing"
_BETWEEN_COPIES = 0.5
"""Seconds that a process may take from the first copy of a new key to the second."""

_Content: TypeAlias = tuple[dict[str, Any], bytes]
"""What is in a key object, and the id of the root that it is under."""


@dataclass(frozen=True, slots=True)
class ProjectVersion:
    """One of a project's keys."""

    tag: str
    number: int
    project_id: str
    created_at: str
    secret: bytes = field(repr=False)
    root: bytes = ROOT_ID
    """The id of the root that it is under."""

    @property
    def id(self) -> bytes:
        return key_id(self.secret)

    def about(self) -> dict[str, Any]:
        return {
            "project_id": self.project_id,
            "number": self.number,
            "created_at": self.created_at,
            "secret": self.secret.hex(),
        }


class ProjectKeys:
    """All key objects of projects in a bank. Nothing is remembered here."""

    def __init__(self, store: Store, bank_id: bytes, roots: Roots) -> None:
        self._store = store
        self._bank_id = bank_id
        self._roots = roots
        self._sealer = Sealer(roots, bank_id)

    def tag(self, project_id: str) -> str:
        return derive("project tag", self._roots.first, self._bank_id, project_id.encode(), length=8).hex()

    def of(self, tag: str) -> list[ProjectVersion]:
        """A project's keys, the newest last.

        :raises BankDamaged: one cannot be read, and its copy neither.
        """
        return [self._read(self._name(tag, number)) for number in self._numbers(tag)[0]]

    def all(self) -> list[ProjectVersion]:
        """Those of all projects, the newest of each last.

        :raises BankDamaged: one cannot be read, and its copy neither.
        """
        names = [entry.name for entry in self._store.list(f"keys/{self._bank_id.hex()}.project.")]
        tags = {match[2] for match in map(_PROJECT.fullmatch, names) if match}
        found = [version for tag in tags for version in self.of(tag)]
        return sorted(found, key=lambda each: (each.project_id, each.number))

    def refuse_lost(self, project_id: str, tag: str) -> None:
        """To be asked of a project without a key, before it gets one.

        :raises BankDamaged: it has checkpoints, and no key of it was erased: its keys are lost.
        """
        live, erased = self._numbers(tag)
        kept = [each.name for each in self._store.list("checkpoints/") if each.name.endswith(f".{tag}")]
        if kept and not live and not erased:
            raise BankDamaged(
                f"the keys of the project {project_id} are lost",
                reason=f"the bank has {len(kept)} of its checkpoints and no key for them",
                advice=(
                    "Bring the folder keys back from a copy of the bank, or give the checkpoints up with: "
                    "refloat bank keys erase"
                ),
            )

    def make(self, project_id: str, tag: str) -> tuple[int, bool]:
        """Write a key under the next number: that, and whether no other process has been faster."""
        live, erased = self._numbers(tag)
        number = max((0, *live, *erased)) + 1
        while exists(self._store, self._erased_name(tag, number)):  # no listing is trusted with this
            number += 1
        name = self._name(tag, number)
        root = self._roots.current("").id
        new = ProjectVersion(tag, number, project_id, _now(), secrets.token_bytes(32), root)
        # The copy first. It alone is a key already; whoever finds another's copy finishes that one.
        try:
            self._store.put(name + COPY, self._seal(name + COPY, new.about(), root))
            made = True
        except AlreadyExists:
            new = self._read(name)
            made = False
        self._put(name, new)
        return number, made

    def complete(self, tag: str) -> None:
        """Write the second of a key's two copies where a process was killed after the first."""
        listed = {entry.name for entry in self._store.list(self._name(tag, ""))}
        for name in {each.removesuffix(COPY) for each in listed if _PROJECT.fullmatch(each)}:
            missing = {name, name + COPY} - listed
            if missing and not self._is_erased(name):
                self._put(missing.pop(), self._read(name))

    def erase(self, tag: str, announce: Callable[[str], None]) -> None:
        """Remove a project's keys: nobody can ever read what it has in the bank.

        :param announce: called with the name of each note that a key is erased, before that is put.
        """
        done: set[int] = set()
        while numbers := self._stored(tag) - done:
            for number in numbers:
                done.add(number)
                name, about = self._erased_name(tag, number), {"number": number, "erased_at": _now()}
                announce(name)
                with contextlib.suppress(AlreadyExists):
                    put_before_removal(self._store, name, self._sealer.seal(KIND_KEY, name, _json(about)))
                self._store.delete(self._name(tag, number) + COPY)
                self._store.delete(self._name(tag, number))

    def hurt(self) -> dict[str, str]:
        """The key objects that are not what they should be, and why."""
        back = "its project was erased, and it is there again; it is not used"
        found = {
            each: back for name, blobs in self._copies().items() if self._is_erased(name) for each in blobs
        }
        hurt = self._hurt()
        if any(reason == _MISSING and not name.endswith(COPY) for name, (reason, _) in hurt.items()):
            time.sleep(_BETWEEN_COPIES)  # somebody may be just between the two copies of a new key
            hurt = self._hurt()
        return found | {name: reason for name, (reason, _) in hurt.items()}

    def mend(self, *, apply: bool) -> list[str]:
        """Keys of which one of the two copies is lost or damaged; ``apply`` writes it anew."""
        found = {name: whole for name, (_, whole) in self._hurt().items() if whole is not None}
        for name, whole in found.items() if apply else ():
            self._store.delete(name)
            self._store.put(name, self._seal(name, *whole))
        return sorted(found)

    def _hurt(self) -> dict[str, tuple[str, _Content | None]]:
        """Those that are not what was written: why, and what is to be in them, if that can be told."""
        found: dict[str, tuple[str, _Content | None]] = {}
        for name, blobs in self._copies().items():
            if self._is_erased(name):
                continue
            good = {each: self._open(each, blob) for each, blob in blobs.items()}
            there = [*good.values(), *(self._open(_twin(each), blob) for each, blob in blobs.items())]
            whole = next((each for each in there if each is not None), None)
            for each in (name, name + COPY):
                if good.get(each) is None:
                    reason = _MISSING if each not in blobs else "it is not what was written"
                    found[each] = reason, whole
        return found

    def _is_erased(self, name: str) -> bool:
        return exists(self._store, name.replace(".project.", ".erased."))

    def _copies(self) -> dict[str, dict[str, bytes]]:
        found: dict[str, dict[str, bytes]] = {}
        for entry in list(self._store.list(f"keys/{self._bank_id.hex()}.project.")):
            try:
                blob = self._store.get(entry.name)
            except ObjectMissing:
                continue
            found.setdefault(entry.name.removesuffix(COPY), {})[entry.name] = blob
        return found

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

    def _read(self, name: str) -> ProjectVersion:
        problem: BankError | None = None
        for each in (name, name + COPY):
            try:
                blob = self._store.get(each)
            except ObjectMissing:
                continue
            # A key and its copy may have been swapped.
            content = self._open(each, blob) or self._open(_twin(each), blob)
            if content is not None:
                about, root = content
                match = _PROJECT.fullmatch(name)
                if match is None or self.tag(about["project_id"]) != match[2]:
                    raise damaged(each, "it is the key of another project")
                if problem is not None:
                    _log.warning("%s; its copy is used. Mend it with: refloat bank repair", problem.message)
                return ProjectVersion(
                    match[2],
                    int(match[3]),
                    about["project_id"],
                    about["created_at"],
                    bytes.fromhex(about["secret"]),
                    root,
                )
            problem = damaged(each, "its content does not match its authentication tag")
        raise problem or damaged(name, _MISSING)

    def _open(self, name: str, blob: bytes) -> _Content | None:
        try:
            about = json.loads(self._sealer.open(KIND_KEY, name, blob))
        except BankDamaged:
            return None
        return about, Header.parse(name, blob, KIND_KEY).key_id

    def _put(self, name: str, key: ProjectVersion) -> None:
        with contextlib.suppress(AlreadyExists):
            self._store.put(name, self._seal(name, key.about(), key.root))

    def _seal(self, name: str, about: Mapping[str, Any], root: bytes) -> bytes:
        secret = Secret(root, self._roots.find("", root) or b"")
        return Sealer(OneSecret(secret), self._bank_id).seal(KIND_KEY, name, _json(about))

    def _name(self, tag: str, number: int | str) -> str:
        return f"keys/{self._bank_id.hex()}.project.{tag}.{number}"

    def _erased_name(self, tag: str, number: int | str) -> str:
        return f"keys/{self._bank_id.hex()}.erased.{tag}.{number}"


def _twin(name: str) -> str:
    """The name of a key's copy, or of what a copy is of."""
    return name.removesuffix(COPY) if name.endswith(COPY) else name + COPY


def _json(about: Mapping[str, Any]) -> bytes:
    return json.dumps(about).encode()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

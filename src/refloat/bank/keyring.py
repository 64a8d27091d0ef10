"""The secrets of an open bank: its roots, and each project's keys under these."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection

from blake3 import blake3

from refloat.bank.keys import ProjectKey
from refloat.bank.project_keys import ProjectKeys, ProjectVersion
from refloat.bank.roots import Roots
from refloat.bank.sealing import Secret, derive
from refloat.bank.store import Store
from refloat.errors import BankError, Conflict, NotFound

_ATTEMPTS = 20


class Keyring:
    """The secrets of an open bank. Safe to use from many threads.

    :param roots: None with a project's key, which opens that project only.
    """

    def __init__(
        self, store: Store, bank_id: bytes, roots: Roots | None, only: ProjectKey | None = None
    ) -> None:
        self._store = store
        self._bank_id = bank_id
        self._roots = roots
        self._only = only
        self._stored = ProjectKeys(store, bank_id, roots) if roots is not None else None
        self._lock = threading.RLock()
        self._known: dict[str, dict[bytes, ProjectVersion]] = {}
        if only is not None:
            known = [
                ProjectVersion(only.tag, n, only.project_id, "", each) for n, each in enumerate(only.keys)
            ]
            self._known[only.tag] = {each.id: each for each in known}

    def fresh(self) -> Keyring:
        """The same, knowing nothing yet: what it finds, anybody who opens the bank now finds."""
        roots = self._roots.fresh() if self._roots is not None else None
        return Keyring(self._store, self._bank_id, roots, self._only)

    # --- what a sealer asks

    def current(self, tag: str) -> Secret:
        root = self.roots.current(tag)  # the store is asked: another process may have begun an epoch
        if not tag:
            return root
        with self._lock:
            for attempt in range(_ATTEMPTS):
                found = list(self._of(tag, fresh=attempt > 0).values())
                usable = [each for each in found if each.root == root.id]
                if usable:
                    return Secret(usable[-1].id, usable[-1].secret)
                if not found:
                    raise BankError("this project has no key in the bank", reason="it was erased, or lost")
                if attempt:
                    self.projects.make(found[-1].project_id, tag)
        raise Conflict("the project's keys are being changed by others", advice="Try again")

    def find(self, tag: str, wanted: bytes) -> bytes | None:
        if not tag:
            return self._roots.find(tag, wanted) if self._roots is not None else None
        for fresh in (False, True):
            if found := self._of(tag, fresh=fresh).get(wanted):
                return found.secret
        return None

    # --- the bank

    @property
    def roots(self) -> Roots:
        """:raises BankError: the bank was opened with a project's key."""
        if self._roots is None:
            raise BankError("the bank was opened with the key of one project", advice="Use the bank's key")
        return self._roots

    @property
    def root(self) -> bytes:
        """The first root, of which names and ids are made.

        :raises BankError: the bank was opened with a project's key.
        """
        return self.roots.first

    def check(self, text: bytes) -> str:
        """An authenticator for the descriptor, which is not encrypted."""
        return descriptor_check(self.root, self._bank_id, text)

    def fingerprint(self, text: bytes) -> str:
        key = derive("content", self.root, self._bank_id)
        return blake3(text, key=key).hexdigest()

    # --- projects

    def project_tag(self, project_id: str) -> str:
        """How a project is called in object names: 16 hexadecimal digits that tell nothing."""
        return self._the_one(project_id).tag if self._stored is None else self._stored.tag(project_id)

    def chunk_key(self, project_id: str) -> bytes:
        """The key of a project's chunk ids: equal chunks of two projects have different ids."""
        if self._roots is None:
            return self._the_one(project_id).chunk_key
        return derive("chunk ids", self.root, self._bank_id, project_id.encode())

    def ensure(self, project_id: str) -> None:
        """Make sure that a project has a key. Its keys are read again from the store."""
        tag = self.project_tag(project_id)
        self.projects.complete(tag)
        for _ in range(_ATTEMPTS):
            if self._of(tag, fresh=True):
                return
            self.projects.refuse_lost(project_id, tag)
            self.projects.make(project_id, tag)
        raise Conflict("the project's keys are being changed by others", advice="Try again")

    def confirm(self, tag: str, used: Collection[bytes]) -> None:
        """Read a project's keys from the store again, and see that these are among them.

        :param used: the ids of those that something was sealed under.
        :raises Conflict: one is not.
        """
        if set(used) - self._of(tag, fresh=True).keys():
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
            if not self._of(tag, fresh=True):
                raise NotFound(f"the project {project_id} has nothing in this bank")
            number, made = self.projects.make(project_id, tag)
            self.forget(tag)
            if made:
                return number
        raise Conflict("the project's key is being changed by others", advice="Try again")

    def export(self, project_id: str, descriptor: bytes) -> ProjectKey:
        """The key to all that a project has in this bank now. What it gets under later keys, not.

        :raises NotFound: the project has nothing in this bank.
        """
        tag = self.projects.tag(project_id)
        found = self._of(tag, fresh=True)
        if not found:
            raise NotFound(f"the project {project_id} has nothing in this bank")
        return ProjectKey(
            self._bank_id.hex(),
            blake3(descriptor).hexdigest(),
            project_id,
            tag,
            self.chunk_key(project_id),
            tuple(each.secret for each in found.values()),
        )

    def erase(self, tag: str, announce: Callable[[str], None]) -> None:
        """See :meth:`ProjectKeys.erase`."""
        self.forget(tag)
        self.projects.erase(tag, announce)

    def forget(self, tag: str) -> None:
        with self._lock:
            self._known.pop(tag, None)

    @property
    def projects(self) -> ProjectKeys:
        """The keys of projects in the store.

        :raises BankError: the bank was opened with a project's key.
        """
        return self._stored or ProjectKeys(self._store, self._bank_id, self.roots)

    def _of(self, tag: str, *, fresh: bool = False) -> dict[bytes, ProjectVersion]:
        """A project's keys by their ids, the newest last.

        :param fresh: as they are in the store now, read one by one: that there are as many as before does not
            say that they are the same.
        """
        with self._lock:
            known = self._known.get(tag, {})
            if self._stored is None or (known and not fresh):
                return known
            self._known.pop(tag, None)
            found = {each.id: each for each in self._stored.of(tag)}
            if found:  # that there are none is never kept: it may be the store that is away
                self._known[tag] = found
            return found

    def _the_one(self, project_id: str) -> ProjectKey:
        if self._only is None or project_id != self._only.project_id:
            raise BankError(
                "the key opens another project's checkpoints",
                reason=f"it is of the project {self._only.project_id}" if self._only else "",
            )
        return self._only


def descriptor_check(root: bytes, bank_id: bytes, text: bytes) -> str:
    """The authenticator of a descriptor."""
    return blake3(text, key=derive("descriptor", root, bank_id)).hexdigest(length=16)

"""The keys of an open bank: those that open it, and those of its projects."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from refloat.bank import heads
from refloat.bank.keys import BankKey, KeySource, ProjectKey
from refloat.bank.objects import Objects
from refloat.bank.project_keys import ProjectVersion
from refloat.bank.recovery import export_recovery
from refloat.bank.roots import public_half
from refloat.bank.slots import Slot, choose_slot, existing_slot, open_roots, put_slot, remove_slot, slots
from refloat.errors import BankError, Conflict


class BankKeys:
    """See :attr:`refloat.bank.Bank.keys`.

    :param used: id of the key that the bank was opened with, hexadecimal; empty: a project's.
    """

    def __init__(self, objects: Objects, used: str = "") -> None:
        self._objects = objects
        self._store = objects.store
        self._keyring = objects.keys
        self._bank_id = bytes.fromhex(objects.identity.id)
        self.used = used

    def slots(self) -> list[Slot]:
        """The keys that open the bank, the oldest first, and what is left of removed ones."""
        found = slots(self._store, self._bank_id)
        if not self.used:
            return found
        roots = self._keyring.roots
        roots.newer()
        gone = roots.removed - heads.publics(self._objects, roots.epoch).keys() if roots.removed else set()
        return [replace(each, removed=each.id in gone) for each in found]

    def add(self, source: KeySource, label: str = "") -> Slot:
        """Let one more key open the bank. Of one that does, what the bank lacks for its next root.

        :raises Conflict: it opens it already.
        """
        self._objects.confirm()
        heads.refuse_older(self._objects)
        roots = self._keyring.roots
        roots.newer()
        there = {each.id for each in self.slots() if not each.damaged}
        slot, key = self._put(source, label)
        if slot.id in there:
            open_roots(self._store, self._bank_id, key)  # or it has been removed
            if slot.id in self._publics():
                raise Conflict(f"the {source.kind} opens the bank already", reason=f"as {slot.id[:8]}")
        heads.change(self._objects, there={self._name(slot.id): public_half(key)})
        if roots.newer() and slot.id not in roots.publics:
            raise Conflict(
                "another process has just changed the keys of the bank, and does not know this one",
                advice=f"Remove it, then add it again: refloat bank keys remove {slot.id[:8]}",
            )
        return slot

    def remove(self, slot_id: str, *, drop_others: bool = False) -> Slot:
        """Let a key no longer open the bank: what is written from now on is under a new root.

        :param slot_id: its id, or the beginning of it.
        :param drop_others: see :meth:`rotate`.
        :raises Conflict: it is the last one.
        :raises BankError: the store refuses to; the key opens nothing new.
        """
        self._keyring.root  # noqa: B018 - whoever has no key of the bank may not change them
        self._objects.confirm()
        heads.refuse_older(self._objects)
        slot = choose_slot(self.slots(), slot_id)
        if not slot.removed:
            self._begin_epoch(*self._brought_along({slot.id}, drop_others))
        with heads.removing(self._objects, [self._name(slot.id)]):
            remove_slot(self._store, self._bank_id, slot)
        return slot

    def rotate(self, source: KeySource, label: str = "", *, drop_others: bool = False) -> tuple[Slot, str]:
        """Replace the key that the bank was opened with, and begin a new root. No data is written anew.

        The new one opens the bank before the old one does no more: killed at any moment, at least one
        of them does. Doing it again finishes it.

        :param drop_others: also take away the keys whose public half the bank does not have.
        :returns: the new key's slot, and why the old one could not be removed (empty: it was).
        :raises Conflict: the bank does not have that of all others.
        """
        self._objects.confirm()
        heads.refuse_older(self._objects)
        roots, old = self._keyring.roots, self.used
        roots.newer()
        begun = existing_slot(self._store, self._bank_id, source)
        others, gone = self._brought_along({old, *([begun[0].id] if begun else [])}, drop_others)
        slot, key = self._put(source, label)
        self.used, roots.key = slot.id, key
        heads.change(self._objects, there={self._name(slot.id): public_half(key)})
        self._begin_epoch({**others, slot.id: public_half(key)}, gone - {slot.id})
        refused = ""
        for each in self.slots():
            if each.removed:
                try:
                    with heads.removing(self._objects, [self._name(each.id)]):
                        remove_slot(self._store, self._bank_id, each)
                except BankError as error:
                    refused = str(error)
        return slot, refused

    def _put(self, source: KeySource, label: str) -> tuple[Slot, BankKey]:
        roots = self._keyring.roots
        root, first = roots.newest.secret, roots.first

        def announce(name: str, key: BankKey) -> None:
            heads.announce(self._objects, name, public_half(key))

        return put_slot(self._store, self._bank_id, root, source, label, first=first, announce=announce)

    def _publics(self) -> dict[str, str]:
        """The public halves of the keys that open the bank, as far as it has them."""
        roots = self._keyring.roots
        own = {roots.key.id.hex(): public_half(roots.key)}
        return {**roots.publics, **heads.publics(self._objects, roots.epoch), **own}

    def _brought_along(self, without: set[str], drop_others: bool) -> tuple[dict[str, str], set[str]]:
        """The other keys, which the next root has to be wrapped for, and those that it will not be.

        :raises Conflict: the bank cannot do so for some of them.
        """
        known = self._publics()
        others = {each.id: each for each in self.slots() if not each.removed and each.id not in without}
        lacking = [each for name, each in others.items() if name not in known]
        if lacking and not drop_others:
            names = ", ".join(f"{each.id[:8]} ({each.label or each.kind or 'damaged'})" for each in lacking)
            raise Conflict(
                f"the bank gets no new root: other keys could not be brought along: {names}",
                reason="an earlier Refloat added them, and did not keep in the bank what that needs",
                advice="Give each of them once to 'refloat bank keys add', or give --drop-others: then they "
                "do not open the bank any more. Nothing was changed",
            )
        dropped = {each.id for each in lacking}
        return {name: known[name] for name in others.keys() - dropped}, without | dropped

    def _begin_epoch(self, publics: dict[str, str], gone: set[str]) -> None:
        roots = self._keyring.roots
        while True:
            with heads.adding(self._objects, roots.name(roots.epoch + 1)):
                roots.advance(publics, (gone | roots.removed) - publics.keys())
                added = heads.publics(self._objects, roots.epoch - 1)
            late = {name: added[name] for name in added.keys() - publics.keys() - gone}
            if not late:
                return
            publics = publics | late  # another process has let them open the bank meanwhile

    def _name(self, slot_id: str) -> str:
        return f"keys/{self._objects.identity.id}.{slot_id}"

    def projects(self) -> list[ProjectVersion]:
        """The keys of all projects, the newest of each last."""
        return self._keyring.projects.all()

    def rotate_project(self, project_id: str) -> int:
        """Give a project a new key for all that is written from now on. The number of the key.

        What is there stays readable, and unchanged data is still shared with it.

        :raises NotFound: the project has nothing in this bank.
        """
        self._objects.confirm()
        heads.refuse_older(self._objects)
        return self._keyring.rotate(project_id)

    def export_project(self, project_id: str) -> ProjectKey:
        """The key to all that a project has in this bank now, and to nothing else.

        :raises NotFound: the project has nothing in this bank.
        """
        return self._keyring.export(project_id, self._objects.identity.descriptor)

    def export_recovery(self, path: str | Path) -> list[str]:
        """Write what opens the bank to a file; the names of what is in it."""
        return export_recovery(self._objects, path)

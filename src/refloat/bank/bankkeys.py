"""The keys of an open bank: those that open it, and those of its projects."""

from __future__ import annotations

from pathlib import Path

from refloat.bank import heads
from refloat.bank.keys import KeySource, ProjectKey
from refloat.bank.objects import Objects
from refloat.bank.project_keys import ProjectVersion
from refloat.bank.recovery import export_recovery
from refloat.bank.slots import Slot, put_slot, remove_slot, slots
from refloat.errors import BankError, NotFound


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
        """The keys that open the bank, the oldest first."""
        return slots(self._store, self._bank_id)

    def add(self, source: KeySource, label: str = "") -> Slot:
        """Let one more key open the bank.

        :raises Conflict: it opens it already.
        """
        self._objects.confirm()
        slot = put_slot(self._store, self._bank_id, self._keyring.root, source, label)[0]
        heads.change(self._objects, there=[self._name(slot.id)])
        return slot

    def remove(self, slot_id: str) -> Slot:
        """Let a key no longer open the bank. Whoever had it may have kept the root secret.

        :param slot_id: its id, or the beginning of it.
        :raises Conflict: it is the last one.
        :raises BankError: the store refuses to; the key still opens the bank.
        """
        self._keyring.root  # noqa: B018 - whoever has no key of the bank may not change them
        self._objects.confirm()
        fits = [slot.id for slot in self.slots() if slot_id and slot.id.startswith(slot_id)]
        with heads.removing(self._objects, [self._name(each) for each in fits] if len(fits) == 1 else []):
            return remove_slot(self._store, self._bank_id, slot_id)

    def _name(self, slot_id: str) -> str:
        return f"keys/{self._objects.identity.id}.{slot_id}"

    def rotate(self, source: KeySource, label: str = "") -> tuple[Slot, str]:
        """Replace the key that the bank was opened with. No data is written anew.

        The new one opens the bank before the old one is removed: killed at any moment, at least one
        of them does. Doing it again finishes it.

        :returns: the new key's slot, and why the old one could not be removed (empty: it was).
        """
        self._objects.confirm()
        slot, _ = put_slot(self._store, self._bank_id, self._keyring.root, source, label, again=True)
        heads.change(self._objects, there=[self._name(slot.id)])
        old, self.used = self.used, slot.id
        if old == slot.id:
            return slot, ""
        try:
            with heads.removing(self._objects, [self._name(old)]):
                remove_slot(self._store, self._bank_id, old)
        except NotFound:
            pass
        except BankError as error:
            return slot, str(error)
        return slot, ""

    def projects(self) -> list[ProjectVersion]:
        """The keys of all projects, the newest of each last."""
        return self._keyring.projects.all()

    def rotate_project(self, project_id: str) -> int:
        """Give a project a new key for all that is written from now on. The number of the key.

        What is there stays readable, and unchanged data is still shared with it.

        :raises NotFound: the project has nothing in this bank.
        """
        self._objects.confirm()
        return self._keyring.rotate(project_id)

    def export_project(self, project_id: str) -> ProjectKey:
        """The key to all that a project has in this bank now, and to nothing else.

        :raises NotFound: the project has nothing in this bank.
        """
        return self._keyring.export(project_id, self._objects.identity.descriptor)

    def export_recovery(self, path: str | Path) -> list[str]:
        """Write what opens the bank to a file; the names of what is in it."""
        return export_recovery(self._objects, path)

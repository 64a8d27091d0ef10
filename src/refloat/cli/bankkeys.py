"""``refloat bank keys``: who can open the bank."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from refloat.cli.bank_command import BANK, BankCommand
from refloat.cli.base import Args, Argument, Either, Lister, ShowOne
from refloat.cli.output import Bytes, Time
from refloat.errors import InvalidInput

if TYPE_CHECKING:
    from refloat.bank import Bank, KeySource, Slot


PROJECT = Argument("project", "the project's id")
NEW_KEY = (
    Either(
        Argument("--new-key", "a key file; made if it is not there", metavar="FILE"),
        Argument("--passphrase", "a passphrase, which is asked for", action="store_true"),
        Argument("--passphrase-file", "a passphrase, read from this file", metavar="FILE"),
        Argument(
            "--barbican",
            "a secret in Barbican; one is made if no id is given",
            metavar="ID",
            nargs="?",
            const="",
        ),
    ),
    Argument("--label", "what the key is for; not secret", metavar="TEXT", default=""),
)

DROP_OTHERS = Argument(
    "--drop-others",
    "also remove the keys that cannot be brought along to the new root",
    action="store_true",
)


class ListKeys(BankCommand, Lister):
    """List the keys that open the bank, the oldest first.

    What a key is for cannot be told from the bank but by its label. One that is shown as removed, because the
    store keeps its slot or somebody has put that back, opens only what was written before its removal.
    """

    columns = ("id", "kind", "label", "created_at", "in_use", "removed")

    def rows(self, parsed_args: argparse.Namespace) -> Iterable[Mapping[str, Any]]:
        with self.bank(parsed_args) as bank:
            return [_shown(bank, slot) for slot in bank.keys.slots()]


class NewKey(BankCommand, ShowOne):
    """A command that takes a new key."""

    args: ClassVar[Args] = (*BANK, *NEW_KEY)

    def new_key(self, parsed_args: argparse.Namespace) -> KeySource:
        from refloat.bank import create_key, load_key, load_passphrase
        from refloat.providers.bank_keys import ask_passphrase

        if parsed_args.passphrase:
            return ask_passphrase("New passphrase: ", twice=True)
        if parsed_args.passphrase_file:
            return load_passphrase(parsed_args.passphrase_file)
        if parsed_args.barbican is not None:
            from refloat.cloud import Cloud
            from refloat.cloud.barbican import KeyManager
            from refloat.providers.bank_keys import BarbicanKey

            return BarbicanKey(parsed_args.barbican, KeyManager(Cloud(self.app.options.os_cloud)))
        if not parsed_args.new_key:
            raise InvalidInput(
                "no new key is named", advice="Give --new-key, --passphrase, --passphrase-file or --barbican"
            )
        if Path(parsed_args.new_key).exists():
            return load_key(parsed_args.new_key)
        key = create_key(parsed_args.new_key)
        self.say(f"Made the key file {parsed_args.new_key}. Keep a copy of it elsewhere.")
        return key

    def tell_where(self, source: KeySource) -> None:
        """What to do to use a key that is not in a file."""
        if source.kind == "barbican":
            self.say(f"Use it with: REFLOAT_BANK_KEY=barbican:{getattr(source, 'secret_id', '')}")


class AddKey(NewKey):
    """Let one more key open the bank: a key file, a passphrase, or a secret in Barbican.

    No data is rewritten. Given a key that opens the bank and was added by an earlier Refloat, it keeps in the
    bank what is needed to bring that key along when another is removed.
    """

    examples = """
        refloat bank keys add --new-key /media/safe/bank.key --label safe
        refloat bank keys add --passphrase
    """

    def show(self, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        with self.bank(parsed_args) as bank:
            source = self.new_key(parsed_args)
            slot = bank.keys.add(source, parsed_args.label)
            self.tell_where(source)
            return _shown(bank, slot)


class RemoveKey(BankCommand, ShowOne):
    """Let a key no longer open the bank. The last one is never removed.

    What is written from now on is under a new root. Whoever had the key, and kept its slot, can open what was
    written before, and nothing else.
    """

    args = (*BANK, Argument("id", "of the key, or its beginning"), DROP_OTHERS)

    def show(self, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        with self.bank(parsed_args) as bank:
            return _shown(bank, bank.keys.remove(parsed_args.id, drop_others=parsed_args.drop_others))


class RotateKeys(NewKey):
    """Replace the key with which the bank is opened, or the key of a project. No data is rewritten.

    Of the bank: the new key opens it, then a new root is made, which the other keys open too and the old one
    does not: that opens only what was written before. Killed at any moment, the old or the new key opens
    the bank, and the command can be given again, with whichever does. Who works with the old key is refused
    from then on: for a service, add a key, let all workers use it, then remove the old one. Of a project
    (--project): what is protected from now on is under the new key; what is there stays readable. In either
    case unchanged data is still shared.
    """

    examples = """
        refloat bank keys rotate --new-key ~/.config/refloat/bank-2.key
        refloat bank keys rotate --project 5a1f7c3e...
    """

    args = (*BANK, *NEW_KEY, Argument("--project", "the key of this project", metavar="ID"), DROP_OTHERS)

    def show(self, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        with self.bank(parsed_args) as bank:
            if parsed_args.project:
                number = bank.keys.rotate_project(parsed_args.project)
                return {"project_id": parsed_args.project, "number": number}
            source = self.new_key(parsed_args)
            slot, refused = bank.keys.rotate(source, parsed_args.label, drop_others=parsed_args.drop_others)
            self.tell_where(source)
            if refused:
                self.exit_status = 1
                self.app.stderr.write(f"refloat: the new key opens the bank, but {refused}\n")
            return _shown(bank, slot)


class ExportKey(BankCommand, ShowOne):
    """Write the key of one project to a file.

    It opens that project's checkpoints, for reading, and nothing else: those that are there now. After the
    project's key was rotated, later checkpoints need a new export.
    """

    examples = """
        refloat bank keys export 5a1f7c3e... shop.key
        refloat bank verify --key shop.key
    """

    args = (*BANK, PROJECT, Argument("file", "a new file"))

    def show(self, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        with self.bank(parsed_args) as bank:
            key = bank.keys.export_project(parsed_args.project)
        key.save(parsed_args.file)
        return {"project_id": key.project_id, "file": parsed_args.file, "versions": len(key.keys)}


class ExportRecovery(BankCommand, ShowOne):
    """Write all that opens the bank, but no key, to a file: what nobody can make again.

    Keep it with a copy of the key, elsewhere. It is small, and worthless without a key. Write it again when
    keys or projects were added.
    """

    examples = """
        refloat bank keys export-recovery /media/safe/bank.recovery
    """

    args = (*BANK, Argument("file", "a new file"))

    def show(self, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        with self.bank(parsed_args) as bank:
            names = bank.keys.export_recovery(parsed_args.file)
            return {"id": bank.id, "file": parsed_args.file, "objects": len(names)}


class ImportRecovery(BankCommand, ShowOne):
    """Put back what a bank has lost of all that opens it.

    What is there with another content is left alone, and named, unless --replace is given. Keys of erased
    projects stay erased. Keys that were removed from the bank since come back: remove them again.
    """

    examples = """
        refloat bank keys import-recovery /media/safe/bank.recovery
    """

    args = (
        BANK[0],
        Argument("file", "written by export-recovery"),
        Argument("--replace", "also what is there and damaged", action="store_true"),
    )

    def show(self, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        from refloat.bank.opening import open_store
        from refloat.bank.recovery import import_recovery
        from refloat.cloud import Cloud
        from refloat.control.settings import Settings
        from refloat.providers.swift_login import logging_in_to

        if not parsed_args.bank:
            self.refuse_service(f"'{self.cmd_name}'")
        with logging_in_to(Cloud(self.app.options.os_cloud)):
            store = open_store(parsed_args.bank or Settings.load().bank_url)
        try:
            done = import_recovery(store, parsed_args.file, replace=parsed_args.replace)
        finally:
            store.close()
        self.exit_status = 1 if done.other else 0
        return {"id": done.bank_id, "restored": done.restored, "other": done.other, "erased": done.erased}


class EraseKeys(BankCommand, ShowOne):
    """Remove the keys of a project, so that nobody can ever read its checkpoints, then all its data.

    This cannot be undone, and it does not ask: it needs --yes.
    """

    args = (*BANK, PROJECT, Argument("--yes", "really", action="store_true"))

    def show(self, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        with self.bank(parsed_args) as bank:
            count = len(bank.checkpoints(parsed_args.project))
            if not parsed_args.yes:
                raise InvalidInput(
                    f"this would destroy {count} checkpoints of the project {parsed_args.project}",
                    advice="Give --yes if that is meant",
                )
            done = bank.erase_project(parsed_args.project)
        return {
            "project_id": parsed_args.project,
            "checkpoints": count,
            "freed_bytes": Bytes(done.freed),
            "objects": done.objects,
        }


def _shown(bank: Bank, slot: Slot) -> dict[str, Any]:
    return {
        "id": slot.id,
        "kind": slot.kind if not slot.damaged else "damaged",
        "label": slot.label,
        "created_at": Time(slot.created_at),
        "in_use": slot.id == bank.keys.used,
        "removed": slot.removed,
    }

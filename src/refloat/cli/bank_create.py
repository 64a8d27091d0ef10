"""``refloat bank create`` and ``accept``: which bank is where."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from refloat.cli.bank_command import BankCommand
from refloat.cli.base import ShowOne


class _BankOf(BankCommand, ShowOne):
    """A command on the place of a bank."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("--provider", metavar="NAME", help="the bank that this provider's file names")
        return parser


class CreateBank(_BankOf):
    """Make a bank, where there is nothing yet, and its key, where there is none.

    Its id is remembered: from now on no other bank is opened there. Keep a copy of the key elsewhere: without
    it no checkpoint can be read.
    """

    examples = """
        refloat bank create
        refloat bank create --bank /mnt/backup/bank
        refloat bank create --provider offsite
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--instead-of",
            metavar="ID",
            default="",
            help="of the bank that was there, and will not come back",
        )
        return parser

    def show(self, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        with self.banks(parsed_args) as (banks, place), banks.make(place, parsed_args.instead_of) as bank:
            return {"id": bank.id, "url": bank.url, "key": str(place.key_file)}


class AcceptBank(_BankOf):
    """Let another bank take the place of the one that is remembered.

    Give its id: the bank has to be there, and its key to open it. Checkpoints of the former bank are not
    moved, and not touched.
    """

    examples = """
        refloat bank accept 0f6a2c4e...
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("id", metavar="ID", help="of the bank that is there now")
        return parser

    def show(self, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        with self.banks(parsed_args) as (banks, place):
            (was,) = banks.accept(place, parsed_args.id).values()
        return {"id": parsed_args.id, "url": place.url, "was": was}

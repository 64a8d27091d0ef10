"""``refloat bank check-store``: is a store fit for a bank?"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from refloat.cli.base import Argument, Lister
from refloat.errors import InvalidInput

if TYPE_CHECKING:
    from refloat.bank.qualify import StoreReport

_MEBI = 1 << 20
ROLES = ("first", "second")


class CheckStore(Lister):
    """Try out whether a store can be trusted with a bank, and measure it.

    Writes some objects under random names, reads, lists and races for them, and removes them. The exit
    status is 1 when the store is no place for a bank. A bank that is already there is not touched.
    """

    examples = """
        refloat bank check-store /mnt/backup
        refloat bank check-store swift://backups/refloat
        refloat bank check-store /mnt/nfs --as first      # and on another host --as second
        refloat bank check-store /mnt/nfs --only-host     # no other host uses this bank
        refloat bank check-store 's3://backups/refloat?endpoint=https://s3.example.org' -f json
    """
    columns = ("property", "verdict", "text")

    args = (
        Argument("url", "the store (default: the bank's, REFLOAT_BANK); see docs/stores.md", nargs="?"),
        Argument("--create", "make the folder or container if it is not there", action="store_true"),
        Argument(
            "--size",
            "measure with four objects of so many MiB (default: %(default)s)",
            type=int,
            default=16,
            metavar="MIB",
        ),
        Argument(
            "--as",
            "instead, see with another host, where this runs as the other one, whether both see at once what "
            "the other does",
            dest="role",
            choices=ROLES,
        ),
        Argument(
            "--only-host",
            "only this host uses the store: it may delete there though the file system's listings are late",
            action="store_true",
        ),
    )

    def rows(self, parsed_args: argparse.Namespace) -> Iterable[Mapping[str, Any]]:
        from refloat.bank.mount import vouch
        from refloat.bank.opening import open_store
        from refloat.bank.qualify import FILE_SYSTEM, WARNING, qualify
        from refloat.bank.two_hosts import meet
        from refloat.cloud import Cloud
        from refloat.control.settings import Settings
        from refloat.providers.swift_login import logging_in_to

        if not 1 <= parsed_args.size <= 1024:
            raise InvalidInput("--size is from 1 to 1024")
        if not parsed_args.url:
            self.refuse_service("'bank check-store'")
        with logging_in_to(Cloud(self.app.options.os_cloud)):
            store = open_store(parsed_args.url or Settings.load().bank_url, create=parsed_args.create)
        with closing(store):
            if parsed_args.role:
                report = meet(store, parsed_args.role)
            else:
                report = qualify(store, size=parsed_args.size * _MEBI, told=self._tell)
            if parsed_args.only_host:
                report.findings = [
                    replace(each, verdict=WARNING) if each.property == FILE_SYSTEM else each
                    for each in report.findings
                ]
            if parsed_args.role or parsed_args.only_host:
                vouch(store, report.fit)
        self.exit_status = 0 if report.fit else 1
        for sentence in _summary(report):
            self.say(sentence)
        return [asdict(item) for item in report.findings]

    def _tell(self, name: str) -> None:
        if self.app.stderr.isatty():
            self.say(f"{name} ...")


def _summary(report: StoreReport) -> Iterator[str]:
    if report.left:
        yield (
            f"{len(report.left)} objects could not be removed, {report.left[0]} for one: "
            "they are below qualify/ in the store, disturb nothing, and can be deleted when it allows it"
        )
    warnings = sum(item.verdict == "warning" for item in report.findings)
    if not report.fit:
        yield f"{report.url} is no place for a bank."
    elif warnings:
        yield f"{report.url} can hold a bank; read the {'warning' if warnings == 1 else 'warnings'}."
    else:
        yield f"{report.url} can hold a bank."

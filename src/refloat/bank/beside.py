"""What an open bank is besides its checkpoints: it is closed, and what is hurt in it is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from refloat.bank import heads
from refloat.bank.holds import BankHold
from refloat.bank.manifest import MANIFESTS
from refloat.bank.objects import Objects
from refloat.bank.sealing import tag_in
from refloat.bank.second_copies import hurt_copies
from refloat.bank.store import exists
from refloat.bank.verification_report import Damage, VerificationReport
from refloat.closing import Closing


class Opened(Closing):
    """A store with a bank in it."""

    _objects: Objects

    @property
    def url(self) -> str:
        return self._objects.store.url

    def confirm(self) -> None:
        """Ask the store whether it still is this bank. :raises WrongBank: it is not."""
        self._objects.confirm()

    def close(self) -> None:
        self._objects.store.close()


def hurt_keys(objects: Objects, holds: Iterable[BankHold]) -> list[Damage]:
    """What opens the bank and is not what it should be; all can be read nevertheless."""
    hurt = {each.name: each.reason for each in hurt_copies(objects) if not each.expected}
    hurt |= objects.keys.projects.hurt()
    hurt |= heads.unreadable(objects)
    hurt |= {each.name: "it cannot be read, and holds" for each in holds if each.damaged}
    return [Damage("", "", name, reason, readable=True) for name, reason in sorted(hurt.items())]


def not_fresh(objects: Objects, problems: Mapping[str, str], report: VerificationReport) -> list[Damage]:
    """What the bank's own chain of heads tells against it, and nothing else did."""
    known = {each.object for each in report.damages}
    return [
        Damage(_checkpoint_in(name), "", name, reason, readable=exists(objects.store, name))
        for name, reason in sorted(problems.items())
        if name not in known and _checkpoint_in(name) not in report.bad
    ]


def tags_in(objects: Objects, tag: str | None) -> set[str]:
    return {tag} if tag is not None else {tag_in(entry.name) for entry in objects.store.list("data/")}


def _checkpoint_in(name: str) -> str:
    return name.split("/")[1].split(".")[0] if name.startswith((MANIFESTS, "holds/")) else ""

"""What verifying hooks say: whether a section is whole, and data is what was written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from refloat.errors import BankDamaged
from refloat.resources.base import HookContext, Hooks, Section, hooks


def checked(problem: str, fine: str = "") -> Mapping[str, Any]:
    """What a verifying hook returns.

    :param problem: what is wrong; empty: nothing.
    :param fine: what to say when nothing is.
    """
    return {"ok": not problem, "reason": problem or fine}


def section_has(*fields: str) -> type[Hooks]:
    """Hooks for a kind of which nothing is kept but its section."""

    def check(context: HookContext) -> Mapping[str, Any]:
        return checked(lacking(context.section, *fields))

    return hooks(on_main=check)


def lacking(section: Section, *fields: str) -> str:
    """What a section should have and has not, in words; empty: it is whole."""
    missing = [field for field in fields if field not in section]
    return f"the checkpoint lacks {', '.join(missing)}" if missing else ""


def data_is(references: Callable[[Section], Mapping[str, Any]]) -> type[Hooks]:
    """Hooks that read data back from the bank.

    :param references: by what the pieces are called, with an empty name for the only one, where they are.
    """

    def read(context: HookContext) -> Mapping[str, Any]:
        for what, reference in references(context.section).items():
            try:
                context.data.verify(reference, context.progress, context.cancelled)
            except BankDamaged as exc:
                return checked(f"{what}: {exc}" if what else str(exc))
        return checked("")

    return hooks(on_main=read)

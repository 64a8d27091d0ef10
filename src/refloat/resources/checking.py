"""Whether what a checkpoint needs is there, and why not: kept by a service, or as data in the bank."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from refloat.cloud.kinds import status_of_thing
from refloat.errors import BankDamaged
from refloat.resources.context import HookContext


def checked(problem: str, fine: str = "") -> Mapping[str, Any]:
    """What a verifying hook returns.

    :param problem: what is wrong; empty: nothing.
    :param fine: what to say when nothing is.
    """
    return {"ok": not problem, "reason": problem or fine}


def problem_of(
    what: str, found: Any | None, expected: Mapping[str, Any], fine: Collection[str], *, caveat: str = ""
) -> str:
    """What is wrong with a thing of a service that a checkpoint needs; empty: nothing it would tell.

    :param what: as people call it, such as ``Cinder snapshot``.
    :param expected: its ``id`` and its ``size`` in GiB.
    :param fine: the states in which it can be used.
    :param caveat: said when it is gone.
    """
    name = f"the {what} {expected['id']}"
    if found is None:
        return f"{name} is gone; {caveat}" if caveat else f"{name} is gone"
    status = status_of_thing(found)
    if status not in fine:
        told = getattr(found, "fail_reason", None)
        return f"the status of {name} is '{status}'" + (f": {told}" if told else "")
    if int(found.size) != expected["size"]:
        return f"{name} is of {found.size} GiB, it should be of {expected['size']}"
    return ""


def read_back(context: HookContext, data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Read and check pieces of data in the bank.

    :param data: by what they are called, with an empty name for the only one, their references.
    """
    for what, ref in data.items():
        try:
            context.data.verify(ref, context.progress, context.cancelled)
        except BankDamaged as exc:
            return checked(f"{what}: {exc}" if what else str(exc))
    return checked("")

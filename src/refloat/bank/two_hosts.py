"""Do two hosts see at once what the other has done in a store?

Both run :func:`meet`, one as ``first``, the other as ``second``. In turn, one of them writes and removes an
object, and says so in another; the other, who has just listed, looks whether its listing knows.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator

from refloat.bank.qualify import FAIL, OK, Finding, StoreReport
from refloat.bank.store import AlreadyExists, Store, exists
from refloat.errors import BankError, Cancelled, Conflict

ROLES = ("first", "second")
_ROOT = "qualify/two-hosts"
_TURNS = 4
_PAUSE = 0.05


def meet(
    store: Store, role: str, *, patience: float = 300.0, cancelled: Callable[[], bool] = lambda: False
) -> StoreReport:
    """Try a store out with another host.

    :param patience: seconds to wait for the other one, each time.
    :raises Conflict: it does not come.
    """
    late: dict[str, int] = {}
    written: list[str] = []

    def say(name: str) -> None:
        written.append(f"{_ROOT}/{name}")
        try:
            store.put(written[-1], secrets.token_bytes(16))
        except AlreadyExists as error:
            raise Conflict(
                "two hosts are being tried out in this store already", advice=f"Or remove {_ROOT} from it"
            ) from error

    def hear(name: str) -> None:
        until = time.monotonic() + patience
        while not exists(store, f"{_ROOT}/{name}"):
            if cancelled():
                raise Cancelled("the check was cancelled")
            if time.monotonic() > until:
                raise Conflict(
                    "the other host does not answer", advice="Start both, with --as first and --as second"
                )
            time.sleep(_PAUSE)

    def look(what: str, wrong: bool) -> None:
        late[what] = late.get(what, 0) + wrong

    try:
        for turn, speaks in enumerate(ROLES[number % 2] for number in range(_TURNS)):
            thing = f"{turn}.thing"
            if role == speaks:
                hear(f"{turn}.ready")
                say(thing)
                say(f"{turn}.there")
                hear(f"{turn}.seen")
                store.delete(f"{_ROOT}/{thing}")
                say(f"{turn}.gone")
                hear(f"{turn}.over")
                written.append(f"{_ROOT}/{turn}.over")  # to be removed by who has read it
            else:
                _listed(store, turn)
                say(f"{turn}.ready")
                hear(f"{turn}.there")
                look("listed at once", thing not in _listed(store, turn))
                say(f"{turn}.seen")
                hear(f"{turn}.gone")
                look("removed at once", exists(store, f"{_ROOT}/{thing}"))
                look("gone from listings at once", thing in _listed(store, turn))
                say(f"{turn}.over")
                written.pop()
    finally:
        left = list(_removed(store, written))
    return StoreReport(
        store.url,
        [
            Finding(
                what,
                FAIL if times else OK,
                f"{times} of {_TURNS // 2} times it was late" if times else "always",
            )
            for what, times in late.items()
        ],
        left,
    )


def _listed(store: Store, turn: int) -> set[str]:
    return {entry.name.rpartition("/")[2] for entry in store.list(f"{_ROOT}/{turn}.")}


def _removed(store: Store, names: list[str]) -> Iterator[str]:
    for name in names:
        try:
            store.delete(name)
        except BankError:
            yield name

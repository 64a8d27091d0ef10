"""A store in which nothing is published by somebody whose turn is over.

A process that was stopped, taken for dead and replaced may wake at any moment. So whoever writes for an
operation is given a *check* by those who know whose the operation is. It is called right before an object is
published, and again before each further attempt; when it raises, nothing is published. For what a process
publishes that is stopped between the two see ``docs/bank-format.md``, "What comes too late".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias, runtime_checkable

from refloat.bank.packs import RangeInto
from refloat.bank.retrying import Retrying
from refloat.bank.store import Parts, Store
from refloat.bank.throttle import Throttled
from refloat.bank.wrapper import Wrapper

Check: TypeAlias = Callable[[], None]
"""Raises :class:`refloat.errors.LeaseLost` when the caller may not write any more."""


def unfenced() -> None:
    """The check of those who write for no operation."""


@runtime_checkable
class Staged(Protocol):
    """What a store may offer besides :class:`Store`: to prepare an object before it gets its name."""

    def put_checked(self, name: str, content: Parts, check: Check) -> None:
        """Like ``put``, with ``check`` called when nothing is left to be done but to publish the object."""
        ...


def fenced(store: Store, check: Check) -> Store:
    """The same store, with the check before each publication.

    It is placed behind those wrappers that make a caller wait.
    """
    if isinstance(store, Retrying | Throttled):
        return store.around(fenced(store.inner, check))
    if isinstance(store, RangeInto):
        return _FencedInto(store, check, store)
    return _Fenced(store, check)


class _Fenced(Wrapper):
    def __init__(self, inner: Store, check: Check) -> None:
        super().__init__(inner)
        self._check = check

    def put(self, name: str, content: Parts) -> None:
        if isinstance(self.inner, Staged):
            self.inner.put_checked(name, content, self._check)
        else:
            self._check()
            self.inner.put(name, content)


class _FencedInto(_Fenced):
    def __init__(self, inner: Store, check: Check, into: RangeInto) -> None:
        super().__init__(inner, check)
        self._into = into

    def get_range_into(self, name: str, offset: int, target: memoryview) -> int:
        return self._into.get_range_into(name, offset, target)

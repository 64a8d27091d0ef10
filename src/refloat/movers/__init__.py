"""How the bytes of a volume are read and written, whatever keeps them. Knows nothing of OpenStack.

A *source* has the content of a volume, or of a snapshot of it, as it was at one moment; the bank reads it
with several threads at once. What takes the bytes of a restore is a *sink*, :class:`refloat.bank.Sink`: it is
written by several threads, told where zeros are, and flushed. What can only be read once, from its start, is
:class:`refloat.movers.streams.InOrder`.

Every source and sink goes through ``tests/mover_contract.py``: same bytes, holes, sizes; again after a
failure or a kill; nothing left behind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, Self, runtime_checkable

from refloat.bank import Extents, Sink
from refloat.errors import RefloatError

__all__ = ["CannotTell", "Extents", "Sink", "Source"]


class CannotTell(RefloatError):
    """What has changed is not known, and this is why. Everything has to be read."""


@runtime_checkable
class Source(Extents, Protocol):
    """What is read. For many threads. Leaving it as a context manager closes it."""

    @property
    def state(self) -> Mapping[str, Any]:
        """What identifies this content, as JSON, for ``changed`` of a later source; empty: nothing does."""
        ...

    def changed(self, since: Mapping[str, Any]) -> Iterator[tuple[int, int]]:
        """Offset and length of everything that may be other than in an earlier source, in order.

        What is not among it is the same for sure, zeros included. Where there is doubt it is among it.

        :param since: the ``state`` of the earlier one.
        :raises CannotTell: that was another volume, or is not known any more. Before anything is returned.
        """
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_exc: object) -> None: ...

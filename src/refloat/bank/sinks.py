"""Where data is restored to when it can be written anywhere in it: a file, a block device.

The bank writes to such a sink with several threads at once, in whatever order. Everything else gets a
stream: :class:`refloat.bank.DataReader` itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable


@runtime_checkable
class Sink(Protocol):
    """A place for data of known size. For many threads."""

    def begin(self, size: int, holes: Iterable[tuple[int, int]]) -> None:
        """So many bytes will come.

        :param holes: offset and length of what will come as zeros, in order.
        :raises BankError: there is no room for them.
        """
        ...

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Keep this part. ``data`` changes after the call."""
        ...

    def zeros(self, offset: int, length: int) -> None:
        """This part is zeros."""
        ...

    def finish(self, *, flush: bool) -> None:
        """All has been written; with ``flush`` it is to survive a power failure from now on."""
        ...

    def abort(self) -> None:
        """Not all has been written, and no more will come."""
        ...

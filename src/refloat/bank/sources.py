"""Data that can be read anywhere, and knows where it has holes, as files and block devices do.

The bank reads such a source with several threads at once and does not read its holes at all. A stream
(:mod:`refloat.bank.streams`) is for everything else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable


@runtime_checkable
class Extents(Protocol):
    """A source of known size. For many threads."""

    @property
    def size(self) -> int:
        """How many bytes it has."""
        ...

    def extents(self) -> Iterator[tuple[int, int]]:
        """Offset and length of everything that may be other than zeros, in order, without overlaps."""
        ...

    def read_into(self, offset: int, target: memoryview) -> None:
        """Fill ``target`` with what is at ``offset``.

        :raises BankError: that cannot be read, or there are not so many bytes.
        """
        ...


def runs(extents: Iterator[tuple[int, int]], chunk: int, longest: int) -> Iterator[tuple[int, int]]:
    """The chunks that extents touch: number of the first and how many, at most ``longest`` together."""
    done = 0
    for offset, length in extents:
        first, end = max(done, offset // chunk), -(-(offset + length) // chunk)
        for start in range(first, end, longest):
            yield start, min(longest, end - start)
        done = max(done, end)

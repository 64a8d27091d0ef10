"""Where data comes from: a stream of bytes, or what can be read anywhere and knows where it has holes.

The bank reads the latter, as files and block devices are, with several threads at once, and does not read its
holes at all. Of everything else it makes chunks of one size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

from refloat.errors import BankError


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


@dataclass(frozen=True, slots=True)
class Former:
    """Data that the same source once had.

    :param ref: its reference.
    :param changed: offset and length of everything that may differ from it now.
    """

    ref: Mapping[str, Any]
    changed: Sequence[tuple[int, int]]

    def numbers(self, chunk: int, size: int) -> set[int]:
        """The chunks that may have changed, of data of this size."""
        return {
            number
            for offset, length in self.changed
            for number in range(max(offset, 0) // chunk, -(-min(offset + length, size) // chunk))
        }


def runs(extents: Iterator[tuple[int, int]], chunk: int, longest: int) -> Iterator[tuple[int, int]]:
    """The chunks that extents touch: number of the first and how many, at most ``longest`` together."""
    done = 0
    for offset, length in extents:
        first, end = max(done, offset // chunk), -(-(offset + length) // chunk)
        for start in range(first, end, longest):
            yield start, min(longest, end - start)
        done = max(done, end)


@runtime_checkable
class Readable(Protocol):
    """Something with a ``read``: a file, a response, a pipe."""

    def read(self, size: int, /) -> Any:
        """At most ``size`` bytes; nothing at the end."""
        ...


Source: TypeAlias = Readable | Iterable[bytes]


def chunks_of(source: Source, size: int) -> Iterator[bytes]:
    """The stream in chunks of ``size`` bytes, the last one shorter."""
    if isinstance(source, Readable):
        yield from _read(source.read, size)
    else:
        yield from _join(source, size)


def _read(read: Callable[[int], Any], size: int) -> Iterator[bytes]:
    while True:
        pieces: list[bytes] = []
        missing = size
        while missing:
            piece = read(missing)
            if piece is None:
                raise BankError("the source of the data does not block when it has nothing to read")
            if not piece:
                break
            pieces.append(piece)
            missing -= len(piece)
        if missing < 0:
            raise BankError("the source of the data returned more than it was asked for")
        chunk = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if chunk:
            yield bytes(chunk)
        if missing:
            return


def _join(source: Iterable[bytes], size: int) -> Iterator[bytes]:
    pieces: list[bytes] = []
    have = 0
    for piece in source:
        if not have and len(piece) == size:
            yield bytes(piece)
            continue
        pieces.append(piece)
        have += len(piece)
        if have >= size:
            view = memoryview(b"".join(pieces))
            whole = have - have % size
            for start in range(0, whole, size):
                yield bytes(view[start : start + size])
            pieces, have = [bytes(view[whole:])], have - whole
    if have:
        yield b"".join(pieces)

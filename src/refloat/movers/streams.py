"""Content that comes once and in order, as from Glance: nobody knows of holes in it, or what has changed."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator

from refloat.closing import Closing
from refloat.errors import BankError

_ZEROS = bytes(1 << 20)


class InOrder(Closing):
    """A stream of a volume's size.

    :param stream: may end early: storage on files may keep a volume without the zeros at its end.
    """

    def __init__(self, stream: Iterable[bytes], size: int) -> None:
        self.size = size
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        """:raises BankError: there is more than the size."""
        left = self.size
        for piece in self._stream:
            left -= len(piece)
            if left < 0:
                raise BankError(f"more than the {self.size} bytes of the volume came")
            yield piece
        while left > 0:
            yield _ZEROS[: min(left, len(_ZEROS))]
            left -= len(_ZEROS)

    def close(self) -> None:
        """Give up what has not been read."""
        if isinstance(self._stream, Generator):
            self._stream.close()

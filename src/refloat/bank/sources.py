"""Data that can be read anywhere, and knows where it has holes: files and block devices.

The bank reads such a source with several threads at once and does not read its holes at all. A stream
(:mod:`refloat.bank.streams`) is for everything else.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol, runtime_checkable

from refloat.errors import BankError, InvalidInput, NotFound


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


class FileSource:
    """A regular file or a block device, as it is while it is read: let nobody write to it meanwhile.

    :raises NotFound: there is no such file.
    :raises InvalidInput: it is something else: a folder, a pipe, a terminal.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = path
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            raise NotFound(f"there is no file {path}") from None
        except OSError as error:
            raise self._failed(error) from error
        mode = os.fstat(self._fd).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
            self.close()
            raise InvalidInput(f"{path} is neither a file nor a block device")
        self._size = os.lseek(self._fd, 0, os.SEEK_END)

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return self._size

    def extents(self) -> Iterator[tuple[int, int]]:
        """What is not a hole; all of it if the system cannot tell."""
        at = 0
        while at < self._size:
            try:
                start = os.lseek(self._fd, at, os.SEEK_DATA)
                end = os.lseek(self._fd, start, os.SEEK_HOLE)
            except OSError as error:
                if error.errno == errno.ENXIO:  # there is nothing but a hole
                    return
                start, end = at, self._size
            end = min(end, self._size)
            if start < end:
                yield start, end - start
            at = end

    def read_into(self, offset: int, target: memoryview) -> None:
        """Fill ``target`` with what is at ``offset``."""
        done = 0
        while done < len(target):
            try:
                got = os.preadv(self._fd, [target[done:]], offset + done)
            except OSError as error:
                raise self._failed(error) from error
            if not got:
                raise BankError(f"{self._path} became shorter while it was read")
            done += got

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> FileSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _failed(self, error: OSError) -> BankError:
        return BankError(f"{self._path} cannot be read", reason=str(error.strerror))


def runs(extents: Iterator[tuple[int, int]], chunk: int, longest: int) -> Iterator[tuple[int, int]]:
    """The chunks that extents touch: number of the first and how many, at most ``longest`` together."""
    done = 0
    for offset, length in extents:
        first, end = max(done, offset // chunk), -(-(offset + length) // chunk)
        for start in range(first, end, longest):
            yield start, min(longest, end - start)
        done = max(done, end)

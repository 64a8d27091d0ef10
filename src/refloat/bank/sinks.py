"""Where data is restored to when it can be written anywhere in it: a file, a block device.

The bank writes to such a sink with several threads at once, in whatever order. Everything else gets a
stream: :class:`refloat.bank.DataReader` itself.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import struct
import threading
from collections.abc import Iterable
from contextlib import AbstractContextManager
from itertools import chain
from pathlib import Path
from typing import Protocol, runtime_checkable

from refloat.bank.filesystem import reserve, write_at
from refloat.errors import BankError, InvalidInput

_BLKZEROOUT = 0x127F
_CANNOT = {errno.ENOTTY, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM}
_ZEROS = bytes(1 << 20)


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


class FileSink:
    """A file, made if it is not there, or a block device. In a file, zeros are holes.

    What an existing file had is lost. After a failure a file that was made here is removed again; an
    existing file or a device then holds a part of the new data and must not be used.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = path
        self._made = False
        self._turn: AbstractContextManager[object]
        flags = os.O_WRONLY | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            try:
                self._fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
                self._made = True
            except FileExistsError:
                self._fd = os.open(path, flags)
        except OSError as error:
            raise self._failed(error) from error
        mode = os.fstat(self._fd).st_mode
        self._device = stat.S_ISBLK(mode)
        # The system lets one thread at a time write to a file, and others spin: let them sleep.
        self._turn = contextlib.nullcontext() if self._device else threading.Lock()
        if not (self._device or stat.S_ISREG(mode)):
            os.close(self._fd)
            raise InvalidInput(f"{path} is neither a file nor a block device")

    def begin(self, size: int, holes: Iterable[tuple[int, int]]) -> None:
        """Make a file so large, with room for all but the holes; see whether a device is large enough."""
        try:
            if not self._device:
                os.ftruncate(self._fd, 0)
                os.ftruncate(self._fd, size)
                at = 0
                for offset, length in chain(holes, [(size, 0)]):
                    if at < offset and not reserve(self._fd, at, offset - at):
                        break
                    at = offset + length
            elif (room := os.lseek(self._fd, 0, os.SEEK_END)) < size:
                raise InvalidInput(f"{self._path} has {room} bytes, {size} are needed")
        except OSError as error:
            raise self._failed(error) from error

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Write this part."""
        try:
            with self._turn:
                write_at(self._fd, data, offset)
        except OSError as error:
            raise self._failed(error) from error

    def zeros(self, offset: int, length: int) -> None:
        """Nothing in a file: it was a hole all along. A device is told, or written to."""
        if not self._device:
            return
        try:
            fcntl.ioctl(self._fd, _BLKZEROOUT, struct.pack("QQ", offset, length))
        except OSError as error:
            if error.errno not in _CANNOT:
                raise self._failed(error) from error
            for at in range(offset, offset + length, len(_ZEROS)):
                self.write(at, memoryview(_ZEROS)[: offset + length - at])

    def finish(self, *, flush: bool) -> None:
        """Flush if wanted, and close."""
        try:
            if flush:
                os.fsync(self._fd)
        except OSError as error:
            raise self._failed(error) from error
        finally:
            os.close(self._fd)

    def abort(self) -> None:
        """Close; remove the file if it was made here."""
        os.close(self._fd)
        if self._made:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)

    def _failed(self, error: OSError) -> BankError:
        return BankError(f"{self._path} cannot be written", reason=str(error.strerror))

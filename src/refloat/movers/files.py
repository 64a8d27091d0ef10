"""Files and block devices: what storage on files has, and what is attached to this host."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import struct
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn

from refloat.bank.filesystem import reserve, write_at
from refloat.closing import Closing
from refloat.errors import BankError, InvalidInput, NotFound
from refloat.movers import CannotTell

_BLKZEROOUT = 0x127F
_CANNOT = {errno.ENOTTY, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM}
_ZEROS = bytes(1 << 20)


class FileSource(Closing):
    """A regular file or a block device, as it is while it is read: let nobody write to it meanwhile.

    :param size: of the volume that a file keeps without the zeros at its end.
    :raises NotFound: there is no such file.
    :raises InvalidInput: it is something else: a folder, a pipe, a terminal.
    """

    def __init__(self, path: str | Path, size: int | None = None) -> None:
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
        self._kept = os.lseek(self._fd, 0, os.SEEK_END)
        self._size = self._kept if size is None else size
        if self._kept > self._size:
            self.close()
            raise InvalidInput(f"{path} has {self._kept} bytes, more than the {self._size} of its volume")

    @property
    def size(self) -> int:
        return self._size

    @property
    def state(self) -> Mapping[str, Any]:
        return {}

    def changed(self, since: Mapping[str, Any]) -> NoReturn:
        raise CannotTell("a file does not tell what has changed in it")

    def extents(self) -> Iterator[tuple[int, int]]:
        """What is not a hole; all of it if the system cannot tell."""
        at = 0
        while at < self._kept:
            try:
                start = os.lseek(self._fd, at, os.SEEK_DATA)
                end = os.lseek(self._fd, start, os.SEEK_HOLE)
            except OSError as error:
                if error.errno == errno.ENXIO:  # there is nothing but a hole
                    return
                start, end = at, self._kept
            end = min(end, self._kept)
            if start < end:
                yield start, end - start
            at = end

    def read_into(self, offset: int, target: memoryview) -> None:
        if offset + len(target) > self._size:
            raise BankError(f"{self._path} has only {self._size} bytes")
        done, there = 0, max(0, min(len(target), self._kept - offset))
        target[there:] = bytes(len(target) - there)
        while done < there:
            try:
                got = os.preadv(self._fd, [target[done:there]], offset + done)
            except OSError as error:
                raise self._failed(error) from error
            if not got:
                raise BankError(f"{self._path} became shorter while it was read")
            done += got

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _failed(self, error: OSError) -> BankError:
        return BankError(f"{self._path} cannot be read", reason=str(error.strerror))


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

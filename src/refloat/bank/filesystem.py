"""A store in a folder of a POSIX file system.

An object is a file. It is written under a temporary name in the same file system, flushed to the
disk, *linked* to its real name (a link, other than a rename, never replaces what is there), and the
folder is flushed. So an object is whole or absent, also after a power failure, and of two writers of
one name exactly one wins.

A process holds a lock on each temporary file it writes. A file that nobody holds was left by a
process that died; it is removed when the store is opened.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from stat import S_ISREG

from refloat.bank.fence import Check, unfenced
from refloat.bank.folder import Folder
from refloat.bank.store import (
    AlreadyExists,
    Denied,
    ObjectInfo,
    ObjectMissing,
    Parts,
    StoreFull,
    check_name,
    parts_of,
)
from refloat.errors import BankError, InvalidInput, NotFound

_TEMPORARY = ".tmp"
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
_NO_FLUSH = {errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS}
_FULL = {errno.ENOSPC, errno.EDQUOT}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
_ABANDONED_AFTER = 7 * 86400.0
_ATTEMPTS = 20
_AT_ONCE = 256 << 10
_RESERVED_FROM = 1 << 20


class FileSystemStore:
    """Objects as files below one folder, readable by its owner only.

    :param root: the folder.
    :param create: make it if it is not there.
    :raises NotFound: it is not there.
    """

    def __init__(self, root: str | Path, *, create: bool = False) -> None:
        self._root = Path(root).absolute()
        self._temporary = self._root / _TEMPORARY
        self._folder: Folder | None = None
        with self._explained():
            if create:
                self._make()
            if not self._root.exists():
                raise NotFound(f"there is no folder {self._root}")
            if not self._root.is_dir():
                raise InvalidInput(f"{self._root} is not a folder")
            self._folder = Folder(self._root)
            self._check_folder()
            self._remove_leftovers()

    def _check_folder(self) -> None:
        """:raises WrongBank: it is not the folder that was opened."""
        if self._folder is not None:
            self._folder.confirm()

    @contextlib.contextmanager
    def _explained(self, name: str = "", room: Callable[[], str] | None = None) -> Generator[None]:
        """Turn the system's errors into ours; what is missing in another folder is not missing."""
        try:
            yield
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            self._check_folder()
            raise ObjectMissing("the object is missing", resource=name) from error
        except OSError as error:
            if error.errno in _FULL:
                raise StoreFull(
                    f"the bank is full: {self.url}",
                    resource=name,
                    reason=room() if room is not None else str(error.strerror),
                    advice="Make room or give the bank a larger file system, then try again",
                ) from error
            kind = Denied if error.errno in _DENIED else BankError
            raise kind(f"the store failed: {self.url}", resource=name, reason=str(error.strerror)) from error

    def _make(self) -> None:
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise InvalidInput(
                f"the folder {self._root} cannot be made", reason=str(error.strerror)
            ) from error
        except FileExistsError:
            return  # what is there is looked at next

    @property
    def url(self) -> str:
        return f"file://{self._root}"

    def put(self, name: str, content: Parts) -> None:
        self.put_checked(name, content, unfenced)

    def put_checked(self, name: str, content: Parts, check: Check) -> None:
        parts = parts_of(content)
        path = self._root / check_name(name)
        size = sum(map(len, parts))
        with self._explained(name, lambda: self._room(size)):
            self._check_folder()
            for _attempt in range(_ATTEMPTS):
                if self._put(path, parts, check):
                    return
        raise BankError("the object could not be written", resource=name, reason="its folder keeps vanishing")

    def get(self, name: str) -> bytes:
        with self._explained(name):
            return (self._root / check_name(name)).read_bytes()

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        with self._explained(name):
            fd = os.open(self._root / check_name(name), os.O_RDONLY | os.O_CLOEXEC)
            try:
                return _read_exactly(fd, offset, length)
            finally:
                os.close(fd)

    def get_range_into(self, name: str, offset: int, target: memoryview) -> int:
        """Part of an object, into the caller's memory. How many bytes there were."""
        with self._explained(name):
            fd = os.open(self._root / check_name(name), os.O_RDONLY | os.O_CLOEXEC)
            try:
                done = 0
                while done < len(target) and (got := os.preadv(fd, [target[done:]], offset + done)):
                    done += got
                return done
            finally:
                os.close(fd)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        folder, _, _start = prefix.rpartition("/")
        if folder:
            check_name(folder)
        with self._explained(prefix):
            self._check_folder()
            yield from (e for e in self._walk(folder) if e.name.startswith(prefix))
            self._check_folder()

    def stat(self, name: str) -> ObjectInfo:
        with self._explained(name):
            fd = os.open(self._root / check_name(name), os.O_RDONLY | os.O_CLOEXEC)
            try:  # opened, because network file systems ask the server then, and not for a mere stat
                found = os.fstat(fd)
            finally:
                os.close(fd)
            if not S_ISREG(found.st_mode):
                raise IsADirectoryError
        return ObjectInfo(name, found.st_size, found.st_mtime)

    def delete(self, name: str) -> None:
        path = self._root / check_name(name)
        with self._explained(name):
            self._check_folder()
            try:
                path.unlink()
                flush_folder(path.parent)
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return
            self._prune(path.parent)

    def close(self) -> None:
        """Nothing is held between calls."""

    def _put(self, path: Path, parts: Sequence[bytes | memoryview], check: Check) -> bool:
        """One attempt; False when the temporary file was removed under our hands, as a leftover."""
        self._temporary.mkdir(mode=0o700, exist_ok=True)
        temporary = self._temporary / secrets.token_hex(16)
        try:
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            return False
        try:
            _lock(fd)
            _write_all(fd, parts)
            os.fdatasync(fd)
            return self._place(temporary, path, parts, check)
        finally:
            temporary.unlink(missing_ok=True)
            os.close(fd)

    def _place(self, temporary: Path, path: Path, parts: Sequence[bytes | memoryview], check: Check) -> bool:
        """Give the finished file its name, in a folder that others may prune at any moment."""
        for _attempt in range(_ATTEMPTS):
            self._make_folders(path.parent)
            check()
            self._check_folder()
            try:
                _link(temporary, path)
            except FileExistsError:
                _check_same(path, parts)
            except FileNotFoundError:
                if not temporary.exists():
                    return False
                continue
            if flush_folder(path.parent):
                return True
        return False

    def _make_folders(self, folder: Path) -> None:
        missing = []
        while not folder.exists() and folder != self._root:
            missing.append(folder)
            folder = folder.parent
        for each in reversed(missing):
            try:
                each.mkdir(mode=0o700, exist_ok=True)
                flush_folder(each.parent)
            except FileNotFoundError:
                continue  # pruned meanwhile: the caller tries again
            except FileExistsError:
                if each.is_file():
                    raise
                # made by another, and pruned: likewise

    def _prune(self, folder: Path) -> None:
        while folder != self._root:
            try:
                folder.rmdir()
            except FileNotFoundError:
                pass
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY):
                    return
                raise
            folder = folder.parent

    def _walk(self, folder: str) -> Iterator[ObjectInfo]:
        try:
            with os.scandir(self._root / folder) as found:
                entries = list(found)
        except (FileNotFoundError, NotADirectoryError):
            return
        if not entries:  # whoever made this folder died; or did not, and will make it again
            with contextlib.suppress(OSError):
                self._prune(self._root / folder)
        for entry in entries:
            name = f"{folder}/{entry.name}" if folder else entry.name
            if entry.name.startswith(".") or entry.name == "lost+found":  # of the file system, not ours
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from self._walk(name)
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            yield ObjectInfo(name, status.st_size, status.st_mtime)

    def _remove_leftovers(self) -> None:
        try:
            with os.scandir(self._temporary) as found:
                leftovers = [Path(entry.path) for entry in found]
        except FileNotFoundError:
            return
        for path in leftovers:
            # A put whose file vanishes between its creation and its lock simply starts again.
            try:
                _remove_if_unlocked(path)
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.EROFS, errno.EACCES, errno.EPERM):
                    raise

    def _room(self, needed: int) -> str:
        status = os.statvfs(self._root)
        return f"{needed} bytes are needed and {status.f_bavail * status.f_frsize} are free in {self._root}"


def _write_all(fd: int, parts: Sequence[bytes | memoryview]) -> None:
    size, at = sum(map(len, parts)), 0
    if size >= _RESERVED_FROM:
        os.ftruncate(fd, size)
        reserve(fd, 0, size)
    for part in parts:
        write_at(fd, part, at)
        at += len(part)


def reserve(fd: int, offset: int, length: int) -> bool:
    """Let the file system set room aside, within the size that the file has. False: it cannot do that.

    That finds out early whether there is room, and writing into it costs half. What is not written then
    reads as zeros.

    :raises OSError: there is no room.
    """
    try:
        os.posix_fallocate(fd, offset, length)
    except OSError as error:
        if error.errno in _FULL:
            raise
        return False  # of a file that is only written, the C library cannot make up for it either
    return True


def write_at(fd: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of ``data`` there, a little at a time.

    The system caches in one piece of memory what comes with one call. Large pieces are memory that nobody
    has used for long: in a virtual machine, getting that from the host may take ten times as long as writing.
    """
    view = memoryview(data)
    done = 0
    while done < len(view):
        done += os.pwrite(fd, view[done : done + _AT_ONCE], offset + done)


def _read_exactly(fd: int, offset: int, length: int) -> bytes:
    first = os.pread(fd, length, offset)
    if len(first) == length or not first:
        return first
    pieces, done = [first], len(first)
    while done < length and (piece := os.pread(fd, length - done, offset + done)):
        pieces.append(piece)
        done += len(piece)
    return b"".join(pieces)


def _check_same(path: Path, parts: Sequence[bytes | memoryview]) -> None:
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        if not all(file.read(len(part)) == part for part in parts) or file.read(1):
            raise AlreadyExists("there is another object of this name", resource=path.name)


def _link(temporary: Path, path: Path) -> None:
    """Give a finished file its name. :raises FileExistsError: it is taken."""
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # A file system without hard links. Two writers of one name could then both succeed; the
        # bank's names are random except for markers and manifests, whose writers look before.
        if path.exists():
            raise FileExistsError(path) from None
        os.rename(temporary, path)


def flush_folder(folder: Path) -> bool:
    """Make the names in a folder durable; False when it is no longer there."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _NO_FLUSH:
            raise
        raise BankError(
            f"the folder {folder} cannot be flushed to the disk",
            reason=str(error.strerror),
            advice="Choose another file system: what is written here may be gone after a power failure",
        ) from error
    finally:
        os.close(fd)
    return True


def _lock(fd: int) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # somebody is just looking whether it is a leftover; the put will see it vanish
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise


def _remove_if_unlocked(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    except OSError as error:
        if error.errno not in _NO_LOCKS or time.time() - os.fstat(fd).st_mtime < _ABANDONED_AFTER:
            return
    else:
        path.unlink(missing_ok=True)
        return
    finally:
        os.close(fd)
    path.unlink(missing_ok=True)

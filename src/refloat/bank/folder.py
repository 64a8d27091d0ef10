"""The folder of a file system store, and whether it is still the one that was opened.

When a file system goes away, the folder it was mounted on is there, and empty. Device and inode tell the two
apart.
"""

from __future__ import annotations

import os
from pathlib import Path

from refloat.errors import BankError, WrongBank


class Folder:
    """A folder that must not become another one.

    :param root: it is there.
    :param file: the name of a file in it whose content must not change either.
    """

    def __init__(self, root: Path, file: str) -> None:
        self.root = root
        self._at = _place(root)
        self._file = root / file
        self._file_at: tuple[int, int] | None = None
        self._content = b""

    def confirm(self) -> None:
        """:raises WrongBank: it is another folder, or has another file."""
        try:
            found = _place(self.root)
        except FileNotFoundError as error:
            raise BankError(f"the bank's folder has vanished: file://{self.root}") from error
        if found != self._at:
            raise WrongBank(
                f"the folder {self.root} is not the one that was opened",
                reason=f"expected: {_words(self._at)}; found: {_words(found)}",
                advice="Is its file system mounted? If it was mounted anew, open the bank again",
            )
        try:
            file_at = _place(self._file)
            if file_at == self._file_at:
                return
            content = self._file.read_bytes()
        except FileNotFoundError:
            return  # a store without a bank, or one that has lost its descriptor: not to be told here
        if self._content and content != self._content:
            raise WrongBank(
                f"the folder {self.root} has another {self._file.name} than when it was opened",
                reason=f"expected: {_words(self._file_at)}; found: {_words(file_at)}, with another content",
                advice="Bring the bank back, then open it again",
            )
        self._file_at, self._content = file_at, content

    def forget_file(self) -> None:
        """The file is about to be written or removed by whoever may."""
        self._file_at, self._content = None, b""


def _place(path: Path) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_dev, found.st_ino


def _words(at: tuple[int, int] | None) -> str:
    return "none" if at is None else f"device {os.major(at[0])}:{os.minor(at[0])} inode {at[1]}"

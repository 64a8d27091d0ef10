"""The folder of a file system store, and whether it is still the one that was opened.

When a file system goes away, the folder it was mounted on is there, and empty. Device and inode tell the two
apart. Of the descriptor in it too; one that was written anew, as a repair does, is the same bank's.
"""

from __future__ import annotations

import os
from pathlib import Path

from refloat.bank.identity import DESCRIPTOR, bank_id_in
from refloat.errors import BankError, WrongBank


class Folder:
    """A folder that must not become another one.

    :param root: it is there.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._at = _place(root)
        self._file = root / DESCRIPTOR
        self._file_at: tuple[int, int] | None = None
        self._bank = ""

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
            bank = bank_id_in(self._file.read_bytes())
        except FileNotFoundError:
            return  # a store without a bank, or one that has lost its descriptor: not to be told here
        if self._bank and bank and bank != self._bank:
            raise WrongBank(
                f"the folder {self.root} has another bank than when it was opened",
                reason=f"expected: the bank {self._bank}; found: the bank {bank}",
                advice="Bring the bank back, then open it again",
            )
        self._file_at, self._bank = file_at, bank or self._bank


def _place(path: Path) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_dev, found.st_ino


def _words(at: tuple[int, int]) -> str:
    return f"device {os.major(at[0])}:{os.minor(at[0])} inode {at[1]}"

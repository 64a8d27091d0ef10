"""The folder of a file system store, and whether it is still the one that was opened.

When a file system goes away, the folder it was mounted on is there, and empty. Device and inode tell the two
apart; whether what is there then is the same bank, mounted anew, its descriptor tells. So it does when it was
written anew, as a repair does.
"""

from __future__ import annotations

import os
from pathlib import Path

from refloat.bank.identity import DESCRIPTOR, bank_id_in, wrong
from refloat.errors import BankError


class Folder:
    """A folder that must not become another one.

    :param root: it is there.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._at = _place(root)
        self._file_at: tuple[int, int] | None = None
        self._bank = ""
        self.confirm()

    def confirm(self) -> None:
        """:raises WrongBank: it is another folder, or has another file."""
        try:
            at = _place(self.root)
        except (FileNotFoundError, NotADirectoryError) as error:
            if self._bank:
                raise wrong(f"file://{self.root}", f"the bank {self._bank}", "nothing") from error
            raise BankError(f"the bank's folder has vanished: file://{self.root}") from error
        file_at, bank = self._descriptor(at)
        if at != self._at and not (bank and bank == self._bank):
            raise wrong(
                f"file://{self.root}",
                f"{self._bank and f'the bank {self._bank}, '}{_words(self._at)}",
                f"{f'the bank {bank}' if bank else 'no bank'}, {_words(at)}",
            )
        if self._bank and bank and bank != self._bank:
            raise wrong(f"file://{self.root}", f"the bank {self._bank}", f"the bank {bank}")
        self._at, self._file_at, self._bank = at, file_at, bank or self._bank

    def _descriptor(self, at: tuple[int, int]) -> tuple[tuple[int, int] | None, str]:
        """Where the descriptor is, and the bank it tells of, which is read when either has changed."""
        file = self.root / DESCRIPTOR
        try:
            file_at = _place(file)
            known = file_at == self._file_at and at == self._at
            return file_at, self._bank if known else bank_id_in(file.read_bytes())
        except FileNotFoundError:
            return (
                None,
                "",
            )  # a store without a bank, or one that has lost its descriptor: not to be told here


def _place(path: Path) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_dev, found.st_ino


def _words(at: tuple[int, int]) -> str:
    return f"device {os.major(at[0])}:{os.minor(at[0])} inode {at[1]}"

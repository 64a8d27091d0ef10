"""The bank's data as hooks see it: one writer for the checkpoint that is being written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from refloat.bank import Bank, Extents, Former, Writer
from refloat.errors import BankDamaged, BankError, NotFound
from refloat.graph import ResourceKey
from refloat.resources.base import Section
from refloat.resources.context import Stream


class BankData:
    """Data streams of one checkpoint; the writer is opened when the first is stored.

    :param looked: all data was looked at already, as deep as is wished: no piece of it is verified.
    """

    def __init__(
        self, bank: Bank, checkpoint_id: str, project_id: str, *, writing: bool, looked: bool = False
    ) -> None:
        self._bank = bank
        self._checkpoint_id = checkpoint_id
        self._project_id = project_id
        self._writing = writing
        self._looked = looked
        self._writer: Writer | None = None
        self._lock = threading.Lock()
        self._earlier: dict[str, Mapping[str, Section]] = {}

    @property
    def writer(self) -> Writer:
        """The checkpoint's writer. :raises BankError: this operation does not write."""
        if not self._writing:
            raise BankError("this operation only reads the bank")
        with self._lock:
            if self._writer is None:
                self._writer = self._bank.writer(self._checkpoint_id, self._project_id)
            return self._writer

    def abandon(self) -> None:
        """Remove all that was stored for a checkpoint that was not committed."""
        with self._lock:
            if self._writer is not None:
                self._writer.close()
                self._writer = None
        self._bank.abandon(self._checkpoint_id)

    def put(
        self,
        stream: Stream | Iterable[bytes],
        size: int | None,
        progress: Callable[[int, int], None],
        cancelled: Callable[[], bool],
    ) -> dict[str, Any]:
        return self.writer.put_data(stream, size=size, progress=progress, cancelled=cancelled)

    def put_changed(
        self,
        source: Extents,
        former: Former | None,
        progress: Callable[[int, int], None],
        cancelled: Callable[[], bool],
    ) -> dict[str, Any]:
        return self.writer.put_data(
            source, size=source.size, progress=progress, cancelled=cancelled, former=former
        )

    def differing(self, ref: Mapping[str, Any], former: Former) -> int:
        return self.writer.differing(ref, former)

    def section(self, checkpoint_id: str, key: ResourceKey) -> Section | None:
        with self._lock:
            if checkpoint_id not in self._earlier:
                self._earlier[checkpoint_id] = self._sections(checkpoint_id)
            return self._earlier[checkpoint_id].get(str(key))

    def _sections(self, checkpoint_id: str) -> Mapping[str, Section]:
        try:
            found = self._bank.checkpoint(checkpoint_id, self._project_id)
        except (NotFound, BankDamaged):
            return {}
        return found.sections if found.info.project_id == self._project_id else {}

    def open(self, ref: Mapping[str, Any]) -> Any:
        return self._bank.open_data(ref)

    def verify(
        self, ref: Mapping[str, Any], progress: Callable[[int, int], None], cancelled: Callable[[], bool]
    ) -> None:
        """Verify a piece of data. :raises BankDamaged: it is not what was written."""
        if not self._looked:
            self._bank.verify_data(ref, progress=progress, cancelled=cancelled)

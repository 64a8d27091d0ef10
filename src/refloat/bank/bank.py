"""A bank: checkpoints in a store, encrypted with one key.

All of it is synchronous and safe to use from many threads; many processes may use one bank at once.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from refloat.bank import collect as collecting
from refloat.bank.collect import Collected
from refloat.bank.dataindex import load_index
from refloat.bank.keys import BankKey
from refloat.bank.manifest import Checkpoint, CheckpointInfo, find, get_checkpoint, get_manifest, listing
from refloat.bank.objects import DESCRIPTOR, Objects, canonical, check_checkpoint_id
from refloat.bank.packs import CHUNK_SIZE
from refloat.bank.reader import DataReader, open_index, verify_index
from refloat.bank.sealing import KIND_KEY, Sealer, damaged, key_sealer
from refloat.bank.store import AlreadyExists, ObjectMissing, Store, open_store
from refloat.bank.writer import Writer
from refloat.errors import BankDamaged, BankError, InvalidInput, NotFound

FORMAT = "refloat-bank"
VERSION = 1

_MOST_DAMAGES = 5


@dataclass(frozen=True, slots=True)
class Verified:
    """What a verification read: data bytes (before compression) and pieces of data."""

    bytes: int
    pieces: int


class Bank:
    """An open bank.

    :param objects: its store and its sealer; :meth:`open` makes them.
    :param bank_id: its id, hexadecimal.
    """

    def __init__(self, objects: Objects, bank_id: str) -> None:
        self._objects = objects
        self.id = bank_id

    @classmethod
    def open(cls, url: str | Store, key: BankKey, *, create: bool = False) -> Bank:
        """Open the bank at ``url`` (``file:///path`` or a plain path), or in a store.

        :param create: make one if there is none.
        :raises NotFound: there is no bank.
        :raises BankError: the key is of another bank, or the format is unknown.
        """
        store = open_store(url, create=create) if isinstance(url, str) else url
        descriptor = _descriptor(store)
        if descriptor is None:
            if not create:
                raise NotFound(f"there is no bank in {store.url}")
            _create(store, key)
            descriptor = _descriptor(store)
            if descriptor is None:
                raise BankError(f"the bank in {store.url} vanished as soon as it was made")
        bank_id = bytes.fromhex(descriptor["id"])
        sealer = Sealer(_root_secret(store, key, bank_id), bank_id)
        if descriptor.get("check") != _check(sealer, descriptor):
            raise damaged(DESCRIPTOR, "it is not what was written")
        return cls(Objects(store, sealer), bank_id.hex())

    @property
    def url(self) -> str:
        """Where the bank is."""
        return self._objects.store.url

    def checkpoints(self, project_id: str | None = None) -> list[CheckpointInfo]:
        """All checkpoints, or a project's, newest first; damaged ones are listed as such."""
        tag = None if project_id is None else self._objects.sealer.tag(project_id)
        return listing(self._objects, tag)

    def checkpoint(self, checkpoint_id: str) -> Checkpoint:
        """One checkpoint.

        :raises NotFound: there is none.
        :raises BankDamaged: it is not what was written.
        """
        name = find(self._objects, checkpoint_id)
        try:
            return get_checkpoint(self._objects, get_manifest(self._objects, name))
        except ObjectMissing:
            raise NotFound(f"the checkpoint {checkpoint_id} was deleted just now") from None

    def writer(self, checkpoint_id: str, project_id: str) -> Writer:
        """Begin to write a checkpoint, or go on after a crash.

        Data is shared among the checkpoints of a project, never between projects.
        """
        return Writer(self._objects, checkpoint_id, project_id)

    def abandon(self, checkpoint_id: str) -> Collected:
        """Remove everything that was stored for a checkpoint that was never committed.

        :raises Conflict: it was committed.
        """
        return collecting.abandon(self._objects, check_checkpoint_id(checkpoint_id))

    def open_data(self, ref: Any) -> DataReader:
        """Read data back.

        :param ref: what :meth:`Writer.put_data` returned.
        :raises BankDamaged: its index is not what was written; reading raises the same.
        """
        return DataReader(self._objects, ref)

    def verify_data(
        self,
        ref: Any,
        *,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        read_data: bool = True,
    ) -> Verified:
        """Check one piece of data.

        :raises BankDamaged: it is not what was written.
        """
        index = open_index(self._objects, ref)
        count = _Count(index.size, progress)
        verify_index(self._objects, index, read_data=read_data, progress=count.add, cancelled=cancelled)
        return Verified(index.size, 1)

    def verify(
        self,
        checkpoint_id: str,
        *,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        read_data: bool = True,
    ) -> Verified:
        """Check a checkpoint and all its data. All of it is looked at, also after the first damage.

        :param progress: called in this thread with bytes done and bytes in all.
        :raises BankDamaged: something is not what was written; the message names what.
        """
        kept = self.checkpoint(checkpoint_id)
        damages: list[str] = []
        indexes = []
        for name in kept.indexes:
            try:
                indexes.append(load_index(self._objects.store, self._objects.sealer, name))
            except BankDamaged as error:
                damages.append(f"{error.message} ({error.reason})")
        count = _Count(sum(index.size for index in indexes), progress)
        for index in indexes:
            try:
                verify_index(
                    self._objects, index, read_data=read_data, progress=count.add, cancelled=cancelled
                )
            except BankDamaged as error:
                damages.append(f"{error.message} ({error.reason})")
        if damages:
            more = len(damages) - _MOST_DAMAGES
            raise BankDamaged(
                f"the checkpoint {checkpoint_id} is damaged",
                reason="; ".join(damages[:_MOST_DAMAGES]) + (f"; and {more} more" if more > 0 else ""),
            )
        return Verified(count.total, len(indexes))

    def delete(self, checkpoint_id: str) -> Collected:
        """Remove a checkpoint and what only it needed. Other checkpoints are not touched.

        While somebody writes for the same project, shared data stays until a later collection;
        ``postponed`` says so.

        :raises NotFound: there is none.
        """
        return collecting.delete(self._objects, checkpoint_id)

    def collect(self) -> Collected:
        """Remove what no checkpoint needs."""
        names = [e.name for prefix in ("data/", "writers/") for e in self._objects.store.list(prefix)]
        tags = {n.split("/")[1] if n.startswith("data/") else n.split(".")[1] for n in names}
        total = Collected()
        for tag in sorted(tags):
            total += collecting.collect(self._objects, tag)
        return total

    def close(self) -> None:
        """Give the store's connections back."""
        self._objects.store.close()

    def __enter__(self) -> Bank:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Count:
    """Adds up progress."""

    def __init__(self, total: int, tell: Callable[[int, int], None] | None) -> None:
        self.total = total
        self._done = 0
        self._tell = tell

    def add(self, size: int) -> None:
        self._done += size
        if self._tell is not None:
            self._tell(self._done, self.total)


def _descriptor(store: Store) -> dict[str, Any] | None:
    """What the descriptor says (its check is for later: it needs the key)."""
    try:
        blob = store.get(DESCRIPTOR)
    except ObjectMissing:
        return None
    try:
        found = json.loads(blob)
        is_bank = found["format"] == FORMAT
    except (ValueError, KeyError, TypeError):
        is_bank = False
    if not is_bank:
        raise BankError(f"{store.url} is not a bank of Refloat, or its descriptor is damaged")
    if found.get("version") != VERSION:
        raise BankError(
            f"the bank {store.url} has format version {found.get('version')}",
            reason=f"this Refloat knows version {VERSION}",
            advice="Use a newer Refloat",
        )
    if not (isinstance(found.get("id"), str) and len(found["id"]) == 32):
        raise damaged(DESCRIPTOR, "it has no bank id")
    return dict(found)


def _create(store: Store, key: BankKey) -> None:
    strangers = [e.name for e in store.list("") if not e.name.startswith(("keys/", "qualify/"))]
    if strangers and DESCRIPTOR not in strangers:
        raise InvalidInput(f"{store.url} is not empty and not a bank", reason=f"it contains {strangers[0]}")
    bank_id = secrets.token_bytes(16)
    root = secrets.token_bytes(32)
    sealer = Sealer(root, bank_id)
    descriptor = {
        "format": FORMAT,
        "version": VERSION,
        "id": bank_id.hex(),
        "chunk_size": CHUNK_SIZE,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    descriptor["check"] = _check(sealer, descriptor)
    name = _key_name(bank_id, key)
    store.put(name, key_sealer(key, bank_id).seal(KIND_KEY, name, root))
    try:
        store.put(DESCRIPTOR, json.dumps(descriptor, indent=1).encode())
    except AlreadyExists:
        store.delete(name)  # another process made the bank meanwhile; ours never was one


def _root_secret(store: Store, key: BankKey, bank_id: bytes) -> bytes:
    name = _key_name(bank_id, key)
    try:
        blob = store.get(name)
    except ObjectMissing:
        raise BankError(
            f"the key does not open the bank {store.url}", advice="Give the key this bank was made with"
        ) from None
    return key_sealer(key, bank_id).open(KIND_KEY, name, blob)


def _key_name(bank_id: bytes, key: BankKey) -> str:
    return f"keys/{bank_id.hex()}.{key.id.hex()}"


def _check(sealer: Sealer, descriptor: dict[str, Any]) -> str:
    return sealer.check(canonical({k: v for k, v in descriptor.items() if k != "check"}))

"""The objects of a bank: how they are called, and sealed JSON in them.

================================================  ======================================================
``bank``                                          the descriptor
``keys/<bank id>.<key id>``                       the bank's root secret, under a bank key
``keys/<bank id>.project.<project tag>.<n>``      a project's key, under the root; twice (``.copy``)
``checkpoints/<checkpoint>.<project tag>``        a manifest: the checkpoint exists when this does
``data/<project tag>/<session>/<random>.body``    graph and sections of a checkpoint, its lists of objects
``data/<project tag>/<session>/<random>.index``   the index of one piece of data
``data/<project tag>/<session>/<random>.pack``    chunks
``writers/<checkpoint>.<project tag>.<session>``  somebody is writing this checkpoint
``writers/....abandoned``                         that writing is being undone
``alive/<checkpoint>.<tag>.<session>.<random>``   its writer lived when the store got this
``condemned/<project tag>.<random>``              objects about to be removed
``condemned/<project tag>.<random>.watch``        the writings whose end is waited for before that
``damaged/<project tag>.<random>``                packs that nobody may rely on any more
``keys/<bank id>.head.<number>``                  what is there, as a whole
``holds/<checkpoint>.<project tag>.<random>``     why this checkpoint must not be deleted
``about/<checkpoint>.<project tag>.<random>``     what people say of it by now
================================================  ======================================================

A session is one writing of one checkpoint: 32 random hexadecimal digits, never used again.
"""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

from refloat.bank.fence import Check, unfenced
from refloat.bank.identity import Identity
from refloat.bank.keyring import Keyring
from refloat.bank.sealing import Sealer, damaged
from refloat.bank.store import ObjectMissing, Store
from refloat.errors import InvalidInput

Json: TypeAlias = Any
"""A value that ``json.dumps`` takes."""

ABANDONED = ".abandoned"

_CHECKPOINT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
INDEX_NAME = re.compile(r"data/[0-9a-f]{16}/[0-9a-f]{32}/[0-9a-f]{16}\.index")


class HeadMemory(Protocol):
    """What is remembered of a bank's latest head, in a place that is not brought back with it.

    ``accept`` is the command that lets an older copy of the bank take its place.
    """

    accept: str

    def last(self) -> str:
        """The anchor (see :class:`refloat.bank.Freshness`); empty: nothing is remembered."""

    def remember(self, anchor: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Objects:
    """The store of an open bank, its keys, the sealer that uses them, and which bank it is."""

    store: Store
    keys: Keyring
    sealer: Sealer
    identity: Identity
    check: Check = unfenced
    """Raises when the bank may not be changed any more. A fenced store calls it at each ``put``."""
    memory: HeadMemory | None = None
    """Where the bank is known to have been used; an older copy of it is not changed then."""

    def confirm(self) -> None:
        """Ask the store which bank it is. :raises WrongBank: it is not this one any more."""
        self.identity.confirm(self.store)

    def fresh(self) -> Objects:
        """The same with no key in memory but the one that opens the bank."""
        keys = self.keys.fresh()
        return replace(self, keys=keys, sealer=Sealer(keys, bytes.fromhex(self.identity.id)))

    def put_json(self, kind: bytes, name: str, value: Json) -> None:
        self.store.put(name, self.sealer.seal(kind, name, canonical(value)))

    def get_json(self, kind: bytes, name: str) -> Json:
        """Read a sealed JSON object.

        :raises ObjectMissing: there is none.
        :raises BankDamaged: it is not what was written.
        """
        return json.loads(self.sealer.open(kind, name, self.store.get(name)))

    def need_json(self, kind: bytes, name: str) -> Json:
        """Read a sealed JSON object that has to be there."""
        try:
            return self.get_json(kind, name)
        except ObjectMissing as error:
            raise damaged(name, "it is missing") from error


@dataclass(frozen=True, slots=True)
class WriteSession:
    """One writing of one checkpoint."""

    checkpoint_id: str
    tag: str
    id: str

    @staticmethod
    def new(checkpoint_id: str, tag: str) -> WriteSession:
        return WriteSession(check_checkpoint_id(checkpoint_id), tag, secrets.token_hex(16))

    @staticmethod
    def of_marker(name: str) -> WriteSession:
        """The session whose marker (or sign of abandonment) this is."""
        checkpoint_id, tag, session = name.removeprefix("writers/").removesuffix(ABANDONED).split(".")
        return WriteSession(checkpoint_id, tag, session)

    @property
    def marker(self) -> str:
        return f"writers/{self.checkpoint_id}.{self.tag}.{self.id}"

    @property
    def renewals(self) -> str:
        """What the names of its marker's renewals begin with."""
        return f"alive/{self.checkpoint_id}.{self.tag}.{self.id}."

    @property
    def hold(self) -> str:
        """What says until when its checkpoint has to be kept."""
        return f"holds/{self.checkpoint_id}.{self.tag}.{self.id}"

    @property
    def folder(self) -> str:
        return f"data/{self.tag}/{self.id}/"

    @property
    def manifest(self) -> str:
        return f"checkpoints/{self.checkpoint_id}.{self.tag}"

    def new_name(self, suffix: str) -> str:
        """A name for a new object of this session."""
        return f"{self.folder}{secrets.token_hex(8)}.{suffix}"


def check_checkpoint_id(checkpoint_id: str) -> str:
    """Return the id; refuse what cannot be part of an object's name."""
    if not _CHECKPOINT_ID.fullmatch(checkpoint_id):
        raise InvalidInput(f"{checkpoint_id!r} is not a checkpoint id")
    return checkpoint_id


def canonical(value: Json) -> bytes:
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")
    except (TypeError, ValueError) as error:
        raise InvalidInput("a checkpoint holds only JSON", reason=str(error)) from error

"""What a verification found: how deep it went, and every damage, named."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from refloat.errors import BankDamaged

Depth: TypeAlias = Literal["manifests", "existence", "full"]
DEPTHS: tuple[Depth, ...] = ("manifests", "existence", "full")


@dataclass(frozen=True, slots=True)
class Damage:
    """Something that a checkpoint needs and that is not what was written.

    :param checkpoint_id: empty: it is something of the bank itself.
    :param section: ``TYPE#id`` of the resource that is hurt; empty: the checkpoint cannot be read at all.
    :param readable: the object is damaged, but all that this section needs of it could be read.
    """

    checkpoint_id: str
    section: str
    object: str
    reason: str
    readable: bool = False

    def __str__(self) -> str:
        where = f"{self.checkpoint_id} {self.section}".strip()
        return f"{where}: the bank's object {self.object} is damaged ({self.reason})"


@dataclass(slots=True)
class VerificationReport:
    """What a verification found.

    :param read: the ids of the checkpoints that could be read at all.
    :param bytes: of data, before compression, that were verified; what is shared counts once.
    :param lost_packs: packs of which something is lost; nobody should rely on them any more.
    :param resumed: packs that an earlier, interrupted verification had read.
    """

    depth: Depth
    sample: float = 1.0
    seed: int = 0
    checkpoints: int = 0
    pieces: int = 0
    packs: int = 0
    chunks: int = 0
    bytes: int = 0
    resumed: int = 0
    damages: list[Damage] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    lost_packs: set[str] = field(default_factory=set)

    @property
    def bad(self) -> set[str]:
        """The checkpoints that lack something which they need."""
        return {each.checkpoint_id for each in self.damages if each.checkpoint_id and not each.readable}

    @property
    def good(self) -> set[str]:
        return set(self.read) - self.bad

    @property
    def sure_depth(self) -> Depth:
        """How deep all of it was looked at: of a sample of the data, that it exists."""
        return "existence" if self.depth == "full" and self.sample < 1 else self.depth

    def raise_damages(self, what: str, most: int = 5) -> None:
        """:raises BankDamaged: there are damages; the message names ``what``, and them."""
        if self.damages:
            texts = list(dict.fromkeys(f"{each.object} ({each.reason})" for each in self.damages))
            more = f"; and {len(texts) - most} more" if len(texts) > most else ""
            raise BankDamaged(f"{what} is damaged", reason="; ".join(texts[:most]) + more)

"""What is in a bank: how many checkpoints, how much they take, and what is left over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from refloat.bank.collect import unfinished
from refloat.bank.manifest import Manifest, get_checkpoint, manifests
from refloat.bank.objects import Objects
from refloat.bank.references import references
from refloat.bank.slots import Slot
from refloat.bank.store import ObjectMissing
from refloat.bank.tombstones import quarantined
from refloat.errors import BankDamaged, Cancelled


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A writing that has not ended: it runs, or its process died.

    :param since: by the store's clock, Unix time.
    """

    checkpoint_id: str
    tag: str
    since: float


@dataclass(slots=True)
class Info:
    """What is in a bank.

    :param stored: bytes in the store, all objects.
    :param data: bytes that all checkpoints together hold, before compression and sharing.
    :param garbage: bytes of objects that no checkpoint needs, those being written apart; None: that cannot
        be told while a manifest is damaged.
    :param quarantined: packs that nobody may rely on any more.
    :param by_project: of each, ``checkpoints``, ``data_bytes`` and ``stored_bytes``, as above.
    """

    id: str
    url: str
    version: int
    created_at: str
    keys: list[Slot] = field(default_factory=list)
    projects: int = 0
    checkpoints: int = 0
    damaged: int = 0
    objects: int = 0
    stored: int = 0
    data: int = 0
    garbage: int | None = 0
    quarantined: int = 0
    unfinished: list[Unfinished] = field(default_factory=list)
    by_project: dict[str, Counter[str]] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """How many bytes of data there are for each byte in the store."""
        return self.data / self.stored if self.stored else 0.0


def survey(objects: Objects, info: Info, cancelled: Callable[[], bool] | None = None) -> Info:
    """Fill in what is found in the store. Reads manifests and bodies, no data."""
    data = {}
    tags: set[str] = set()
    for entry in objects.store.list(""):
        info.objects += 1
        info.stored += entry.size
        if entry.name.startswith("data/"):
            data[entry.name] = entry.size
            tags.add(entry.name.split("/")[1])
    needed: set[str] = set()
    committed: set[str] = set()
    for entry, manifest in manifests(objects):
        if cancelled is not None and cancelled():
            raise Cancelled("looking at the bank was cancelled")
        info.checkpoints += 1
        tags.add(entry.name.rpartition(".")[2])
        try:
            if not isinstance(manifest, Manifest):
                raise manifest
            kept = get_checkpoint(objects, manifest)
        except BankDamaged:
            info.damaged += 1
            continue
        committed.add(manifest.session)
        needed.update((manifest.body, *kept.indexes, *kept.packs))
        size = sum(size for _, size, _ in references([kept.graph, kept.sections], set(kept.indexes)))
        info.data += size
        of_project = info.by_project.setdefault(manifest.info.project_id, Counter())
        of_project.update(checkpoints=1, data_bytes=size)
        if not of_project["stored_bytes"]:
            folder = f"data/{entry.name.rpartition('.')[2]}/"
            of_project["stored_bytes"] = sum(size for name, size in data.items() if name.startswith(folder))
    writing = [each for each in unfinished(objects) if each[0].id not in committed]
    info.unfinished = [Unfinished(s.checkpoint_id, s.tag, since) for s, since in writing]
    folders = tuple(session.folder for session, _ in writing)
    garbage = sum(size for name, size in data.items() if name not in needed and not name.startswith(folders))
    info.garbage = None if info.damaged else garbage
    info.projects = len(tags)
    for tag in tags:
        try:
            info.quarantined += len(quarantined(objects, tag))
        except (BankDamaged, ObjectMissing):
            continue
    return info

"""Repair: after objects were lost or damaged, say whom it hurts, and keep the rest.

Nothing that is lost comes back by this but manifests, of which the bodies hold a second copy, and projects'
keys, which are kept twice. But nothing more is lost: packs that lost something are listed, so that the next
protection stores anew what they held; checkpoints of which nothing can be restored can be removed, so that
garbage is collected again. Checkpoints that are partly hurt stay: what of them is whole can be restored.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from refloat.bank import collect as collecting
from refloat.bank import heads
from refloat.bank.manifest import (
    MANIFESTS,
    Checkpoint,
    Manifest,
    find,
    get_checkpoint,
    get_manifest,
    put_manifest,
)
from refloat.bank.objects import Objects
from refloat.bank.sealing import KIND_DAMAGED, tag_in
from refloat.bank.second_copies import mend
from refloat.bank.store import ObjectMissing
from refloat.bank.tombstones import quarantine
from refloat.bank.verification_report import VerificationReport
from refloat.errors import BankDamaged, Held, NotFound


@dataclass(slots=True)
class Repair:
    """What a repair found and did, or would do.

    :param hopeless: checkpoints of which nothing can be restored, and why.
    :param hurt: of the others, the sections that cannot be restored, and why.
    :param manifests: lost or damaged ones that are written anew, from what their bodies repeat.
    :param packs: packs that nobody shall rely on any more.
    :param held: hopeless checkpoints that stay because they are on hold or too young, and why.
    :param keys: copies of projects' keys, of slots and of the descriptor that are written anew; heads that
        are followed by a new one.
    :param deleted: the hopeless checkpoints that were removed.
    :param freed: bytes.
    :param applied: False: it was only looked.
    """

    report: VerificationReport
    hopeless: dict[str, str] = field(default_factory=dict)
    hurt: dict[str, dict[str, str]] = field(default_factory=dict)
    manifests: list[str] = field(default_factory=list)
    packs: list[str] = field(default_factory=list)
    held: dict[str, str] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    freed: int = 0
    postponed: str = ""
    applied: bool = False

    @property
    def needed(self) -> bool:
        return bool(self.hopeless or self.hurt or self.manifests or self.packs or self.keys)


def repair(
    objects: Objects,
    report: VerificationReport,
    *,
    apply: bool,
    delete_damaged: bool,
    accept: bool,
    told: Callable[[str, str], None],
) -> Repair:
    """Repair what a verification has found.

    :param apply: do it; else only look.
    :param delete_damaged: also remove the checkpoints of which nothing can be restored.
    :param accept: take the checkpoints, keys and holds that are there for those that are meant to be there.
    :param told: called with each checkpoint that was removed, and why.
    """
    found = Repair(report, applied=apply)
    whole = _lost_manifests(objects, report)
    found.manifests = sorted(whole)
    _sort_out(objects, report, found, {kept.info.id: set(kept.sections) for _, kept in whole.values()})
    found.packs = sorted(report.lost_packs)
    objects.confirm()
    found.keys = sorted(mend(objects, apply=apply) + objects.keys.projects.mend(apply=apply))
    found.keys += heads.mend(objects, apply=apply)
    if not apply:
        return found
    for name, (manifest, _) in whole.items():
        objects.store.delete(name)
        put_manifest(objects, name, manifest)
    by_tag: dict[str, list[str]] = defaultdict(list)
    for name in found.packs:
        by_tag[tag_in(name)].append(name)
    for tag, packs in by_tag.items():
        _forget_unreadable_lists(objects, tag)
        quarantine(objects, tag, packs)
    if delete_damaged:
        for checkpoint_id in found.hopeless:
            try:
                done = collecting.delete(objects, checkpoint_id)
            except NotFound:
                continue
            except Held as error:
                found.held[checkpoint_id] = str(error)
                continue
            found.deleted.append(checkpoint_id)
            told(checkpoint_id, found.hopeless[checkpoint_id])
            found.freed += done.freed
            found.postponed = done.postponed
    if accept:
        heads.change(objects, anew=True)
    return found


def _sort_out(
    objects: Objects, report: VerificationReport, found: Repair, known: Mapping[str, set[str]]
) -> None:
    hurt: dict[str, dict[str, str]] = defaultdict(dict)
    for damage in report.damages:
        if damage.readable:
            continue
        text = f"{damage.object}: {damage.reason}"
        if damage.object in found.manifests:
            continue
        if damage.section:
            hurt[damage.checkpoint_id].setdefault(damage.section, text)
        else:
            found.hopeless.setdefault(damage.checkpoint_id, text)
    for checkpoint_id, sections in hurt.items():
        if checkpoint_id in found.hopeless:
            continue
        if (known.get(checkpoint_id) or _sections(objects, checkpoint_id)) <= sections.keys():
            found.hopeless[checkpoint_id] = next(iter(sections.values()))
        else:
            found.hurt[checkpoint_id] = sections


def _lost_manifests(objects: Objects, report: VerificationReport) -> dict[str, tuple[Manifest, Checkpoint]]:
    """The manifests that are lost or damaged and can be written anew, by name."""
    names = {each.object for each in report.damages if each.object.startswith(MANIFESTS)}
    found: dict[str, tuple[Manifest, Checkpoint]] = {}
    for tag in {tag_in(name) for name in names}:
        for manifest, kept in collecting.find_lost(objects, tag).values():
            name = f"{MANIFESTS}{manifest.info.id}.{tag}"
            if name in names:
                found[name] = manifest, kept
    return found


def _sections(objects: Objects, checkpoint_id: str) -> set[str]:
    try:
        return set(get_checkpoint(objects, get_manifest(objects, find(objects, checkpoint_id))).sections)
    except (NotFound, ObjectMissing, BankDamaged):
        return set()


def _forget_unreadable_lists(objects: Objects, tag: str) -> None:
    """Remove lists of damaged packs that are damaged themselves: they would make writers store all anew."""
    for entry in list(objects.store.list(f"damaged/{tag}.")):
        try:
            objects.get_json(KIND_DAMAGED, entry.name)
        except ObjectMissing:
            continue
        except BankDamaged:
            objects.store.delete(entry.name)

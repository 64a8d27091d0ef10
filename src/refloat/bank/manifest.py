"""Checkpoints as they are in the bank: a small manifest, and a body for what may be large.

The manifest says what the checkpoint is and names its body; listing checkpoints reads one small object
for each. The body holds the resource graph, the sections, and the names of all objects the checkpoint
needs: collecting garbage reads no index.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from refloat.bank.objects import Json, Objects, check_checkpoint_id
from refloat.bank.sealing import KIND_BODY, KIND_MANIFEST, damaged
from refloat.bank.store import ObjectInfo, ObjectMissing, exists
from refloat.errors import BankDamaged, NotFound

MANIFESTS = "checkpoints/"
_ABOUT = ("id", "project_id", "created_at", "provider", "plan", "extra")


@dataclass(frozen=True, slots=True)
class CheckpointInfo:
    """What a listing tells of a checkpoint. Of a damaged one: its id, and why."""

    id: str
    project_id: str = ""
    created_at: str = ""
    provider: str = ""
    plan: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    damaged: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint, read and verified (its data is not read yet)."""

    info: CheckpointInfo
    graph: Json
    sections: dict[str, Json]
    indexes: tuple[str, ...]
    packs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """The manifest: the info, who wrote it, where its body is, and a fingerprint of the content."""

    info: CheckpointInfo
    session: str
    body: str
    content: str


def put_manifest(objects: Objects, name: str, manifest: Manifest) -> None:
    """Write it: from here on the checkpoint exists."""
    objects.put_json(KIND_MANIFEST, name, _to_json(manifest))


def _to_json(manifest: Manifest) -> Json:
    about = {name: getattr(manifest.info, name) for name in _ABOUT}
    return about | {"session": manifest.session, "body": manifest.body, "content": manifest.content}


def _of_json(data: Json) -> Manifest:
    info = CheckpointInfo(**{name: data[name] for name in _ABOUT})
    return Manifest(info, data["session"], data["body"], data["content"])


def get_manifest(objects: Objects, name: str) -> Manifest:
    """Read one.

    :raises ObjectMissing: it is gone.
    :raises BankDamaged: it is not what was written.
    """
    manifest = _of_json(objects.get_json(KIND_MANIFEST, name))
    if manifest.info.id != id_in(name):
        raise damaged(name, "it is the manifest of another checkpoint")
    return manifest


def put_body(
    objects: Objects,
    manifest: Manifest,
    graph: Json,
    sections: Mapping[str, Json],
    lists: dict[str, list[str]],
) -> None:
    """Write graph, sections, the names of the objects the checkpoint needs, and the manifest once more."""
    body = {"graph": graph, "sections": dict(sections), **lists, "manifest": _to_json(manifest)}
    objects.put_json(KIND_BODY, manifest.body, body)


def of_body(objects: Objects, name: str) -> Manifest:
    """The manifest that a body repeats.

    :raises ObjectMissing: the body is gone.
    :raises BankDamaged: it is not what was written.
    """
    manifest = _of_json(objects.get_json(KIND_BODY, name)["manifest"])
    if manifest.body != name:
        raise damaged(name, "it repeats the manifest of another checkpoint")
    return manifest


def get_checkpoint(objects: Objects, manifest: Manifest) -> Checkpoint:
    data = objects.need_json(KIND_BODY, manifest.body)
    return Checkpoint(
        manifest.info, data["graph"], data["sections"], tuple(data["indexes"]), tuple(data["packs"])
    )


def find(objects: Objects, checkpoint_id: str, tag: str = "") -> str:
    """The name of a checkpoint's manifest.

    :param tag: of its project, where that is known: it is then also asked for by its name, as a listing may
        be late. Whoever removes or undoes something because there is none has to know.
    :raises NotFound: there is none.
    :raises WrongBank: the bank itself is not there.
    """
    found = [e.name for e in objects.store.list(f"{MANIFESTS}{check_checkpoint_id(checkpoint_id)}.")]
    if not found and tag and exists(objects.store, name := f"{MANIFESTS}{checkpoint_id}.{tag}"):
        return name
    if not found:
        objects.confirm()
        raise NotFound(f"there is no checkpoint {checkpoint_id} in the bank {objects.store.url}")
    if len(found) > 1:
        raise BankDamaged(f"the bank has {len(found)} manifests of the checkpoint {checkpoint_id}")
    return found[0]


def manifests(
    objects: Objects, tag: str | None = None
) -> Iterator[tuple[ObjectInfo, Manifest | BankDamaged]]:
    """All manifests, of one project or of all; the damaged ones as the error that says why."""
    for entry in list(objects.store.list(MANIFESTS)):
        if tag is not None and not entry.name.endswith(f".{tag}"):
            continue
        try:
            yield entry, get_manifest(objects, entry.name)
        except ObjectMissing:
            continue  # deleted since it was listed
        except BankDamaged as error:
            yield entry, error


def listing(objects: Objects, tag: str | None) -> list[CheckpointInfo]:
    """All checkpoints, newest first. A damaged one is listed as such, at the time the store got it."""
    found: list[tuple[str, CheckpointInfo]] = []
    for entry, manifest in manifests(objects, tag):
        if isinstance(manifest, Manifest):
            found.append((manifest.info.created_at, manifest.info))
        else:
            stored_at = datetime.fromtimestamp(entry.modified, UTC).isoformat()
            found.append((stored_at, CheckpointInfo(id_in(entry.name), damaged=True, reason=str(manifest))))
    return [info for _, info in sorted(found, key=lambda pair: (pair[0], pair[1].id), reverse=True)]


def id_in(name: str) -> str:
    """The checkpoint's id in the name of its manifest."""
    return name.removeprefix(MANIFESTS).partition(".")[0]

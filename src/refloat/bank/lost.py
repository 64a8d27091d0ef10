"""Checkpoints whose manifests are lost.

A checkpoint exists when its manifest does, and deleting one removes the manifest first. So that the loss of
a manifest is told from a deletion, and can be made good, its body repeats what the manifest says, and a
deletion puts a tombstone that names the body before it removes the manifest. A body that no manifest names,
of a session that neither is being written nor has a manifest, and that is in no tombstone, is that of a
checkpoint whose manifest is lost.
"""

from __future__ import annotations

from collections.abc import Collection

from refloat.bank.manifest import Checkpoint, Manifest, get_checkpoint, of_body
from refloat.bank.objects import Objects
from refloat.bank.store import ObjectMissing
from refloat.bank.tombstones import condemned
from refloat.errors import BankDamaged


def lost(
    objects: Objects, tag: str, stored: Collection[str], needed: Collection[str], known: Collection[str]
) -> dict[str, tuple[Manifest, Checkpoint]]:
    """The checkpoints of a project whose manifests are lost, by the names of their bodies.

    :param stored: the objects below ``data/<tag>/``. They have to be listed first,
    :param known: then the sessions that are being written,
    :param needed: then the manifests: what these need. The sessions of these are ``known`` too.
    :raises BankDamaged: a tombstone cannot be read.
    """
    names = [
        name
        for name in sorted(stored)
        if name.endswith(".body") and name not in needed and name.split("/")[2] not in known
    ]
    if not names:
        return {}
    doomed = condemned(objects, tag)
    there = {entry.name for entry in objects.store.list(f"data/{tag}/")}
    found: dict[str, tuple[Manifest, Checkpoint]] = {}
    for name in names:
        if name in doomed or name not in there:
            continue
        try:
            manifest = of_body(objects, name)
            found[name] = manifest, get_checkpoint(objects, manifest)
        except (BankDamaged, ObjectMissing):
            continue  # then there is nothing to be made good
    return found

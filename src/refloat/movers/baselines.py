"""The snapshots of RBD images that are kept so that the next protection can ask what has changed."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from refloat.errors import BankError, NotFound
from refloat.movers.rbd import CephCluster

_NAME = re.compile(r"backup\.refloat-([0-9a-f-]{36})\.snap\.baseline")

MOST = 3
"""How many a volume may have: of its plans, in several banks."""

OLDEST = timedelta(days=60)

_TRIES = 3


class Baseline(NamedTuple):
    """One of them, by the checkpoint whose content it tells changes from."""

    checkpoint_id: str
    name: str
    id: int
    created_at: datetime
    removed: bool
    """By a removal that was cut off: it is of no use, but keeps the volume from being deleted."""


def baseline_name(checkpoint_id: str) -> str:
    """As snapshots of Cinder's backups are called: Cinder removes it when the volume is deleted."""
    return f"backup.refloat-{checkpoint_id}.snap.baseline"


def baselines(cluster: CephCluster, pool: str, name: str) -> list[Baseline]:
    """All of an image, the newest first."""
    found = []
    with cluster.image(pool, name) as image:
        for each in image.seen["snapshots"]:
            if told := _NAME.fullmatch(each["name"]):
                at = datetime.fromisoformat(each["at"]).replace(tzinfo=UTC)
                found.append(Baseline(told[1], each["name"], each["id"], at, each["removed"]))
    return sorted(found, key=lambda each: each.id, reverse=True)


def cut(cluster: CephCluster, pool: str, name: str, checkpoint_id: str) -> str:
    """Make one of what the volume holds now, once; returns its name. The eldest make room for it."""
    made, now = baseline_name(checkpoint_id), datetime.now(UTC)
    others = [
        each for each in baselines(cluster, pool, name) if each.removed or each.checkpoint_id != checkpoint_id
    ]
    for number, each in enumerate(others, 1):
        if each.removed or number >= MOST or now - each.created_at > OLDEST:
            remove(cluster, pool, name, each.checkpoint_id)
    for _ in range(_TRIES):
        with cluster.image(pool, name, write=True) as image:
            image.create_snapshot(made)
        with suppress(NotFound), cluster.image(pool, name, made):
            return made
        remove(cluster, pool, name, checkpoint_id)  # its making was cut off: it has no object map
    raise BankError(f"could not make the snapshot {made} of {pool}/{name}")


def remove(cluster: CephCluster, pool: str, name: str, checkpoint_id: str) -> None:
    """Remove that of a checkpoint, if it is there."""
    try:
        with cluster.image(pool, name, write=True) as image:
            image.remove_snapshot(baseline_name(checkpoint_id))
    except NotFound:  # the volume is gone, and it with it; or somebody else has removed it
        return

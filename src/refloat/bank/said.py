"""What people say of a checkpoint after it was made: in the bank beside it, as its manifest never changes.

Each change is a sealed object ``about/<checkpoint>.<tag>.<random>``, written once; what was said before goes
then. Of several, the one that was said last counts; one that cannot be read says nothing.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from refloat.bank.manifest import CheckpointInfo, find
from refloat.bank.objects import Objects
from refloat.bank.sealing import KIND_ABOUT, tag_in
from refloat.bank.store import ObjectMissing
from refloat.errors import BankDamaged, BankError

ABOUT = "about/"
CHANGED_AT = "changed_at"
"""In what is said: when that was, ISO 8601."""


def write(objects: Objects, checkpoint_id: str, said: dict[str, Any]) -> None:
    """Keep what is said of a checkpoint now. :raises NotFound: there is none."""
    objects.confirm()
    tag = tag_in(find(objects, checkpoint_id))
    before = names(objects, checkpoint_id)
    objects.put_json(KIND_ABOUT, f"{ABOUT}{checkpoint_id}.{tag}.{secrets.token_hex(8)}", said)
    with contextlib.suppress(BankError):  # a store may keep what is deleted
        for name in before:
            objects.store.delete(name)


def names(objects: Objects, checkpoint_id: str = "") -> list[str]:
    return [
        entry.name for entry in objects.store.list(f"{ABOUT}{checkpoint_id}." if checkpoint_id else ABOUT)
    ]


def with_it(objects: Objects, infos: Iterable[CheckpointInfo]) -> list[CheckpointInfo]:
    """Checkpoints with what was said of them last, as ``extra["about"]``."""
    known = list(infos)
    said: dict[str, dict[str, Any]] = {}
    wanted = {info.id for info in known if not info.damaged}
    for name in names(objects):
        identity = name.removeprefix(ABOUT).partition(".")[0]
        if identity not in wanted:
            continue
        try:
            found = dict(objects.get_json(KIND_ABOUT, name))
        except (ObjectMissing, BankDamaged):
            continue
        if str(found.get(CHANGED_AT, "")) >= str(said.get(identity, {}).get(CHANGED_AT, "")):
            said[identity] = found
    return [
        replace(info, extra={**info.extra, "about": said[info.id]}) if info.id in said else info
        for info in known
    ]

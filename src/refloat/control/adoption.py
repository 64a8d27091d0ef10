"""Writes down checkpoints that are in a bank, and of which the records know nothing, or something else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from refloat.bank import Checkpoint, CheckpointInfo
from refloat.errors import NotFound
from refloat.notify.events import FOUND, NOBODY, Notices
from refloat.records.checkpoints import (
    AVAILABLE,
    COPYING,
    DELETED,
    ERROR,
    MANUAL,
    MISSING,
    PROTECTING,
    SET_BY_HAND,
    WAIT_COPYING,
    CheckpointRecord,
    CheckpointRecords,
)
from refloat.records.database import Database
from refloat.records.operations import Operations

HEALED = (ERROR, DELETED, MISSING, PROTECTING, WAIT_COPYING, COPYING)
"""Of a checkpoint that is whole in a bank, and that no operation works on, these cannot be true, unless
somebody has set it to error. That its deletion failed can be: what it had in the cloud may be gone."""


NOTED = "bank:"
"""So begins what is in the place of a provider's id, of a checkpoint in a bank that is nobody's here."""


def adopt(
    database: Database,
    provider_id: str,
    read: Callable[[], Checkpoint],
    info: CheckpointInfo,
    id_of: Callable[[str], str],
    notices: Notices = NOBODY,
) -> CheckpointRecord:
    """What is known of a checkpoint in a bank; it is written down where that was not known.

    :param provider_id: that of the provider in whose bank it is.
    :param read: reads it whole, which is done when it has to be written down.
    :param id_of: the id of a provider that a bank names.
    :raises BankDamaged: it is damaged.
    """
    records = CheckpointRecords(database)
    try:
        known = records.get(info.id, None)
    except NotFound:
        known = None
    if known is not None and known.provider_id.startswith(NOTED):
        with database.one_at_a_time(f"checkpoint {info.id}") as session:
            records.move(session, info.id, [known.status], provider_id=provider_id)
        known = replace(known, provider_id=provider_id)
    if known is not None and (known.status not in HEALED or known.reason == SET_BY_HAND):
        return known if known.plugins else replace(known, plugins=_plugins(info))
    checkpoint = read()
    with database.one_at_a_time(f"checkpoint {info.id}") as session:
        status = records.statuses(session, [info.id]).get(info.id)
        values = {"graph": checkpoint.graph, "plugins": _plugins(checkpoint.info)}
        values["lacks"] = _lacks(checkpoint.info)
        if status is None:
            records.add(session, _record(provider_id, checkpoint, info, id_of))
        # Else somebody has begun or done something about it since it was read: deleted it, for one.
        elif known is not None and status == known.status and not _worked_on(database, session, info.id):
            records.move(session, info.id, [status], status=AVAILABLE, reason="", **values)
            if status == MISSING:
                notices.checkpoint(session, records.read(session, info.id), FOUND)
    return records.get(info.id, None)


def note(
    database: Database, bank_id: str, read: Callable[[], Checkpoint], id_of: Callable[[str], str]
) -> CheckpointRecord:
    """What is known of a checkpoint that is read from a bank that is nobody's here.

    If that is nothing, it is noted as that bank's: no provider has it, and nobody misses it.
    """
    checkpoint = read()
    records, info = CheckpointRecords(database), checkpoint.info
    with database.one_at_a_time(f"checkpoint {info.id}") as session:
        if not records.statuses(session, [info.id]):
            whose = f"{NOTED}{bank_id}" if _plugins(info) else id_of(info.provider)
            records.add(session, _record(whose, checkpoint, info, id_of))
    known = records.get(info.id, None)
    return replace(
        known,
        graph=checkpoint.graph,
        plugins=_plugins(info),
        project_id=info.project_id,
        reassigned_from=None,
    )


def _worked_on(database: Database, session: Session, identity: str) -> bool:
    operations = Operations(database)
    return bool(operations.users_of(session, identity) or operations.copying_to(session, identity))


def _record(
    provider_id: str, checkpoint: Checkpoint, listed: CheckpointInfo, id_of: Callable[[str], str]
) -> CheckpointRecord:
    info = checkpoint.info
    made = datetime.fromisoformat(info.created_at)
    return CheckpointRecord(
        id=info.id,
        project_id=info.project_id,
        provider_id=provider_id,
        plan_id=str(info.plan.get("id", "")),
        plan=info.plan,
        status=AVAILABLE,
        reason="",
        extra_info=dict(info.extra.get("extra_info") or MANUAL),
        graph=checkpoint.graph,
        created_at=made.astimezone(UTC).replace(tzinfo=None) if made.tzinfo else made,
        copied_from=_copied(info, id_of),
        plugins=_plugins(info),
        lacks=_lacks(info),
        about=dict(listed.extra.get("about") or info.extra.get("about") or {}),
        size=info.extra.get("size"),
        seconds=info.extra.get("seconds"),
    )


def _lacks(info: CheckpointInfo) -> list[dict[str, str]] | None:
    return list(info.extra.get("lacks") or ()) or None


def _plugins(info: CheckpointInfo) -> dict[str, str] | None:
    return dict(info.extra.get("plugins") or {}) or None


def _copied(info: CheckpointInfo, id_of: Callable[[str], str]) -> dict[str, Any] | None:
    """What a checkpoint in a bank is a copy of; None: it is no copy."""
    found: Mapping[str, Any] | None = info.extra.get("copied_from")
    if not found:
        return None
    return {
        "checkpoint_id": str(found.get("checkpoint_id", "")),
        "provider_id": id_of(str(found.get("provider", ""))),
        "origin": dict(found.get("origin") or {}),
    }

"""What retention looks at: a plan's checkpoints, as the records know them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from refloat.records import about
from refloat.records.checkpoints import AVAILABLE, BAD, ERROR_DELETING, MISSING, SCHEDULED
from refloat.records.database import Database
from refloat.records.quotas import OverQuota, Quotas
from refloat.records.schedule_tables import HoldRow, ScheduleRow, TriggerRow
from refloat.records.schedules import Schedule
from refloat.records.tables import CheckpointRow, OperationRow
from refloat.schedule.definition import INCLUDE_MANUAL, RETENTION_PROTECT
from refloat.schedule.retention import UPCOMING, Judgement, Kept, Rules, counting, judge, last_good

CHAIN = "chain"
"""In the result of a protection: pairs of what it keeps in the cloud, and what that builds on."""

_MANUAL = "made by hand"
_FORMER = "made by a schedule that is gone"


class Retention:
    """What becomes of a schedule's checkpoints: asked by runs, and by whoever wants to know beforehand.

    :param minimum: the operator's: no checkpoint that is younger is deleted.
    """

    def __init__(
        self, database: Database, quotas: Quotas, minimum: timedelta, clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._quotas = quotas
        self._minimum = minimum
        self._clock = clock

    def preview(self, schedule: Schedule) -> Judgement:
        """What a run would keep and delete now. Changes nothing.

        It makes a checkpoint first, unless the quota is used up: then it deletes nevertheless.
        """
        with self._database.session() as session:
            try:
                self._quotas.check(session, "checkpoints", schedule.project_id)
            except OverQuota:
                return self.judge(schedule)
        return self.judge(schedule, upcoming=True)

    def judge(self, schedule: Schedule, *, upcoming: bool = False) -> Judgement:
        """:param upcoming: as if a checkpoint had been made just now."""
        rules, moment = Rules(minimum=self._minimum), self._clock()
        if schedule.operation_type == RETENTION_PROTECT:
            rules = Rules.from_definition(schedule.definition, self._minimum)
        checkpoints = kept(self._database, schedule)
        if upcoming:
            # Where the newest builds on another in the cloud, so will the next one.
            newest = counting(checkpoints, moment)[:1]
            needs = frozenset(each.id for each in newest if each.needs)
            partial = any(each.partial for each in newest)
            checkpoints.append(Kept(UPCOMING, moment, needs=needs, partial=partial))
        with self._database.session() as session:
            trigger = session.get_one(TriggerRow, schedule.trigger_id)
            zone = ZoneInfo(trigger.properties["timezone"])
        verdicts = judge(checkpoints, rules, moment, zone)
        found = [verdict for verdict in verdicts if verdict.id != UPCOMING]
        going = any(not verdict.keep for verdict in found)
        proves = last_good(counting(checkpoints, moment)).id if going else ""
        return Judgement(rules.to_json(), found, "" if proves == UPCOMING else proves, upcoming)


def kept(database: Database, schedule: Schedule) -> list[Kept]:
    """The checkpoints of a schedule's plan and provider: available, missing, or not wholly deleted."""
    query = select(
        CheckpointRow.id,
        CheckpointRow.created_at,
        CheckpointRow.status,
        CheckpointRow.verified,
        CheckpointRow.extra_info,
        CheckpointRow.lacks.is_not(None).label("partial"),
        CheckpointRow.about,
    ).where(
        CheckpointRow.project_id == schedule.project_id,
        CheckpointRow.plan_id == schedule.plan_id,
        CheckpointRow.provider_id == schedule.definition["provider_id"],
        CheckpointRow.status.in_((AVAILABLE, ERROR_DELETING, MISSING)),
    )
    with database.session() as session:
        rows = session.execute(query).all()
        held = {row.checkpoint_id: row.reason for row in session.scalars(select(HoldRow))}
        made = _protections(session, schedule)
        others = _other_schedules(session, schedule)
    needs = _needs({identity: chain for identity, (_by, chain) in made.items() if chain})
    return [
        Kept(
            row.id,
            row.created_at,
            bad=row.verified == BAD,
            unfinished=row.status == ERROR_DELETING,
            held=held.get(row.id),
            needs=needs.get(row.id, frozenset()),
            missing=row.status == MISSING,
            partial=row.partial,
            keep=bool(row.about.get("keep")),
            expires_at=about.expires_at(row.about),
            outside=_outside(schedule, _maker(row.extra_info) or made.get(row.id, ("",))[0], others),
        )
        for row in rows
    ]


def _outside(schedule: Schedule, maker: str, others: Mapping[str, str]) -> str:
    """Who made a checkpoint that a schedule leaves alone; empty: it is for its rules.

    :param maker: the id of the schedule that made it; empty: it was made by hand, or nobody knows.
    """
    if maker == schedule.id:
        return ""
    if maker in others:
        return f"made by the schedule {others[maker]}"
    if schedule.definition.get(INCLUDE_MANUAL):
        return ""
    return _FORMER if maker else _MANUAL


def _maker(extra_info: Mapping[str, Any]) -> str:
    return str(extra_info.get(SCHEDULED) or "")


def _other_schedules(session: Session, schedule: Schedule) -> Mapping[str, str]:
    query = select(ScheduleRow.id, ScheduleRow.name).where(
        ScheduleRow.project_id == schedule.project_id,
        ScheduleRow.trigger_id.is_not(None),
        ScheduleRow.id != schedule.id,
    )
    return {row[0]: row[1] for row in session.execute(query)}


def _protections(session: Session, schedule: Schedule) -> Mapping[str, tuple[str, Sequence[Sequence[str]]]]:
    """By checkpoint, the schedule whose operation made it, and what it builds on in the cloud."""
    query = select(
        OperationRow.checkpoint_id, OperationRow.scheduled_operation_id, OperationRow.result[CHAIN]
    ).where(
        OperationRow.project_id == schedule.project_id,
        OperationRow.plan_id == schedule.plan_id,
        OperationRow.kind == "protect",
        OperationRow.state == "succeeded",
    )
    return {row[0]: (row[1], row[2] or ()) for row in session.execute(query)}


def _needs(chains: Mapping[str, Sequence[Sequence[str]]]) -> Mapping[str, frozenset[str]]:
    """The checkpoints without which others cannot be restored."""
    owners = {own: identity for identity, pairs in chains.items() for own, _parent in pairs}
    return {
        identity: frozenset(owners[parent] for _own, parent in pairs if parent in owners) - {identity}
        for identity, pairs in chains.items()
    }

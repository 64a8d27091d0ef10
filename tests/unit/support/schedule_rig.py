"""A service without API, engine, cloud and bank: schedules, their runners, and operations that just end."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import event, select, update
from sqlalchemy.orm import Session

from refloat.cloud.authority import Caller
from refloat.control.grants import Grants
from refloat.control.outcomes import Outcomes
from refloat.control.submit import Submitter
from refloat.engine.program import Milestone
from refloat.notify.events import NOBODY, Notices
from refloat.providers.provider import Providers
from refloat.records.database import Database
from refloat.records.operations import Operations
from refloat.records.plans import Plan, Plans
from refloat.records.quotas import DEFAULTS, UNLIMITED, Quotas
from refloat.records.schedule_tables import FiringRow
from refloat.records.schedules import Firing, Schedule, Schedules, firing_of
from refloat.records.tables import OperationRow
from refloat.schedule.definition import checked
from refloat.schedule.firings import Firings
from refloat.schedule.runner import Runner
from refloat.schedule.scheduled_operations import ScheduledOperations

PROJECT = "p1"
CALLER = Caller("u1", PROJECT)


class Death(BaseException):
    """The worker's process is gone."""


class Mortal(Database):
    """A database whose user may die before or after each transaction's end.

    :param chance: of dying, for each transaction; None: nobody dies.
    """

    chance: random.Random | None = None
    likely = 0.03

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A session; perhaps the last."""
        with super().session() as session:
            yield session
            self._fate()
        self._fate()

    @contextmanager
    def one_at_a_time(self, *what: str) -> Iterator[Session]:
        """Likewise: both ends are those of :meth:`session`."""
        with super().one_at_a_time(*what) as session:
            yield session

    def _fate(self) -> None:
        if self.chance is not None and self.chance.random() < self.likely:
            raise Death


class Granted:
    """An authority that is always good."""

    def grant(self, caller: Caller, until: Any = None) -> dict[str, Any]:
        return {"kind": "test", "project_id": caller.project_id}

    def check(self, granted: Any) -> None:
        return

    def revoke(self, granted: Any) -> None:
        return


class Rig:
    """All of it, at a time that the test sets."""

    def __init__(self, url: str, start: datetime) -> None:
        self.now = start
        self.database = Mortal(url)
        if url.startswith("sqlite"):  # nothing need survive the machine
            event.listen(self.database.engine, "connect", _hasty)
            self.database.engine.dispose()
        self.providers = Providers(None, None, noop=True)
        self.quotas = Quotas(self.database, dict.fromkeys(DEFAULTS, UNLIMITED))
        self.desk = ScheduledOperations(
            self.database,
            self.providers,
            Granted(),  # type: ignore[arg-type]
            self.quotas,
            clock=self.clock,
        )
        self.submitter = Submitter(
            self.database,
            self.providers,
            self.quotas,
            Grants(self.database, Granted(), timedelta(days=1)),  # type: ignore[arg-type]
            Granted(),  # type: ignore[arg-type]
            clock=self.clock,
        )
        self.outcomes = Outcomes(self.database)
        self.operations = Operations(self.database)
        self.plan: Plan = Plans(self.database, PROJECT).create("p", "noop", [], {})

    def clock(self) -> datetime:
        return self.now

    def runner(self, notices: Notices = NOBODY) -> Runner:
        """A new worker's."""
        firings = Firings(self.database, self.submitter, notices=notices, clock=self.clock)
        return Runner(self.database, self.desk, firings, Granted(), clock=self.clock)  # type: ignore[arg-type]

    def schedule(self, properties: dict[str, Any], kind: str = "protect", **rules: Any) -> Schedule:
        """A scheduled operation with a trigger of its own."""
        trigger = self.desk.create_trigger(PROJECT, "t", "time", properties)
        provider = self.providers.find("noop").id
        given = checked(kind, {"provider_id": provider, "plan_id": self.plan.id, **rules})
        return self.desk.create(CALLER, "s", None, kind, trigger, self.plan, given)

    def finish(self) -> None:
        """All operations end well."""
        prepared = {"graph": {"nodes": [], "edges": []}}
        for queued in self.operations.unfinished():
            payload = self.operations.get(queued.id).payload
            result = {"id": payload["checkpoint_id"]}
            values = {"state": "succeeded", "result": result, "ended_at": self.now}
            is_it = (OperationRow.id == queued.id, OperationRow.state == "queued")
            statement = update(OperationRow).where(*is_it).values(**values)
            end = Milestone(queued.id, queued.kind, payload, "ended", "succeeded", prepared=prepared)
            with self.database.session() as session:
                if session.execute(statement).rowcount:  # type: ignore[attr-defined]
                    self.outcomes.write(session, end)

    def firings(self, schedule: Schedule) -> list[Firing]:
        """All firings, the oldest first."""
        query = select(FiringRow).where(FiringRow.schedule_id == schedule.id).order_by(FiringRow.due_at)
        with self.database.session() as session:
            return [firing_of(row) for row in session.scalars(query)]

    def busy(self) -> bool:
        """Whether a firing has not ended."""
        return bool(Schedules(self.database, None).open_firings(1))


def _hasty(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA synchronous=OFF")

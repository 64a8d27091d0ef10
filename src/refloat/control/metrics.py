"""Metrics of a process of the service, for Prometheus. Needs the extra ``refloat[metrics]``.

What happens in this process is counted as it happens; what the records know is read when somebody asks, and
is the same in every process. Labels name kinds, states and ids, never names of people, projects or resources.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from refloat.database import now
from refloat.errors import BankError, InvalidInput
from refloat.providers.banks import BankLocation, Banks
from refloat.records.checkpoints import AVAILABLE, BAD, MISSING
from refloat.records.database import Database
from refloat.records.operations import OPEN, SERVICE
from refloat.records.outbox import Outbox
from refloat.records.plans import PlanRow
from refloat.records.tables import CheckpointRow, OperationRow

if TYPE_CHECKING:
    from refloat.engine.program import Milestone

BUCKETS = (1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 24 * 3600)
"""Seconds: operations take from a moment to a day."""

Sizes = Callable[[], Mapping[str, int]]


class Metrics:
    """What one process tells.

    :param database: the records.
    :param sizes: bytes in each bank, by its id.
    :raises InvalidInput: the library is not installed.
    """

    def __init__(self, database: Database, sizes: Sizes = dict) -> None:
        try:
            import prometheus_client as prometheus
        except ImportError as exc:
            raise InvalidInput(
                "metrics are not installed", reason=str(exc), advice="pip install 'refloat[metrics]'"
            ) from exc
        self._prometheus = prometheus
        self.registry = prometheus.CollectorRegistry()
        more: dict[str, Any] = {"registry": self.registry}
        self._ended = prometheus.Counter(
            "refloat_operations_ended", "Operations that ended in this process.", ["kind", "state"], **more
        )
        self._seconds = prometheus.Histogram(
            *("refloat_operation_duration_seconds", "From an operation's beginning to its end.", ["kind"]),
            buckets=BUCKETS,
            **more,
        )
        self._bytes = prometheus.Counter(
            "refloat_operation_bytes", "Bytes that ended operations have moved.", ["kind"], **more
        )
        self._taken_over = prometheus.Counter(
            "refloat_takeovers", "Operations taken over from workers that died.", ["kind"], **more
        )
        self._running = prometheus.Gauge(
            "refloat_operations_running", "Operations that run in this process.", ["kind"], **more
        )
        self.registry.register(_Records(database))
        self.registry.register(_Sizes(sizes))

    def tell(self, milestone: Milestone) -> None:
        """Count what has happened to an operation here."""
        kind = milestone.kind
        if milestone.what not in ("ended", "released"):
            self._running.labels(kind).inc()
            if milestone.what == "taken over":
                self._taken_over.labels(kind).inc()
            return
        self._running.labels(kind).dec()
        if milestone.state not in ("parked", "running"):
            self._ended.labels(kind, milestone.state).inc()
            self._seconds.labels(kind).observe(milestone.seconds)
            self._bytes.labels(kind).inc(milestone.bytes)

    def serve(self, host: str, port: int) -> Callable[[], None]:
        """Answer ``GET /metrics`` in a thread of its own, until the returned function is called.

        :raises InvalidInput: the port cannot be had.
        """
        try:
            server, thread = self._prometheus.start_http_server(port, host, self.registry)
        except OSError as exc:
            raise InvalidInput(f"cannot serve metrics on {host}:{port}", reason=str(exc)) from exc

        def close() -> None:
            server.shutdown()
            server.server_close()
            thread.join(10.0)

        return close

    def text(self) -> str:
        return self._prometheus.generate_latest(self.registry).decode()


def bank_sizes(banks: Banks, places: Iterable[BankLocation]) -> dict[str, int]:
    """Bytes in each bank there is, by its id. One that cannot be read now is left out."""
    sizes: dict[str, int] = {}
    for _, bank, _ in banks.existing(places):
        with suppress(BankError):
            if bank is not None:
                sizes[bank.id] = bank.stored()
    return sizes


class _Records:
    """What the records know, read when asked for."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def describe(self) -> list[Any]:
        return []

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import GaugeMetricFamily

        queue = GaugeMetricFamily(
            "refloat_operations_unfinished", "Operations of the service that have not ended.", labels=["kind"]
        )
        oldest = GaugeMetricFamily(
            *("refloat_oldest_unfinished_timestamp_seconds", "When the oldest of them was asked for."),
            labels=["kind"],
        )
        newest = GaugeMetricFamily(
            *("refloat_plan_newest_checkpoint_timestamp_seconds", "When a plan's newest good one was made."),
            labels=["plan_id", "project_id"],
        )
        objective = GaugeMetricFamily(
            *("refloat_plan_objective_seconds", "So old may a plan's newest good checkpoint be."),
            labels=["plan_id", "project_id"],
        )
        due = GaugeMetricFamily(
            *(
                "refloat_plan_objective_ends_timestamp_seconds",
                "By when a plan needs a newer good checkpoint.",
            ),
            labels=["plan_id", "project_id"],
        )
        missing = GaugeMetricFamily(
            "refloat_checkpoints_missing",
            "Checkpoints that are not found in their bank.",
            labels=["project_id"],
        )
        damaged = GaugeMetricFamily(
            "refloat_checkpoints_damaged", "Available ones that a look found bad.", labels=["project_id"]
        )
        operation, checkpoint = OperationRow, CheckpointRow
        made_at: dict[str, float] = {}
        with self._database.session() as session:
            for kind, count, first in session.execute(
                select(operation.kind, func.count(), func.min(operation.created_at))
                .where(operation.runner == SERVICE, operation.state.in_(OPEN))
                .group_by(operation.kind)
            ):
                queue.add_metric([kind], count)
                oldest.add_metric([kind], first.replace(tzinfo=UTC).timestamp())
            for plan, project, made in session.execute(
                select(checkpoint.plan_id, checkpoint.project_id, func.max(checkpoint.created_at))
                .where(
                    checkpoint.status == AVAILABLE,
                    checkpoint.verified != BAD,
                    # One that says that it is of tomorrow does not tell when there was a good one.
                    checkpoint.created_at <= now(),
                )
                .group_by(checkpoint.plan_id, checkpoint.project_id)
            ):
                made_at[plan] = made.replace(tzinfo=UTC).timestamp()
                newest.add_metric([plan, project], made_at[plan])
            for row in session.scalars(select(PlanRow).where(PlanRow.objective.is_not(None))):
                seconds = (row.objective or 0) * 3600
                objective.add_metric([row.id, row.project_id], seconds)
                # One that never had a good checkpoint has been without since it was made.
                since = made_at.get(row.id, row.created_at.replace(tzinfo=UTC).timestamp())
                due.add_metric([row.id, row.project_id], since + seconds)
            for family, which in (
                (missing, (checkpoint.status == MISSING,)),
                (damaged, (checkpoint.status == AVAILABLE, checkpoint.verified == BAD)),
            ):
                counted = select(checkpoint.project_id, func.count()).where(*which)
                for project, count in session.execute(counted.group_by(checkpoint.project_id)):
                    family.add_metric([project], count)
        yield from (queue, oldest, newest, objective, due, missing, damaged)
        yield from self._notices()

    def _notices(self) -> Iterator[Any]:
        from prometheus_client.core import GaugeMetricFamily

        waiting = GaugeMetricFamily(
            "refloat_notices_waiting", "Notices that a destination is to be told.", labels=["destination"]
        )
        given_up = GaugeMetricFamily(
            "refloat_notices_given_up", "Notices that could not be told.", labels=["destination"]
        )
        oldest = GaugeMetricFamily(
            *("refloat_oldest_notice_timestamp_seconds", "When the first of those that wait happened."),
            labels=["destination"],
        )
        for destination, backlog in Outbox(self._database).backlogs().items():
            waiting.add_metric([destination], backlog.waiting)
            given_up.add_metric([destination], backlog.given_up)
            if backlog.oldest is not None:
                oldest.add_metric([destination], backlog.oldest.replace(tzinfo=UTC).timestamp())
        yield from (waiting, given_up, oldest)


class _Sizes:
    """How large the banks are: looked at seldom, for that lists all that is in them."""

    EVERY = 900.0

    def __init__(self, sizes: Sizes) -> None:
        self._sizes = sizes
        self._lock = threading.Lock()
        self._known: Mapping[str, int] = {}
        self._until = float("-inf")

    def describe(self) -> list[Any]:
        return []

    def collect(self) -> Iterator[Any]:
        """The sizes, at most a quarter of an hour old."""
        from prometheus_client.core import GaugeMetricFamily

        with self._lock:
            if time.monotonic() > self._until:
                self._known = self._sizes()
                self._until = time.monotonic() + self.EVERY
            known = self._known
        family = GaugeMetricFamily("refloat_bank_bytes", "Bytes stored in a bank.", labels=["bank_id"])
        for bank, size in known.items():
            family.add_metric([bank], size)
        yield family

"""Metrics of a process of the service, for Prometheus. Needs the extra ``refloat[metrics]``.

What happens in this process is counted as it happens; what the records know is read when somebody asks, and
is the same in every process. Labels name kinds, states and ids, never names of people, projects or resources.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from refloat.database import now
from refloat.errors import BankError, InvalidInput
from refloat.movers import disagreements
from refloat.providers.banks import BankLocation, Banks
from refloat.records.checkpoints import AVAILABLE, BAD, MISSING
from refloat.records.database import Database
from refloat.records.operations import OPEN, SERVICE
from refloat.records.outbox import Outbox
from refloat.records.plans import SKIP, PlanRow
from refloat.records.tables import CheckpointRow, OperationRow

if TYPE_CHECKING:
    from refloat.engine.program import Milestone

BUCKETS = (1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 24 * 3600)
"""Seconds: operations take from a moment to a day."""

_SIZES_EVERY = 900.0
"""Seconds for which the sizes of banks are remembered: to find them out lists all that is in them."""

_PLAN = ("plan_id", "project_id")
GAUGES: Mapping[str, tuple[str, Sequence[str]]] = {
    "operations_unfinished": ("Operations of the service that have not ended.", ["kind"]),
    "oldest_unfinished_timestamp_seconds": ("When the oldest of them was asked for.", ["kind"]),
    "plan_newest_checkpoint_timestamp_seconds": ("When a plan's newest good one was made.", _PLAN),
    "plan_objective_seconds": ("So old may a plan's newest good checkpoint be.", _PLAN),
    "plan_objective_ends_timestamp_seconds": ("By when a plan needs a newer good checkpoint.", _PLAN),
    "checkpoints_missing": ("Checkpoints that are not found in their bank.", ["project_id"]),
    "checkpoints_damaged": ("Available ones that a look found bad.", ["project_id"]),
    "checkpoints_partial": ("Available ones that lack something of their plan.", ["project_id"]),
    "notices_waiting": ("Notices that a destination is to be told.", ["destination"]),
    "notices_given_up": ("Notices that could not be told.", ["destination"]),
    "oldest_notice_timestamp_seconds": ("When the first of those that wait happened.", ["destination"]),
    "bank_bytes": ("Bytes stored in a bank.", ["bank_id"]),
    "bank_unreadable": ("Whether this worker's last look could not read a bank.", ["bank_id"]),
    "bank_altered": ("How much in a bank this worker saw that is not as Refloat left it.", ["bank_id"]),
}
"""What the records and the banks know: the words, and the names of the labels."""

Sizes = Callable[[], Mapping[str, int]]
Looks = Callable[[], Mapping[str, tuple[bool, int]]]
Sample = tuple[str, Sequence[str], float]


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
        self.looks: Looks = dict
        """What the worker of this process, if there is one, has found of banks: ``BankLooks.found``."""
        self.registry.register(_Known(database, sizes, lambda: self.looks()))

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


class _Known:
    """What the records and the banks know, read when asked for."""

    def __init__(self, database: Database, sizes: Sizes, looks: Looks) -> None:
        self._database = database
        self._looks = looks
        self._read_sizes = sizes
        self._lock = threading.Lock()
        self._sizes: Mapping[str, int] = {}
        self._until = float("-inf")

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        gauges = {
            name: GaugeMetricFamily(f"refloat_{name}", words, labels=labels)
            for name, (words, labels) in GAUGES.items()
        }
        with self._database.session() as session:
            found = [*_operations(session), *_plans(session), *_lost(session)]
        for name, labels, value in (*found, *self._notices(), *self._bank_sizes()):
            gauges[name].add_metric(labels, value)
        for bank, (readable, altered) in self._looks().items():
            gauges["bank_unreadable"].add_metric([bank], not readable)
            gauges["bank_altered"].add_metric([bank], altered)
        yield from gauges.values()
        words = "MiB found changed here of which the storage had said that they had not changed."
        yield CounterMetricFamily("refloat_mover_disagreements", words, value=disagreements.total())

    def _notices(self) -> Iterator[Sample]:
        for destination, backlog in Outbox(self._database).backlogs().items():
            yield "notices_waiting", [destination], backlog.waiting
            yield "notices_given_up", [destination], backlog.given_up
            if backlog.oldest is not None:
                yield "oldest_notice_timestamp_seconds", [destination], _seconds(backlog.oldest)

    def _bank_sizes(self) -> Iterator[Sample]:
        with self._lock:
            if time.monotonic() > self._until:
                self._sizes = self._read_sizes()
                self._until = time.monotonic() + _SIZES_EVERY
            for bank, size in self._sizes.items():
                yield "bank_bytes", [bank], size


def _operations(session: Session) -> Iterator[Sample]:
    operation = OperationRow
    query = (
        select(operation.kind, func.count(), func.min(operation.created_at))
        .where(operation.runner == SERVICE, operation.state.in_(OPEN))
        .group_by(operation.kind)
    )
    for kind, count, first in session.execute(query):
        yield "operations_unfinished", [kind], count
        yield "oldest_unfinished_timestamp_seconds", [kind], _seconds(first)


def _plans(session: Session) -> Iterator[Sample]:
    checkpoint = CheckpointRow
    # One that says that it is of tomorrow does not tell when there was a good one.
    good = (checkpoint.status == AVAILABLE, checkpoint.verified != BAD, checkpoint.created_at <= now())
    # One that lacks something is good if its plan says so.
    content = select(PlanRow.id).where(PlanRow.unfit == SKIP)
    whole = or_(checkpoint.lacks.is_(None), checkpoint.plan_id.in_(content))
    query = (
        select(checkpoint.plan_id, checkpoint.project_id, func.max(checkpoint.created_at))
        .where(*good, whole)
        .group_by(checkpoint.plan_id, checkpoint.project_id)
    )
    made_at: dict[str, float] = {}
    for plan, project, made in session.execute(query):
        made_at[plan] = _seconds(made)
        yield "plan_newest_checkpoint_timestamp_seconds", [plan, project], made_at[plan]
    for row in session.scalars(select(PlanRow).where(PlanRow.objective.is_not(None))):
        labels, seconds = [row.id, row.project_id], (row.objective or 0) * 3600
        # One that never had a good checkpoint has been without since it was made.
        since = made_at.get(row.id, _seconds(row.created_at))
        yield "plan_objective_seconds", labels, seconds
        yield "plan_objective_ends_timestamp_seconds", labels, since + seconds


def _lost(session: Session) -> Iterator[Sample]:
    checkpoint = CheckpointRow
    for name, which in (
        ("checkpoints_missing", (checkpoint.status == MISSING,)),
        ("checkpoints_damaged", (checkpoint.status == AVAILABLE, checkpoint.verified == BAD)),
        ("checkpoints_partial", (checkpoint.status == AVAILABLE, checkpoint.lacks.is_not(None))),
    ):
        counted = select(checkpoint.project_id, func.count()).where(*which)
        for project, count in session.execute(counted.group_by(checkpoint.project_id)):
            yield name, [project], count


def _seconds(moment: datetime) -> float:
    return moment.replace(tzinfo=UTC).timestamp()

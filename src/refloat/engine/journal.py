"""What steps have returned, durably: the only module that knows DBOS.

One *attempt* at an operation is one DBOS workflow. It records in DBOS steps, in each of them all results that
were ready when it began: a DBOS step costs 1 to 3 ms, most of it Python's. A process that takes an operation
over begins a new attempt, under a new workflow id, after it has *fenced* the former one (cancelled its
workflow, from when on DBOS refuses whatever its owner still tries to record) and has then read what the
former one recorded. Nothing is ever replayed, and ``DBOS.resume_workflow`` is not used, because

* it puts the workflow on a queue that every process sharing the database listens to, so that another process
  than the one that was asked might run it, perhaps one that does not know the operation's kind;
* a replay re-reads the steps one by one, where reading them all is one query;
* a step that failed is replayed as failed, where an operation that was parked wants it tried again.

For the same reason every process calls itself by a new executor id: DBOS recovers at launch only what belongs
to its own. Results are recorded by name, so what they are found by does not depend on their order.

DBOS is a singleton of the process; so there is one open journal per process. There is no network, no
telemetry and no queue; values are stored as JSON, never pickled.
"""

from __future__ import annotations

import gc
import json
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Any

from refloat.database import SCHEMA, SqlDatabase
from refloat.engine.lease import Lost
from refloat.engine.program import Json

# DBOS installs a console handler unless its logger has one; what it has to say goes to our own logging.
_DBOS_LOG = logging.getLogger("dbos")
_DBOS_LOG.addHandler(logging.NullHandler())

from dbos import DBOS, Serializer, SetWorkflowID, error  # noqa: E402

VERSION = "refloat-1"
"""Fixed, so that a new release goes on with the operations of the former one."""


class PlainJson(Serializer):
    """JSON as it is. The library's own copies every value in Python before it writes it; it still reads
    what it has written in databases of before."""

    def name(self) -> str:
        return "refloat_json"

    def serialize(self, data: Any) -> str:
        # Of other things there are only errors, for people.
        return json.dumps(data, separators=(",", ":"), ensure_ascii=False, default=str)

    def deserialize(self, serialized_data: str) -> Any:
        return json.loads(serialized_data)


class Recorder:
    """Records the results of one attempt. Belongs to the thread the attempt runs in."""

    def __init__(self, turn: Any) -> None:
        self._turn = turn

    def record(self, results: Sequence[tuple[str, Json]]) -> None:
        """Make named results durable, all or none of them, up to the next flush of the database.

        :raises Lost: another process has taken the operation over.
        """
        try:
            with self._turn:
                DBOS.run_step({"name": "results"}, lambda: results)
        except (error.DBOSWorkflowConflictIDError, error.DBOSWorkflowCancelledError) as reason:
            raise Lost(str(reason)) from reason


class Journal:
    """The open journal of this process.

    :raises RuntimeError: there is one open already.
    """

    _one = threading.Lock()

    def __init__(self, database: SqlDatabase, executor: str) -> None:
        if not Journal._one.acquire(blocking=False):
            raise RuntimeError("this process has an open engine already")
        # SQLite lets those who wait for its write lock sleep in steps; queueing here is twice as fast.
        self._turn: Any = threading.Lock() if database.is_sqlite else nullcontext()
        self._database = database
        try:
            DBOS(
                config={
                    "name": "refloat",
                    "system_database_url": database.engine.url.render_as_string(hide_password=False),
                    "system_database_engine": database.engine,
                    "dbos_system_schema": SCHEMA,
                    "serializer": PlainJson(),
                    "application_version": VERSION,
                    "executor_id": executor,
                    "log_level": "WARNING",
                    "enable_otlp": False,
                    "use_listen_notify": False,
                    "notification_listener_polling_interval_sec": 0.1,
                    "scheduler_polling_interval_sec": 3600.0,
                }
            )
            DBOS.launch()
            if not gc.get_freeze_count():
                gc.freeze()  # what is imported is no garbage, and to look through it is slow
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        DBOS.destroy()
        for thread in threading.enumerate():
            if thread.name.startswith("dbos-executor-"):
                thread.join(5.0)
        Journal._one.release()

    def run(self, attempt: str, body: Callable[[Recorder], None]) -> None:
        """Run *body* as the attempt of that id, in a thread of its own; return at once."""
        _BODIES[attempt] = lambda: body(Recorder(self._turn))
        try:
            with SetWorkflowID(attempt, workflow_id_reuse_policy="reject"):
                DBOS.start_workflow(_attempt, attempt)
        except BaseException:
            _BODIES.pop(attempt, None)
            raise

    def fence(self, attempts: Iterable[str]) -> None:
        """From now on refuse whatever the owners of those attempts record."""
        DBOS.cancel_workflows(list(attempts))

    def forget(self, attempts: Iterable[str]) -> None:
        DBOS.delete_workflows(list(attempts))


def _is_news(record: logging.LogRecord) -> bool:
    """Whether it is not the traceback of an attempt that was fenced: the driver says that in words."""
    return not (record.exc_info and isinstance(record.exc_info[1], error.DBOSAwaitedWorkflowCancelledError))


_DBOS_LOG.addFilter(_is_news)

_BODIES: dict[str, Callable[[], None]] = {}


@DBOS.workflow(name="refloat-operation", max_recovery_attempts=None)
def _attempt(attempt: str) -> None:
    body = _BODIES.pop(attempt, None)
    if body is not None:
        body()

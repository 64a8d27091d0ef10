"""The service's worker: takes up operations that were asked for, and those whose worker has died.

It looks at the records once a second. What has not begun, it begins; what nobody runs any more, it resumes;
what has ended, it writes down, and gives back what the operation acted with. What callers wish (to cancel,
park or resume an operation) it reads there too, and heeds, whoever runs the operation. Any number of workers
may do this at once, on one database: an operation has one owner (see :mod:`refloat.engine.lease`), and
writing down twice is harmless.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from refloat.bank import Bank
from refloat.cloud import Cloud
from refloat.cloud.authority import Authority, NoCloud
from refloat.control.fairness import Fairness, in_turn
from refloat.control.grants import Grants
from refloat.control.outcomes import Outcomes, subject
from refloat.control.program_logging import Logged, subject_of
from refloat.control.settings import Settings
from refloat.control.worker_name import WorkerName
from refloat.errors import BankError, Conflict, InvalidInput, NotFound, RefloatError
from refloat.log_context import about
from refloat.notify.events import NOBODY, Notices
from refloat.operations import concurrency
from refloat.operations.programs import OperationProgram, Services
from refloat.operations.single_step import SingleStepProgram
from refloat.providers.banks import BankLocation, Banks
from refloat.providers.provider import Providers
from refloat.records.checkpoints import AVAILABLE, CheckpointRecords
from refloat.records.database import Database
from refloat.records.operations import Operation, ServiceOperations
from refloat.records.services import ServiceRecords

if TYPE_CHECKING:
    from refloat.engine.program import Ended, Milestone
    from refloat.engine.snapshot import Snapshot

_LOG = logging.getLogger(__name__)

BINARY = "refloat-worker"
THREADS = 16
_TICK = 1.0
_HEARTBEAT = 10.0
_LOOK_INTO_BANKS = 300.0
_FORGOTTEN = timedelta(days=1)
"""Workers that have not been heard of for so long are forgotten."""


class Worker:
    """One worker.

    :param at_once: so many operations run here at once; up to twice as many when workers have died.
    :param rules: who is next, and how many of a project run at once.
    :param limits: so many hooks use a service at once, in the place of what :func:`concurrency.limits` says.
    :param drain_time: seconds in which running hooks should end when the worker is closed.
    :param milestones: told when a run of an operation begins or ends here.
    :param notices: whom to tell what becomes of operations.
    :param tick: seconds between two looks at the records.
    :param name: what the first worker of this host is called in the list of services; empty: as the host.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        providers: Providers,
        authority: Authority,
        grants: Grants,
        *,
        at_once: int = 8,
        rules: Fairness = Fairness(),  # noqa: B008 - it does not change
        limits: Mapping[str, int] | None = None,
        drain_time: float = 60.0,
        milestones: Callable[[Milestone], None] | None = None,
        notices: Notices = NOBODY,
        tick: float = _TICK,
        name: str = "",
    ) -> None:
        from refloat.engine.engine import Engine
        from refloat.operations.kinds import PROGRAMS

        self._settings = settings
        self._database = database
        self._providers = providers
        self._authority = authority
        self._grants = grants
        self._at_once = at_once
        self._rules = rules
        self._drain_time = drain_time
        self._tick = tick
        self._worker_name = WorkerName(name or socket.gethostname(), database.url)
        self._banks = Banks(settings.bank, _LOG.warning)
        self._operations = ServiceOperations(database)
        self._checkpoints = CheckpointRecords(database)
        self._outcomes = Outcomes(database, notices)
        self._milestones = milestones
        self._records = ServiceRecords(database)
        self._clouds: dict[str, Cloud] = {}
        self._asked = threading.Event()
        self._closing = False
        self._alive_at = self._looked_at = float("-inf")
        self._disabled = False
        lanes = {**concurrency.limits(), **(limits or {})}
        self._engine = Engine(settings.engine_url, workers=THREADS, limits=lanes, milestones=self._hear)
        for kind, program in PROGRAMS.items():
            self._engine.register(kind, self._factory(program), _project_of)
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def start(self) -> None:
        """Begin to work, in a thread of its own."""
        self._thread.start()

    def wake(self) -> None:
        """Look at the records now."""
        self._asked.set()

    def close(self) -> None:
        """Park what runs here, for another worker (or this one, when it is started again), and end."""
        self._closing = True
        self._asked.set()
        if self._thread.is_alive():
            self._thread.join()
        self._engine.close(self._drain_time)
        for cloud in self._clouds.values():
            cloud.close()
        self._worker_name.close()

    def _run(self) -> None:
        while not self._closing:
            try:
                self.work()
            except Exception:
                # The database or the identity service may be away for a while; the worker must outlive that.
                _LOG.exception("the worker could not do its round")
            self._asked.wait(self._tick)
            self._asked.clear()

    def work(self) -> None:
        """One round."""
        if time.monotonic() - self._alive_at > _HEARTBEAT:
            self._disabled = self._records.alive(BINARY, self._worker_name.name).disabled
            self._alive_at = time.monotonic()
        if time.monotonic() - self._looked_at > _LOOK_INTO_BANKS:
            self._looked_at = time.monotonic()
            self.look_into_banks()
            self._grants.sweep()
            self._records.forget_dead(_FORGOTTEN)
        unfinished = self._operations.unfinished()
        new: list[Operation] = []
        self._each(in_turn(unfinished, self._rules), partial(self._attend, new))
        # What has begun goes on before anything else begins, also when its worker has died.
        self._each(new, self._attend_new)

    def _each(self, operations: Iterable[Operation], attend: Callable[[Operation], None]) -> None:
        for operation in operations:
            if self._closing:
                return
            with about(**subject_of(operation.id, operation.payload)):
                try:
                    attend(operation)
                except Conflict:
                    continue  # another worker was quicker
                except RefloatError as exc:
                    _LOG.warning("operation %s: %s", operation.id, exc)
                except Exception:
                    # The others must not wait for it.
                    _LOG.exception("operation %s", operation.id)

    def _attend(self, new: list[Operation], operation: Operation) -> None:
        """Do what one needs; one that nobody has begun goes into ``new``."""
        if operation.state not in ("running", "parked"):
            self._give_back(operation)
            return
        try:
            snapshot: Snapshot = self._engine.state(operation.id, outcomes=False)
        except NotFound:
            new.append(operation)
            return
        if operation.wish == "cancel" and self._cancel(operation):
            return
        ended = snapshot.ended
        if ended is not None and ended.state != "parked":
            self._write_down(operation, ended.state, ended.result, _error(ended.error, ended.undo_error))
        elif ended is None and not snapshot.interrupted:  # somebody runs it
            if operation.wish == "park" and not snapshot.wish:
                self._engine.stop(operation.id)
        elif operation.wish == "resume" or not self._stays_parked(operation, ended):
            self._resume(operation, orphaned=ended is None)
        elif operation.state != "parked":
            self._outcomes.parked(operation, _error(ended.error, ended.undo_error) if ended else None)

    def _attend_new(self, operation: Operation) -> None:
        """One that the engine does not know yet."""
        if operation.wish == "cancel":
            self._begin(operation, cancelled=True)
            self._cancel(operation)  # in case another worker was quicker
        elif operation.wish == "park":
            if operation.state != "parked":
                self._outcomes.parked(operation, None)
        elif self._room():
            self._begin(operation)
            if operation.wish == "resume":
                self._operations.heeded(operation.id, "resume", "running")

    @staticmethod
    def _stays_parked(operation: Operation, ended: Ended | None) -> bool:
        """Whether it was parked by a wish, or kept after a failure, and not by a worker that ended."""
        return (
            operation.wish == "park"
            or operation.state == "parked"
            or (ended is not None and ended.error is not None)
        )

    def _resume(self, operation: Operation, *, orphaned: bool) -> None:
        # What a dead worker ran goes on at once, though all others are full: what it holds in the cloud, and
        # who waits for it, do not wait for the end of some long operation.
        if self._room(2 if orphaned else 1):
            self._engine.resume(operation.id)
            self._operations.heeded(operation.id, operation.wish, "running")

    def _cancel(self, operation: Operation) -> bool:
        """Have it undone by whoever runs it, or here; whether that has begun."""
        try:
            self._engine.cancel(operation.id)
        except Conflict:  # it ended in the meantime, or another worker was quicker
            return False
        self._operations.heeded(operation.id, "cancel", "running")
        return True

    def _room(self, times: int = 1) -> bool:
        return not self._disabled and len(self._engine.running()) < times * self._at_once

    def _begin(self, operation: Operation, *, cancelled: bool = False) -> None:
        on_failure: Literal["park", "undo"] = "park" if operation.payload.get("keep_on_failure") else "undo"
        if not cancelled:
            self._outcomes.begins(operation)
        try:
            self._engine.start(
                operation.id,
                operation.kind,
                operation.payload,
                on_failure=on_failure,
                cancelled=cancelled,
            )
        except (InvalidInput, NotFound) as exc:
            self._write_down(operation, "failed", None, exc.to_json())
        else:
            self._outcomes.began(operation)

    def _hear(self, milestone: Milestone) -> None:
        if self._milestones is not None:
            self._milestones(milestone)
        if milestone.what == "taken over":
            self._outcomes.taken_over(milestone.operation_id, self._worker_name.name)

    def _write_down(
        self,
        operation: Operation,
        state: str,
        result: Mapping[str, Any] | None,
        error: Mapping[str, str] | None,
    ) -> None:
        graph = self._graph_of(operation) if operation.kind in ("protect", "delete", "copy") else None
        self._outcomes.ended(operation, state, result, error, graph)
        self._give_back(operation)

    def _graph_of(self, operation: Operation) -> Mapping[str, Any] | None:
        """That of a checkpoint; None when it is not in the bank."""
        try:
            whose = str(operation.payload["to" if operation.kind == "copy" else "provider"])
            bank = self._bank_for(whose, False)
            graph: Mapping[str, Any] = bank.checkpoint(subject(operation)).graph
        except NotFound:
            return None
        return graph

    def _give_back(self, operation: Operation) -> None:
        cloud = self._clouds.pop(operation.id, None)
        if cloud is not None:
            cloud.close()
        if operation.authority is not None:
            self._authority.revoke(operation.authority)
            self._operations.gave_back(operation.id)

    def _factory(self, program: type[OperationProgram] | type[SingleStepProgram]) -> Any:
        def make(operation_id: str, payload: Any) -> Logged:
            cloud = self._cloud_of(operation_id, payload)
            services = Services(cloud, self._database, self._providers, self._bank_for)
            made = program(operation_id, payload, services)
            return Logged(made, **subject_of(operation_id, payload))

        return make

    def _cloud_of(self, operation_id: str, payload: Any) -> Cloud:
        if operation_id not in self._clouds:
            authority = self._operations.get(operation_id, None).authority
            if authority is None:  # nothing of its own: then perhaps what somebody else gives back
                authority = payload.get("authority")
            self._clouds[operation_id] = NoCloud() if authority is None else self._authority.cloud(authority)
        return self._clouds[operation_id]

    def _bank_for(self, provider: str, create: bool) -> Bank:
        return self._banks.at(self._providers.find(provider).bank or self._settings.bank, create=create)

    def look_into_banks(self) -> None:
        """Learn of checkpoints that came or went without the service."""
        known = self._checkpoints.known()
        places = {provider.id: provider.bank or self._settings.bank for provider in self._providers}
        read: set[BankLocation] = set()
        seen: set[str] = set()
        for place, bank, reason in self._banks.existing(places.values()):
            try:
                if bank is None:
                    raise BankError("the bank cannot be read", reason=reason)
                infos = bank.checkpoints()
                for info in infos:
                    provider_id = self._id_of(info.provider)
                    # What lies in another bank than its provider's, only the command can work on.
                    if info.id not in known and not info.damaged and places.get(provider_id) == place:
                        self._outcomes.found(provider_id, info, bank.checkpoint(info.id).graph, self._id_of)
            except NotFound:
                continue  # deleted just now
            except BankError as exc:
                _LOG.warning("could not look into a bank: %s", exc)
                continue
            read.add(place)
            seen |= {info.id for info in infos}
        for identity, (status, provider_id) in known.items():
            # A bank that is not there now, such as a file system that is not mounted, proves nothing.
            if status == AVAILABLE and identity not in seen and places.get(provider_id) in read:
                self._outcomes.vanished(identity)

    def _id_of(self, reference: str) -> str:
        try:
            return self._providers.find(reference).id
        except NotFound:
            return reference


def _project_of(payload: Any) -> str:
    return str(payload.get("project_id", ""))


def _error(error: Mapping[str, str] | None, undo_error: Mapping[str, str] | None) -> Mapping[str, str] | None:
    if undo_error is None:
        return error
    left = {name: str(undo_error.get(name, "")) for name in ("left_behind", "advice")}
    return {**(error or undo_error), **left}

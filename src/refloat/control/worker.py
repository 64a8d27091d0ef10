"""The worker: takes up operations that were asked for, and those whose worker has died.

It looks at the records once a second. What has not begun, it begins; what nobody runs any more, it resumes;
of what has ended it gives back what the operation acted with. What callers ask for (to cancel, park or resume
an operation) it reads there too, and heeds, if nobody runs the operation; whoever runs it hears by himself.
Any number of workers may do this at once, on one database: an operation has one owner (see
:mod:`refloat.engine.lease`), and how it ended is written once.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refloat.bank import Bank
from refloat.cloud import Cloud
from refloat.cloud.authority import Authority, NoCloud
from refloat.control.bank_looks import BankLooks
from refloat.control.banks import banks_of_service
from refloat.control.brought_back import Guard
from refloat.control.expected import expected, fresh
from refloat.control.fairness import Fairness, Shares
from refloat.control.grants import Grants
from refloat.control.outcomes import Outcomes
from refloat.control.plans import last_of
from refloat.control.program_context import InContext, subject_of
from refloat.control.settings import Settings
from refloat.control.worker_name import WorkerName
from refloat.errors import Conflict, InvalidInput, NotFound, RefloatError
from refloat.log_context import about
from refloat.notify.events import NOBODY, Notices
from refloat.operations.compile import lane_limits
from refloat.operations.programs import OperationProgram, Services
from refloat.operations.single_step import SingleStepProgram
from refloat.providers.banks import BankLocation, Banks
from refloat.providers.provider import Providers
from refloat.records import successors
from refloat.records.checkpoints import CheckpointRecords
from refloat.records.database import Database
from refloat.records.holds import Holds
from refloat.records.journal import SqlJournal
from refloat.records.operations import OPEN, OpenOperation, Operations
from refloat.records.quotas import Quotas
from refloat.records.restore_plans import RestorePlans
from refloat.records.services import ServiceRecords
from refloat.records.tables import OPERATIONS
from refloat.records.terms import OperatorTerms

if TYPE_CHECKING:
    from refloat.engine.program import Milestone

_LOG = logging.getLogger(__name__)

BINARY = "refloat-worker"
THREADS = 16
_TICK = 1.0
_HEARTBEAT = 10.0
_LOOK_INTO_BANKS = 300.0
DEATHS = 3
"""So many workers in a row may an operation kill; then it is parked until somebody resumes it."""
UP = timedelta(minutes=1)
"""Workers that have been heard of in this time are up."""
_FORGOTTEN = timedelta(days=1)
"""Workers that have not been heard of for so long are forgotten."""


class Worker:
    """One worker.

    :param at_once: so many operations run here at once; up to twice as many when workers have died.
    :param rules: who is next, and how many of a project run at once.
    :param quotas: how many of a project run at once, too.
    :param max_resources: so many resources may be protected in one operation; 0: any number.
    :param limits: so many hooks use a service at once, in the place of what the kinds say.
    :param drain_time: seconds in which running hooks should end when the worker is closed.
    :param milestones: told when a run of an operation begins or ends here.
    :param notices: whom to tell what becomes of operations.
    :param tick: seconds between two looks at the records.
    :param name: what the first worker of this host is called in the list of services; empty: as the host.
    :param only: the ids of operations that a command has asked for, which may become more: just these are
        run, and nothing else is looked after. Such a worker is in no list. None: all of the service.
    :param banks: those that are open already.
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
        quotas: Quotas | None = None,
        max_resources: int = 0,
        limits: Mapping[str, int] | None = None,
        drain_time: float = 60.0,
        milestones: Callable[[Milestone], None] | None = None,
        notices: Notices = NOBODY,
        tick: float = _TICK,
        name: str = "",
        only: Collection[str] | None = None,
        banks: Banks | None = None,
    ) -> None:
        from refloat.engine.engine import Engine
        from refloat.operations.kinds import PROGRAMS

        self._settings = settings
        self._database = database
        self._providers = providers
        self._authority = authority
        self._grants = grants
        self._at_once = at_once
        self._shares = Shares(rules, quotas, at_once)
        self._max_resources = max_resources
        self._drain_time = drain_time
        self._tick = tick
        self._only = only
        self._milestones = milestones
        self._worker_name = WorkerName(name or socket.gethostname(), database.url) if only is None else None
        self._banks = banks or banks_of_service(settings, providers, database, _LOG.warning)
        self._operations = Operations(database)
        self._checkpoints = CheckpointRecords(database)
        self._outcomes = Outcomes(database, notices, self._worker_name.name if self._worker_name else "")
        self.bank_looks = BankLooks(database, providers, self._banks, settings.bank, notices)
        self._records = ServiceRecords(database)
        self._guard = Guard(database, settings.seen, self._banks_there, notices)
        self._holds = Holds(database)
        self._clouds: dict[str, Cloud] = {}
        self._asked = threading.Event()
        self._closing = False
        self._suspects: set[str] = set()
        self._alive_at = self._looked_at = float("-inf")
        self._disabled = False
        self.refused: RefloatError | None = None
        """Why an operation could not be taken up just now."""
        self._engine = Engine(
            database,
            OPERATIONS,
            workers=THREADS,
            limits={**lane_limits(), **(limits or {})},
            milestones=self._hear,
            beside=self._outcomes.write,
        )
        for kind, program in PROGRAMS.items():
            self._engine.register(kind, self._factory(program), _project_of)
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def prepare(self) -> None:
        """Open what it takes to run operations; else that is done when the first one begins."""
        self._engine.prepare()

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        self._asked.set()
        self._engine.wake()

    def close(self) -> None:
        """Release what runs here, for another worker (or this one, when it is started again), and end."""
        self._closing = True
        self._asked.set()
        if self._thread.is_alive():
            self._thread.join()
        self._engine.close(self._drain_time)
        try:
            self._guard.look()  # what has just ended
        except Exception:
            _LOG.warning("what was seen of the database could not be kept", exc_info=True)
        for cloud in self._clouds.values():
            cloud.close()
        if self._worker_name is not None:
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
        self._guard.look(busy=bool(self._engine.running()))
        if self._worker_name is not None:
            self._look_after(self._worker_name.name)
        queued: list[OpenOperation] = []
        operations = self._shares.in_turn(self._operations.unfinished(self._only))
        self._each(operations, lambda operation: self._attend(operation, queued))
        # What has begun goes on before anything else begins, also when its worker has died.
        self._each(queued, self._begin)

    def _look_after(self, name: str) -> None:
        if time.monotonic() - self._alive_at > _HEARTBEAT:
            self._disabled = self._records.alive(BINARY, name).disabled
            self._shares.workers = self._records.up(BINARY, UP)
            self._alive_at = time.monotonic()
        if time.monotonic() - self._looked_at > _LOOK_INTO_BANKS:
            self._looked_at = time.monotonic()
            self.bank_looks.look()
            self._grants.sweep()
            self._records.forget_dead(_FORGOTTEN)

    def _each(self, operations: Iterable[OpenOperation], attend: Callable[[OpenOperation], None]) -> None:
        for operation in operations:
            if self._closing:
                return
            with about(operation_id=operation.id, project_id=operation.project_id):
                try:
                    attend(operation)
                except Conflict:
                    continue  # another worker was quicker
                except RefloatError as exc:
                    self.refused = exc
                    level = logging.WARNING if self._only is None else logging.DEBUG
                    _LOG.log(level, "operation %s: %s", operation.id, exc)
                except Exception as exc:
                    # The others must not wait for it; nor must a command, for ever.
                    _LOG.exception("operation %s", operation.id)
                    self.refused = RefloatError(
                        f"the operation {operation.id} could not be taken up",
                        reason=f"{type(exc).__name__}: {exc}",
                        advice=f"Try again with: refloat operation resume {operation.id}",
                    )

    def _attend(self, operation: OpenOperation, queued: list[OpenOperation]) -> None:
        """Do what one needs; one that is to begin goes into ``queued``."""
        identity, requested = operation.id, operation.requested
        if operation.state not in OPEN:
            self._give_back(identity)
        elif operation.state == "running" and self._engine.is_alive(operation):
            return  # its owner hears by himself what is asked of it
        elif self._only is None and operation.executor and operation.deaths + 1 >= DEATHS - 1:
            self._take_up_suspect(operation)
        elif requested == "cancel":
            self._take_up(operation)
        elif operation.state == "parked":
            if requested == "resume" and self._room():
                self._take_up(operation)
        elif requested == "park":
            self._engine.park(identity)
        elif operation.state == "queued":
            queued.append(operation)
        # What a dead worker ran goes on at once, though all others are full: what it holds in the cloud, and
        # who waits for it, do not wait for the end of some long operation.
        elif self._room(2 if operation.executor else 1):
            self._take_up(operation)

    def _take_up_suspect(self, operation: OpenOperation) -> None:
        """One at a time: if it is what kills workers, others that only ran beside it are not blamed again."""
        if operation.deaths + 1 >= DEATHS:
            self._engine.park(operation.id, _deadly(operation))
            return
        self._suspects &= set(self._engine.running())
        if not self._suspects and self._room():
            self._take_up(operation)
            self._suspects.add(operation.id)

    def _begin(self, operation: OpenOperation) -> None:
        if self._room():
            self._take_up(operation)

    def _take_up(self, operation: OpenOperation) -> None:
        """Run it here; undo it, if it is to be cancelled."""
        try:
            self._engine.resume(operation.id)
        except (InvalidInput, NotFound) as exc:
            if operation.attempt:
                raise
            self._engine.fail(operation.id, exc)  # it can never begin

    def _room(self, times: int = 1) -> bool:
        return not self._disabled and len(self._engine.running()) < times * self._at_once

    def _hear(self, milestone: Milestone) -> None:
        if self._milestones is not None:
            self._milestones(milestone)
        if milestone.what in ("ended", "released"):
            cloud = self._clouds.pop(milestone.operation_id, None)
            if cloud is not None:
                cloud.close()
            self._asked.set()  # there is room, and something to give back

    def _give_back(self, operation_id: str) -> None:
        authority = self._operations.get(operation_id).authority
        if authority is not None:
            self._authority.revoke(authority)
            self._operations.gave_back(operation_id)

    def _factory(self, program: type[OperationProgram] | type[SingleStepProgram]) -> Any:
        def make(operation_id: str, payload: Any) -> InContext:
            cloud = self._cloud_of(operation_id, payload)
            services = Services(
                cloud,
                self._providers,
                self._bank_for,
                partial(SqlJournal, self._database),
                self._checkpoints.copies_of,
                self._expected,
                self._max_resources,
                self._holds.refuse,
                lambda bank: fresh(self._database, bank).older,
                self._minimum,
                partial(last_of, self._checkpoints),
                self._kept_plan,
                lambda url, key: self._banks.at(BankLocation(url, Path(key))),
                self._state_of,
                partial(successors.of, self._database),
            )
            made = program(operation_id, payload, services)
            return InContext(made, **subject_of(operation_id, payload))

        return make

    def _cloud_of(self, operation_id: str, payload: Any) -> Cloud:
        if operation_id not in self._clouds:
            authority = self._operations.get(operation_id).authority
            if authority is None:  # nothing of its own: then perhaps what somebody else gives back
                authority = payload.get("authority")
            self._clouds[operation_id] = NoCloud() if authority is None else self._authority.cloud(authority)
        return self._clouds[operation_id]

    def _expected(self, provider: str, project_id: str | None) -> set[str]:
        shared = self._settings.bank
        place = self._providers.find(provider).bank or shared
        return {each.id for each in expected(self._database, self._providers, shared, place.url, project_id)}

    def _banks_there(self) -> Iterable[Bank]:
        places = {provider.bank or self._settings.bank for provider in self._providers}
        return [bank for _place, bank, _why in self._banks.existing(places) if bank is not None]

    def _kept_plan(self, identity: str) -> Mapping[str, Any] | None:
        try:
            return RestorePlans(self._database, None).get(identity).content
        except NotFound:
            return None

    def _state_of(self, operation_id: str) -> tuple[str, str]:
        found = self._operations.get(operation_id)
        return found.state, str(RefloatError.from_json(dict(found.error))) if found.error else ""

    def _minimum(self) -> timedelta:
        with self._database.session() as session:
            return OperatorTerms.read(session).minimum

    def _bank_for(self, provider: str, create: bool) -> Bank:
        return self._banks.at(self._providers.find(provider).bank or self._settings.bank, create=create)


def _deadly(operation: OpenOperation) -> RefloatError:
    undone = ", the last time while it was to be cancelled" if operation.requested == "cancel" else ""
    return Conflict(
        "the operation was stopped",
        reason=f"the worker that ran it died {operation.deaths + 1} times in a row{undone}",
        advice="The logs of the workers, and of the kernel of their hosts, may tell why: memory? "
        "Then resume it, or cancel it",
    )


def _project_of(payload: Any) -> str:
    return str(payload.get("project_id", ""))

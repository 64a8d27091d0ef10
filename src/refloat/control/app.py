"""Everything a user can do, as methods: what the command, and later the service, call."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from refloat.bank import Bank, Checkpoint, CheckpointInfo
from refloat.cloud import Cloud
from refloat.control.outcomes import Outcomes
from refloat.control.settings import Settings
from refloat.engine.program import Event, Program
from refloat.errors import BankError, Conflict, InvalidInput, NotFound, RefloatError
from refloat.graph import Graph, Resource, ResourceKey
from refloat.operations import concurrency
from refloat.operations.discovery import Discovery
from refloat.operations.programs import Services
from refloat.operations.restoreplan import RestorePlan, chosen_part, named_in
from refloat.providers.banks import BankLocation, Banks
from refloat.providers.provider import Provider, Providers, check_parameters, plugins_for, stand_in
from refloat.records.database import Database
from refloat.records.holds import refuse_held
from refloat.records.journal import JournalItem, SqlJournal
from refloat.records.operations import COMMAND, OPEN, Operation, Operations
from refloat.records.plans import Plan, Plans
from refloat.records.tables import OPERATIONS
from refloat.resources.base import OperationKind
from refloat.resources.registry import protectables

if TYPE_CHECKING:
    from refloat.engine.snapshot import Snapshot
    from refloat.operations.copy import CopyProgram
    from refloat.operations.copyplan import CopyPlan

Parameters = Mapping[str, Mapping[str, Any]]

Kept = tuple[BankLocation, Bank, CheckpointInfo]
"""A checkpoint, and the bank it lies in."""

WORKERS = 16

_STARTING = 60.0
"""So many seconds after it was written down, an operation that has not begun is about to."""


@dataclass(frozen=True, slots=True)
class CheckpointState:
    """A checkpoint as users see it: from the bank when it exists, from the records while it is being made.

    :param status: ``available``, ``protecting``, ``parked``, ``interrupted``, ``deleting`` or ``damaged``.
    """

    id: str
    status: str
    created_at: str
    project_id: str
    provider: str
    plan: Mapping[str, Any]
    reason: str = ""
    operation_id: str = ""


@dataclass(frozen=True, slots=True)
class OperationView:
    """An operation, whoever runs it.

    :param state: that of the operation, or, of one that has not ended: ``starting``, ``running``,
        ``stopping``, ``cancelling``, ``interrupted`` (nobody runs it: it can be resumed or cancelled).
    :param snapshot: how far it is; None when it has not begun, or the engine has forgotten it.
    """

    operation: Operation
    state: str
    snapshot: Snapshot | None

    @property
    def live(self) -> bool:
        """Whether somebody runs it, or is about to."""
        return self.state in {"starting", "running", "stopping", "cancelling"}


class Refloat:
    """One user's Refloat: a cloud, a bank and a memory. Opens each when it is first used.

    :param cloud_name: an entry of ``clouds.yaml``; None: ``OS_CLOUD`` or the ``OS_*`` variables.
    :param listener: told what operations that run in this process do.
    :param notify: told, in a sentence, what the user should know (a new key was made...).
    """

    def __init__(
        self,
        settings: Settings | None = None,
        cloud_name: str | None = None,
        *,
        listener: Callable[[Event], None] | None = None,
        notify: Callable[[str], None] | None = None,
    ) -> None:
        self.settings = settings or Settings.load()
        self.cloud = Cloud(cloud_name)
        self._listener = listener
        self._notify = notify or (lambda _sentence: None)
        self._lock = threading.RLock()

    # --- what is opened on first use

    @cached_property
    def database(self) -> Database:
        """The records."""
        return Database(self.settings.database_url)

    @cached_property
    def providers(self) -> Providers:
        """The providers that are built in, and those of files. :raises InvalidInput: a file is wrong."""
        return Providers(self.settings.providers, self.settings.key_file)

    @cached_property
    def banks(self) -> Banks:
        """The open banks."""
        return Banks(self.settings.bank, self._notify, self.cloud)

    def bank_for(self, provider: str, create: bool) -> Bank:
        """The bank of a provider (name or id).

        :param create: make it, with a new key, when there is none.
        :raises NotFound: there is no such provider, or no bank.
        """
        return self.banks.at(self.bank_location(self.providers.find(provider)), create=create)

    def bank_location(self, provider: Provider) -> BankLocation:
        """Where a provider's bank is."""
        return provider.bank or self.settings.bank

    @cached_property
    def plans(self) -> Plans:
        """The project's plans."""
        return Plans(self.database, self.cloud.project_id)

    @cached_property
    def operations(self) -> Operations:
        """The project's operations."""
        return Operations(self.database, self.cloud.project_id)

    @cached_property
    def engine(self) -> Any:
        """The engine, with the kinds of operations registered."""
        from refloat.engine.engine import Engine
        from refloat.operations.kinds import PROGRAMS

        engine = Engine(
            self.database,
            OPERATIONS,
            workers=WORKERS,
            limits=concurrency.limits(),
            listener=self._listener,
            beside=Outcomes(self.database).write,
        )
        for kind, program in PROGRAMS.items():
            engine.register(kind, self._factory(program))
        return engine

    def _factory(self, program: Callable[[str, Any, Services], Program]) -> Callable[[str, Any], Program]:
        return lambda operation_id, payload: program(operation_id, payload, self.services)

    @cached_property
    def services(self) -> Services:
        """What operations work with."""
        return Services(self.cloud, self.database, self.providers, self.bank_for)

    def close(self) -> None:
        """Close what was opened. Operations that run here are parked."""
        for name in ("engine", "database", "cloud"):
            if name in self.__dict__:
                getattr(self, name).close()

    def __enter__(self) -> Refloat:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    # --- protectables

    def types(self) -> list[str]:
        """The types of resources that can be protected."""
        return list(protectables())

    def resources(self, type_name: str) -> list[Resource]:
        """The project's resources of a type. When there can be none, that is said."""
        kind = Discovery(self.cloud).of_type(type_name)
        found = kind.list()
        if not found and (why := kind.absence()):
            self._notify(why)
        return found

    def tree(self, type_name: str, name_or_id: str) -> tuple[Resource, Graph]:
        """A resource and the graph of all that it needs."""
        discovery = Discovery(self.cloud)
        root = discovery.of_type(type_name).find(name_or_id)
        return root, discovery.graph([root])

    # --- plans

    def create_plan(
        self,
        name: str,
        resources: Sequence[tuple[str, str]],
        *,
        provider: str = "default",
        parameters: Parameters | None = None,
        description: str = "",
        objective: int | None = None,
    ) -> Plan:
        """Make a plan.

        :param resources: pairs of a type and an id, a name, ``tag:NAME`` or ``metadata:KEY=VALUE``.
        :raises InvalidInput: nothing is named, a type is not protected, or a parameter is wrong.
        :raises NotFound: a resource or the provider does not exist.
        """
        check_name(name)
        chosen = self.providers.find(provider)
        entries = self._entries(chosen, resources)
        check_parameters(chosen.plugins(), "protect", parameters or {})
        given = self._by_id(parameters or {})
        return self.plans.create(name, chosen.reference, entries, given, description, objective=objective)

    def update_plan(
        self,
        name_or_id: str,
        *,
        name: str | None = None,
        description: str | None = None,
        resources: Sequence[tuple[str, str]] | None = None,
        parameters: Parameters | None = None,
        objective: int | None = None,
    ) -> Plan:
        """Change what is given, leave the rest; an objective of 0 is none."""
        if name is not None:
            check_name(name)
        plan = self.plans.find(name_or_id)
        chosen = self.providers.find(plan.provider)
        changes: dict[str, Any] = {}
        if name is not None:
            changes["name"] = name
        if description is not None:
            changes["description"] = description
        if resources is not None:
            changes["resources"] = self._entries(chosen, resources)
        if parameters is not None:
            check_parameters(chosen.plugins(), "protect", parameters)
            changes["parameters"] = self._by_id(parameters)
        if objective is not None:
            changes["objective"] = objective or None
        return self.plans.update(plan.id, **changes) if changes else plan

    def _entries(self, provider: Provider, resources: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
        if not resources:
            raise InvalidInput("a plan needs at least one resource", advice="Name it with --resource TYPE=ID")
        discovery = Discovery(self.cloud)
        for type_name, _wanted in resources:
            discovery.of_type(type_name)
            provider.plugin(type_name)
        named = [discovery.name(type_name, wanted) for type_name, wanted in resources]
        return list(
            {
                tuple(sorted(entry.items())) if "select" in entry else (entry["type"], entry["id"]): entry
                for entry in named
            }.values()
        )

    def _by_id(self, parameters: Parameters, graph: Graph | None = None) -> dict[str, dict[str, Any]]:
        """Parameters by id, where users may have named resources of a checkpoint's graph, or of the project.

        :raises NotFound: there is no such resource.
        """
        discovery = Discovery(self.cloud)
        found: dict[str, dict[str, Any]] = {}
        for where, settings in parameters.items():
            keys = [where]
            if "#" in where and graph is not None:
                keys = [str(key) for key in named_in(graph, where)]
            elif "#" in where:
                wanted = ResourceKey.parse(where)
                keys = [str(discovery.of_type(wanted.type).find(wanted.id).key)]
            for key in keys:
                found.setdefault(key, {}).update(settings)
        return found

    # --- checkpoints

    def checkpoints(self) -> list[CheckpointState]:
        """The project's checkpoints in all banks, newest first, and those that are being made.

        Of a bank that cannot be read, other than the one of most providers, the user is told.
        """
        kept, unread = self._kept()
        for error in unread:
            self._notify(f"Its checkpoints are not listed: {error}")
        found = {info.id: _state_of(info) for _place, _bank, info in reversed(kept)}
        for operation in self.operations.list():
            known = found.get(operation.checkpoint_id)
            if operation.kind == "protect" and known is None and operation.state in OPEN:
                view = self._look(operation)
                if not view.live and view.state not in {"parked", "interrupted"}:
                    continue
                found[operation.checkpoint_id] = CheckpointState(
                    operation.checkpoint_id,
                    "protecting" if view.live else view.state,
                    operation.created_at,
                    operation.project_id,
                    str(operation.payload["provider"]),
                    operation.payload["plan"],
                    operation_id=operation.id,
                )
            if operation.kind == "delete" and known is not None and operation.state in {*OPEN, "failed"}:
                found[operation.checkpoint_id] = replace(
                    known,
                    status="deleting",
                    operation_id=operation.id,
                    reason=str((operation.error or {}).get("reason", "")),
                )
        return sorted(found.values(), key=lambda state: state.created_at, reverse=True)

    def checkpoint_id(self, identity: str) -> str:
        """The whole id of a checkpoint that exists, from its beginning.

        :raises NotFound: there is none.
        :raises InvalidInput: several ids begin so.
        """
        return self._found(identity)[2].id

    def checkpoint(self, identity: str) -> Checkpoint:
        """One checkpoint, from whichever bank has it, read and verified. :raises NotFound: there is none."""
        _place, bank, info = self._found(identity)
        return bank.checkpoint(info.id)

    def _kept(self) -> tuple[list[Kept], list[BankError]]:
        """The project's checkpoints in all banks that can be read, and why the others cannot."""
        mine = self.settings.bank
        kept: list[Kept] = []
        unread: list[BankError] = []
        with contextlib.suppress(NotFound):  # looking makes no bank: its URL may be mistyped
            own = self.banks.at(mine, create=False)
            kept = [(mine, own, info) for info in own.checkpoints(self.cloud.project_id)]
        others = (self.bank_location(provider) for provider in self.providers)
        for place, bank, reason in self.banks.existing(place for place in others if place != mine):
            try:
                if bank is None:
                    raise BankError(f"the bank {place.url} cannot be read", reason=reason)
                kept += [(place, bank, info) for info in bank.checkpoints(self.cloud.project_id)]
            except BankError as exc:
                unread.append(exc)
        return kept, unread

    def _found(self, identity: str) -> Kept:
        kept, unread = self._kept()
        fits = {found[2].id: found for found in reversed(kept) if found[2].id.startswith(identity)}
        if identity in fits:
            return fits[identity]
        if not (fits and identity) and unread:  # it may be there
            raise unread[0]
        if not fits or not identity:
            empty = f"the bank {self.settings.bank.url} has none of this project" if not kept else ""
            raise NotFound(
                f"there is no checkpoint '{identity}'", reason=empty, advice="See: refloat checkpoint list"
            )
        if len(fits) > 1:
            raise InvalidInput(
                f"{len(fits)} checkpoints begin with '{identity}'", advice="Give more of the id"
            )
        return next(iter(fits.values()))

    # --- operations

    def protect(self, plan_name_or_id: str, *, begin: bool = True) -> Operation:
        """Start to protect a plan; the checkpoint's id is in the operation.

        :param begin: False only writes the operation down, for :meth:`begin` in this or another process.
        """
        plan = self.plans.find(plan_name_or_id)
        return self._start(
            "protect",
            {
                "plan": {"id": plan.id, "name": plan.name, "resources": list(plan.resources)},
                "provider": plan.provider,
                "checkpoint_id": str(uuid.uuid4()),
                "parameters": plan.parameters,
            },
            begin,
        )

    def restore(
        self,
        checkpoint: str,
        *,
        only: Iterable[str] = (),
        parameters: Parameters | None = None,
        keep_on_failure: bool = False,
        begin: bool = True,
    ) -> Operation:
        """Start to restore a checkpoint.

        :param only: ``TYPE#ID`` or ``TYPE#NAME`` of what to restore, with all that it needs; empty: all.
        :param keep_on_failure: park a failed restore, to be resumed, rather than undo it.
        :param begin: as for :meth:`protect`.
        :raises NotFound: there is no such checkpoint, or it holds no such resource.
        """
        return self._start(
            "restore", self._restore_payload(checkpoint, only, parameters, keep_on_failure), begin
        )

    def restore_plan(
        self, checkpoint: str, *, only: Iterable[str] = (), parameters: Parameters | None = None
    ) -> RestorePlan:
        """What such a restore would do now. Changes nothing."""
        from refloat.operations.restore import RestoreProgram

        payload = self._restore_payload(checkpoint, only, parameters)
        return RestoreProgram(str(uuid.uuid4()), payload, self.services).plan()

    def verify(
        self, checkpoint: str, *, parameters: Parameters | None = None, begin: bool = True
    ) -> Operation:
        """Start to verify a checkpoint."""
        return self._start("verify", self._reading_payload("verify", checkpoint, parameters), begin)

    def copy_plan(self, checkpoint: str, to: str) -> CopyPlan:
        """What copying a checkpoint to the bank of another provider would do. Changes nothing.

        :raises NotFound: there is no such checkpoint or provider.
        :raises Conflict: the provider has its checkpoints in the same bank.
        """
        return self._copying(self._copy_payload(checkpoint, to)).plan()

    def copy(
        self, checkpoint: str, to: str, *, allow_incomplete: bool = False, begin: bool = True
    ) -> Operation:
        """Start to copy a checkpoint to the bank of another provider.

        :param allow_incomplete: copy it although some of its data stays in the cloud.
        :raises NotFound: there is no such checkpoint or provider.
        :raises Conflict: it is being copied there; the copy would be incomplete; or it is the same bank.
        """
        payload = self._copy_payload(checkpoint, to)
        program = self._copying(payload)
        if not allow_incomplete:
            program.plan().refuse_incomplete()
        payload |= {"copy_id": program.copy_id, "allow_incomplete": allow_incomplete}
        for operation in self.operations.list():
            if operation.payload.get("copy_id") != program.copy_id:
                continue
            if operation.state in OPEN:
                raise Conflict(
                    f"the checkpoint is being copied there by operation {operation.id}",
                    advice=f"Follow it with: refloat operation watch {operation.id}",
                )
        return self._start("copy", payload, begin)

    def _copy_payload(self, checkpoint: str, to: str) -> dict[str, Any]:
        provider = self.providers.find(to)
        payload = self._reading_payload("copy", checkpoint, None)
        return {**payload, "to": provider.reference, "to_name": provider.name}

    def _copying(self, payload: dict[str, Any]) -> CopyProgram:
        from refloat.operations.copy import CopyProgram

        return CopyProgram(str(uuid.uuid4()), payload, self.services)

    def delete_checkpoint(self, checkpoint: str, *, begin: bool = True) -> Operation:
        """Start to delete a checkpoint. :raises Conflict: it is on hold, or in use."""
        payload = self._reading_payload("delete", checkpoint, None)
        with self.database.session() as session:
            refuse_held(session, payload["checkpoint_id"])
        for operation in self.operations.list():
            if operation.checkpoint_id != payload["checkpoint_id"]:
                continue
            if operation.state in OPEN:
                raise Conflict(
                    f"the checkpoint is in use by {operation.kind} operation {operation.id}",
                    advice=f"Wait for it, or: refloat operation cancel {operation.id}",
                )
        return self._start("delete", payload, begin)

    def _restore_payload(
        self,
        checkpoint: str,
        only: Iterable[str],
        parameters: Parameters | None,
        keep_on_failure: bool = False,
    ) -> dict[str, Any]:
        payload = self._reading_payload("restore", checkpoint, parameters)
        chosen = list(only)
        if chosen:
            chosen_part(Graph.from_json(self.checkpoint(checkpoint).graph), chosen)
        kept = {"keep_on_failure": True} if keep_on_failure else {}
        return {**payload, "only": chosen, **kept}

    def _reading_payload(
        self, kind: OperationKind, identity: str, parameters: Parameters | None
    ) -> dict[str, Any]:
        place, bank, info = self._found(identity)
        checkpoint = bank.checkpoint(info.id)
        made_by = dict(checkpoint.info.extra.get("plugins") or {})
        try:
            provider = self.providers.find(checkpoint.info.provider)
            elsewhere = self._elsewhere(place, provider)
        except NotFound:  # it was made, or copied, where other providers are defined
            if not made_by:
                raise
            provider = stand_in(checkpoint.info.provider, made_by)
            elsewhere = self._elsewhere(place)
        check_parameters(plugins_for(provider, made_by), kind, parameters or {})
        plan = {
            "id": str(checkpoint.info.plan.get("id", "")),
            "name": str(checkpoint.info.plan.get("name", "")),
        }
        return {
            "plan": plan,
            "provider": provider.reference,
            **elsewhere,
            "checkpoint_id": checkpoint.info.id,
            "plugins": made_by,
            "parameters": self._by_id(parameters, Graph.from_json(checkpoint.graph)) if parameters else {},
        }

    def _elsewhere(self, place: BankLocation, provider: Provider | None = None) -> dict[str, str]:
        """Names the bank of a checkpoint that does not lie in its provider's: ``{"bank": PROVIDER}``."""
        if provider is not None and self.bank_location(provider) == place:
            return {}
        return {
            "bank": next(other.reference for other in self.providers if self.bank_location(other) == place)
        }

    def _start(self, kind: OperationKind, payload: dict[str, Any], begin: bool) -> Operation:
        payload = {
            **payload,
            "provider_name": self.providers.name(payload["provider"]),
            "project_id": self.cloud.project_id,
            "cloud": {"name": self.cloud.name or "", "auth_url": self.cloud.auth_url},
        }
        identity, project_id = str(uuid.uuid4()), self.cloud.project_id
        with self.database.session() as session:
            operation = self.operations.add(
                session, identity, kind, project_id, payload, None, runner=COMMAND
            )
        if begin:
            self.begin(operation)
        return operation

    def begin(self, operation: Operation) -> None:
        """Begin, here, with an operation that is written down. Nothing is done when it has begun already."""
        self.engine.start(operation.id)

    def wait(self, operation_id: str, timeout: float | None = None) -> Operation:
        """Wait for an operation to end or be parked; what it came to is then in the records.

        :param timeout: seconds.
        :raises TimeoutError: it has not ended.
        :raises Conflict: it was interrupted.
        """
        self.engine.wait(operation_id, timeout, outcomes=False)
        return self.operations.get(operation_id)

    def look(self, identity: str, *, outcomes: bool = False) -> OperationView:
        """How an operation is now, whoever runs it.

        :param outcomes: also how each of its steps ended.
        :raises NotFound: there is no such operation.
        """
        return self._look(self.operations.get(identity), outcomes=outcomes)

    def look_at_all(self) -> list[OperationView]:
        """How all the project's operations are now, newest first."""
        return [
            self._look(operation)
            if operation.state in OPEN
            else OperationView(operation, operation.state, None)
            for operation in self.operations.list()
        ]

    def _look(self, operation: Operation, *, outcomes: bool = False) -> OperationView:
        snapshot: Snapshot = self.engine.state(operation.id, outcomes=outcomes)
        if snapshot.state == "queued":
            age = datetime.now(UTC) - datetime.fromisoformat(operation.created_at)
            state = "starting" if age.total_seconds() < _STARTING else "interrupted"
            return OperationView(operation, state, None)
        if snapshot.ended is not None:
            if operation.state != snapshot.state:  # it ended after it was read
                operation = self.operations.get(operation.id)
            return OperationView(operation, snapshot.state, snapshot)
        words = {"park": "stopping", "cancel": "cancelling"}
        state = "interrupted" if snapshot.interrupted else words.get(snapshot.requested, "running")
        return OperationView(operation, state, snapshot)

    def created(self, operation_id: str) -> list[JournalItem]:
        """What an operation has created in the cloud, oldest first."""
        return SqlJournal(self.database, operation_id).entries()

    def resumable(self, identity: str) -> OperationView:
        """An operation that can be resumed. :raises Conflict: it runs, or has ended."""
        view = self.look(identity)
        if view.state in {"starting", "parked", "interrupted"}:
            return view
        if view.live:
            where = view.snapshot.owner if view.snapshot else ""
            raise Conflict(
                f"operation {view.operation.id} is run by {where or 'another process'}",
                advice=f"Follow it with: refloat operation watch {view.operation.id}",
            )
        raise Conflict(f"the operation has ended ({view.state}); there is nothing to resume")

    def resume(self, identity: str) -> Operation:
        """Go on with an operation that was parked or whose process is gone.

        :raises Conflict: it runs in another process, or has ended.
        """
        view = self.resumable(identity)
        operation = view.operation
        self.engine.resume(operation.id)
        return operation

    def cancel(self, identity: str) -> Operation:
        """Stop an operation and remove what it created; one that failed to clean up tries again."""
        view = self.look(identity)
        operation = view.operation
        if view.state in {"succeeded", "cancelled"}:
            raise Conflict(f"the operation has ended ({view.state}); there is nothing to cancel")
        self.engine.cancel(operation.id)
        return operation

    def stop(self, operation_id: str) -> None:
        """Park an operation."""
        self.engine.park(operation_id)


def check_name(name: str) -> None:
    """:raises InvalidInput: a plan cannot be called so."""
    if not name.strip():
        raise InvalidInput("a plan needs a name")


def _state_of(info: CheckpointInfo) -> CheckpointState:
    return CheckpointState(
        info.id,
        "damaged" if info.damaged else "available",
        info.created_at,
        info.project_id,
        info.provider,
        info.plan,
        reason=info.reason,
        operation_id=str((info.extra or {}).get("operation_id", "")),
    )


__all__ = ["CheckpointState", "OperationView", "Refloat", "RefloatError", "check_name"]

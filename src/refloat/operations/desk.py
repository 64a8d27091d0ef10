"""Where the service's requests become operations, and what comes of them is written down.

Nothing here waits for the cloud's resources or the bank: an operation is written down, a worker takes it up.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from refloat.cloud.authority import Authority, Caller
from refloat.errors import Conflict, InvalidInput, NotFound, RefloatError
from refloat.operations.providers import Provider, Providers, check_parameters
from refloat.records.checkpoints import (
    AVAILABLE,
    DELETED,
    DELETING,
    ERROR,
    ERROR_DELETING,
    PROTECTING,
    CheckpointRecord,
    CheckpointRecords,
    now,
)
from refloat.records.database import Database
from refloat.records.holds import refuse_held
from refloat.records.operations import Operation, ServiceOperations, write_end
from refloat.records.plans import Plan
from refloat.records.quotas import Quotas
from refloat.resources.base import OperationKind
from refloat.resources.registry import protectables

_LOG = logging.getLogger(__name__)

Parameters = Mapping[str, Mapping[str, Any]]

MANUAL = {"created_by": "manual"}
RESETTABLE = (AVAILABLE, ERROR, ERROR_DELETING)
DELETABLE = (AVAILABLE, ERROR, ERROR_DELETING)


class Desk:
    """Starts operations for the callers of the service.

    :param authority: what the operations will act with.
    """

    def __init__(
        self, database: Database, providers: Providers, authority: Authority, quotas: Quotas
    ) -> None:
        self._database = database
        self._providers = providers
        self._authority = authority
        self._quotas = quotas
        self._operations = ServiceOperations(database)
        self._checkpoints = CheckpointRecords(database)

    def protect(
        self, caller: Caller, plan: Plan, provider_id: str, extra_info: Mapping[str, Any] | None
    ) -> CheckpointRecord:
        """Start to protect a plan; the checkpoint to be.

        :raises InvalidInput: the plan is not of this provider.
        :raises OverQuota: the project has as many checkpoints as it may.
        """
        _own(caller, plan.project_id)
        provider = self._providers.find(plan.provider)
        if provider.id != provider_id:
            raise InvalidInput(f"the plan {plan.id} is not of provider {provider_id}, but of {provider.id}")
        record = CheckpointRecord(
            id=str(uuid.uuid4()),
            project_id=plan.project_id,
            provider_id=provider.id,
            plan_id=plan.id,
            plan={"id": plan.id, "name": plan.name, "resources": [dict(item) for item in plan.resources]},
            status=PROTECTING,
            reason="",
            extra_info={**MANUAL, **(extra_info or {})},
            graph=None,
            created_at=now(),
        )
        payload = {
            "plan": dict(record.plan),
            "parameters": known_parameters(provider, plan.parameters),
            "extra_info": dict(record.extra_info),
        }
        with _Grant(self._authority, caller) as granted:
            with self._database.one_at_a_time(f"checkpoints {plan.project_id}") as session:
                self._quotas.check(session, "checkpoints", plan.project_id)
                self._checkpoints.add(session, record)
                self._add(session, "protect", record.id, plan.project_id, provider, payload, granted)
            granted.keep()
        return record

    def restore(self, caller: Caller, checkpoint: CheckpointRecord, parameters: Parameters) -> Operation:
        """Start to restore a checkpoint.

        :raises Conflict: the checkpoint is not available.
        :raises InvalidInput: a parameter is wrong.
        """
        return self._read("restore", caller, checkpoint, parameters, {"only": []})

    def verify(self, caller: Caller, checkpoint: CheckpointRecord, parameters: Parameters) -> Operation:
        """Start to verify a checkpoint; raises as :meth:`restore`."""
        return self._read("verify", caller, checkpoint, parameters, {})

    def _read(
        self,
        kind: OperationKind,
        caller: Caller,
        checkpoint: CheckpointRecord,
        parameters: Parameters,
        more: Mapping[str, Any],
    ) -> Operation:
        _own(caller, checkpoint.project_id)
        provider = self._providers.find(checkpoint.provider_id)
        check_parameters(provider.plugins(), kind, parameters)
        if checkpoint.status != AVAILABLE:
            raise _not_available(checkpoint)
        payload = {"plan": _short(checkpoint.plan), "parameters": parameters, **more}
        with _Grant(self._authority, caller) as granted:
            with self._database.one_at_a_time(f"checkpoint {checkpoint.id}") as session:
                if not self._checkpoints.move(session, checkpoint.id, [AVAILABLE], status=AVAILABLE):
                    raise _not_available(checkpoint)
                found = self._add(session, kind, checkpoint.id, caller.project_id, provider, payload, granted)
            granted.keep()
        return found

    def delete(self, caller: Caller, checkpoint: CheckpointRecord) -> None:
        """Start to delete a checkpoint.

        :raises Conflict: its status does not allow it, or another operation uses it.
        """
        _own(caller, checkpoint.project_id)
        if checkpoint.graph is None and checkpoint.status == ERROR:
            with self._database.session() as session:  # nothing of it was kept
                self._checkpoints.move(session, checkpoint.id, [ERROR], status=DELETED)
            return
        provider = self._providers.find(checkpoint.provider_id)
        payload = {"plan": _short(checkpoint.plan), "parameters": {}}
        if checkpoint.status not in DELETABLE:
            raise _not_deletable(checkpoint)
        with _Grant(self._authority, caller) as granted:
            with self._database.one_at_a_time(f"checkpoint {checkpoint.id}") as session:
                if not self._checkpoints.move(session, checkpoint.id, DELETABLE, status=DELETING, reason=""):
                    raise _not_deletable(checkpoint)
                refuse_held(session, checkpoint.id)
                for user in self._operations.users_of(session, checkpoint.id):
                    raise Conflict(f"the checkpoint {checkpoint.id} is in use by a {user.kind} operation")
                self._add(session, "delete", checkpoint.id, checkpoint.project_id, provider, payload, granted)
            granted.keep()

    def reset(self, checkpoint: CheckpointRecord, state: str) -> None:
        """Set the status of a checkpoint by hand.

        :raises InvalidInput: its status does not allow it, or it never was completed.
        """
        if state == AVAILABLE and checkpoint.graph is None:
            raise InvalidInput(
                f"the checkpoint {checkpoint.id} was never completed: there is nothing to restore"
            )
        with self._database.session() as session:
            if not self._checkpoints.move(session, checkpoint.id, RESETTABLE, status=state, reason=""):
                raise InvalidInput(
                    f"the status of checkpoint {checkpoint.id} can not be reset: it is {checkpoint.status}"
                )

    def _add(
        self,
        session: Any,
        kind: str,
        checkpoint_id: str,
        project_id: str,
        provider: Provider,
        payload: Mapping[str, Any],
        granted: _Grant,
    ) -> Operation:
        whole = {
            **payload,
            "provider": provider.reference,
            "provider_name": provider.name,
            "checkpoint_id": checkpoint_id,
            "project_id": project_id,
            "authority": granted.granted,
        }
        return self._operations.add(session, str(uuid.uuid4()), kind, project_id, whole, granted.granted)


class _Grant:
    """What is granted for an operation, given back when the operation was not written down."""

    def __init__(self, authority: Authority, caller: Caller) -> None:
        self._authority = authority
        self.granted = authority.grant(caller)
        self._kept = False

    def __enter__(self) -> _Grant:
        return self

    def keep(self) -> None:
        """The operation is written down."""
        self._kept = True

    def __exit__(self, *_exc: object) -> None:
        if self._kept:
            return
        try:
            self._authority.revoke(self.granted)
        except RefloatError as exc:  # the caller must hear why the operation was not written down
            _LOG.warning("what was granted for an operation that did not begin stays granted: %s", exc)


def known_parameters(provider: Provider, parameters: Parameters) -> dict[str, dict[str, Any]]:
    """Those that are for types that the provider protects."""
    chosen = provider.plugins()
    return {where: dict(given) for where, given in parameters.items() if where.partition("#")[0] in chosen}


def check_plan_parameters(provider: Provider, parameters: Parameters) -> None:
    """Check a plan's parameters; those for types that the provider does not protect are let through.

    :raises InvalidInput: a type is not known at all, or a setting is not.
    """
    for where in parameters:
        if where.partition("#")[0] not in protectables():
            raise InvalidInput(f"'{where}' in parameters is not of a type of resource that can be protected")
    check_parameters(provider.plugins(), "protect", known_parameters(provider, parameters))


def _not_available(checkpoint: CheckpointRecord) -> Conflict:
    return Conflict(f"the checkpoint {checkpoint.id} is not available")


def _not_deletable(checkpoint: CheckpointRecord) -> Conflict:
    return Conflict(f"the checkpoint {checkpoint.id} can not be deleted: it is {checkpoint.status}")


def _own(caller: Caller, project_id: str) -> None:
    """Operations act in the caller's project: done from another, they would not find what they work on."""
    if caller.project_id != project_id:
        raise InvalidInput(
            f"this belongs to project {project_id}, and can only be worked on from there",
            advice="Use a token for that project",
        )


def _short(plan: Mapping[str, Any]) -> dict[str, str]:
    return {"id": str(plan.get("id", "")), "name": str(plan.get("name", ""))}


class Ledger:
    """Writes down what has come of the service's operations."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._checkpoints = CheckpointRecords(database)

    def ended(
        self,
        operation: Operation,
        state: str,
        result: Mapping[str, Any] | None,
        error: Mapping[str, str] | None,
        graph: Mapping[str, Any] | None = None,
    ) -> None:
        """Write down how an operation ended, and what that means for its checkpoint.

        :param graph: of the checkpoint, if it is in the bank now.
        """
        changes = self._changes(operation, state, error, graph)
        with self._database.session() as session:
            if changes is not None:
                before, values = changes
                self._checkpoints.move(session, operation.checkpoint_id, before, **values)
            # At once: whoever sees the one sees the other.
            write_end(session, operation.id, state, result, error)

    def _changes(
        self,
        operation: Operation,
        state: str,
        error: Mapping[str, str] | None,
        graph: Mapping[str, Any] | None,
    ) -> tuple[Sequence[str], dict[str, Any]] | None:
        reason = _words(error)
        if operation.kind == "protect":
            if state == "succeeded":
                return [PROTECTING], {"status": AVAILABLE, "graph": graph, "reason": ""}
            return [PROTECTING], {"status": ERROR, "reason": reason or state}
        if operation.kind == "delete":
            if graph is None:
                return [DELETING], {"status": DELETED, "reason": ""}
            return [DELETING], {"status": ERROR_DELETING, "reason": reason or state}
        return None

    def found(self, provider_id: str, info: Any, graph: Mapping[str, Any]) -> None:
        """Remember a checkpoint that was found in a bank."""
        made = datetime.fromisoformat(info.created_at)
        record = CheckpointRecord(
            id=info.id,
            project_id=info.project_id,
            provider_id=provider_id,
            plan_id=str(info.plan.get("id", "")),
            plan=info.plan,
            status=AVAILABLE,
            reason="",
            extra_info=dict(info.extra.get("extra_info") or MANUAL),
            graph=graph,
            created_at=made.astimezone(UTC).replace(tzinfo=None) if made.tzinfo else made,
        )
        with self._database.one_at_a_time(f"checkpoint {info.id}") as session:
            try:
                self._checkpoints.get(info.id, None)
            except NotFound:
                self._checkpoints.add(session, record)

    def vanished(self, identity: str) -> None:
        """Write down that a checkpoint is not in any bank any more."""
        with self._database.session() as session:
            self._checkpoints.move(session, identity, [AVAILABLE], status=DELETED)


def _words(error: Mapping[str, str] | None) -> str:
    if not error:
        return ""
    return str(RefloatError.from_json(dict(error)))


__all__ = ["Desk", "Ledger", "check_plan_parameters"]

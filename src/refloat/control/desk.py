"""Where the service's requests become operations, and what comes of them is written down.

Nothing here waits for the cloud's resources or the bank: an operation is written down, a worker takes it up.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from refloat.cloud.authority import Authority, Caller
from refloat.control.orders import Orders, own, short
from refloat.control.outcomes import MANUAL
from refloat.errors import Conflict, InvalidInput
from refloat.graph import Graph
from refloat.operations.restoreplan import chosen_part
from refloat.providers.provider import Provider, Providers, check_parameters
from refloat.records.checkpoints import (
    AVAILABLE,
    COPYING,
    DELETED,
    DELETING,
    ERROR,
    ERROR_DELETING,
    PROTECTING,
    WAIT_COPYING,
    CheckpointRecord,
    CheckpointRecords,
    now,
)
from refloat.records.database import Database
from refloat.records.holds import refuse_held
from refloat.records.operations import Operation
from refloat.records.plans import Plan
from refloat.records.quotas import Quotas
from refloat.resources.base import OperationKind
from refloat.resources.registry import protectables

Parameters = Mapping[str, Mapping[str, Any]]

RESETTABLE = (AVAILABLE, ERROR, ERROR_DELETING, COPYING, WAIT_COPYING)
DELETABLE = (AVAILABLE, ERROR, ERROR_DELETING)


@dataclass(frozen=True)
class Elsewhere:
    """Where a restore goes.

    :param target: the URL of an identity service; empty: the service's own.
    :param auth: how to log in there; used once and never written down. Empty: the caller's own session.
    """

    target: str = ""
    auth: Mapping[str, Any] = field(default_factory=dict, repr=False)


HERE = Elsewhere()


class Desk:
    """Starts operations for the callers of the service.

    :param authority: what the operations will act with.
    """

    def __init__(
        self, database: Database, providers: Providers, authority: Authority, orders: Orders, quotas: Quotas
    ) -> None:
        self._database = database
        self._providers = providers
        self._authority = authority
        self._orders = orders
        self._quotas = quotas
        self._checkpoints = CheckpointRecords(database)

    def protect(
        self, caller: Caller, plan: Plan, provider_id: str, extra_info: Mapping[str, Any] | None
    ) -> CheckpointRecord:
        """Start to protect a plan; the checkpoint to be.

        :raises InvalidInput: the plan is not of this provider.
        :raises OverQuota: the project has as many checkpoints as it may.
        """
        own(caller, plan.project_id)
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
        with self._orders.grants.to(caller) as grant:
            with self._database.one_at_a_time(f"checkpoints {plan.project_id}") as session:
                self._quotas.check(session, "checkpoints", plan.project_id)
                self._checkpoints.add(session, record)
                self._orders.add(session, "protect", record.id, plan.project_id, provider, payload, grant)
            grant.keep()
        return record

    def restore(
        self,
        caller: Caller,
        checkpoint: CheckpointRecord,
        parameters: Parameters,
        elsewhere: Elsewhere = HERE,
        *,
        only: Sequence[str] = (),
        keep_on_failure: bool = False,
        dry_run: bool = False,
    ) -> Operation:
        """Start to restore a checkpoint.

        :param elsewhere: where to, if it is not the caller's project.
        :param only: ``TYPE#ID`` or ``TYPE#NAME`` of what to restore, with all that it needs; empty: all.
        :param keep_on_failure: park a failed restore, to be resumed, rather than undo it.
        :param dry_run: only find out what it would do.
        :raises Conflict: the checkpoint is not available.
        :raises InvalidInput: a parameter or the target is wrong.
        :raises NotFound: the checkpoint does not hold what is to be restored.
        """
        if checkpoint.graph is not None:
            chosen_part(Graph.from_json(checkpoint.graph), only)
        more: dict[str, Any] = {"only": list(only)}
        if elsewhere.target:
            more["restore_target"] = elsewhere.target
        if keep_on_failure:
            more["keep_on_failure"] = True
        kind = "restore_plan" if dry_run else "restore"
        return self._read(kind, "restore", caller, checkpoint, parameters, more, elsewhere)

    def verify(self, caller: Caller, checkpoint: CheckpointRecord, parameters: Parameters) -> Operation:
        """Start to verify a checkpoint; raises as :meth:`restore`."""
        return self._read("verify", "verify", caller, checkpoint, parameters, {})

    def _read(
        self,
        kind: str,
        settings: OperationKind,
        caller: Caller,
        checkpoint: CheckpointRecord,
        parameters: Parameters,
        more: Mapping[str, Any],
        elsewhere: Elsewhere = HERE,
    ) -> Operation:
        own(caller, checkpoint.project_id)
        provider = self._providers.find(checkpoint.provider_id)
        check_parameters(provider.plugins(), settings, parameters)
        if checkpoint.status != AVAILABLE:
            raise not_available(checkpoint)
        payload = {"plan": short(checkpoint.plan), "parameters": parameters, **more}
        acting = caller
        if elsewhere.auth:
            acting = self._authority.login(elsewhere.target, elsewhere.auth)
            payload["elsewhere"] = acting.project_id
        with self._orders.grants.to(acting) as grant:
            with self._database.one_at_a_time(f"checkpoint {checkpoint.id}") as session:
                if not self._checkpoints.move(session, checkpoint.id, [AVAILABLE], status=AVAILABLE):
                    raise not_available(checkpoint)
                found = self._orders.add(
                    session, kind, checkpoint.id, caller.project_id, provider, payload, grant
                )
            grant.keep()
        return found

    def plan_deletion(self, caller: Caller, checkpoint: CheckpointRecord) -> Operation:
        """Start to find out what deleting a checkpoint would remove; raises as :meth:`restore`."""
        return self._read("delete_plan", "delete", caller, checkpoint, {}, {})

    def delete(self, caller: Caller, checkpoint: CheckpointRecord) -> None:
        """Start to delete a checkpoint.

        :raises Conflict: its status does not allow it, or another operation uses it.
        """
        own(caller, checkpoint.project_id)
        if checkpoint.graph is None and checkpoint.status == ERROR:
            with self._database.session() as session:  # nothing of it was kept
                self._checkpoints.move(session, checkpoint.id, [ERROR], status=DELETED)
            return
        provider = self._providers.find(checkpoint.provider_id)
        payload = {"plan": short(checkpoint.plan), "parameters": {}}
        if checkpoint.status not in DELETABLE:
            raise _not_deletable(checkpoint)
        with self._orders.grants.to(caller) as grant:
            with self._database.one_at_a_time(f"checkpoint {checkpoint.id}") as session:
                if not self._checkpoints.move(session, checkpoint.id, DELETABLE, status=DELETING, reason=""):
                    raise _not_deletable(checkpoint)
                refuse_held(session, checkpoint.id)
                for user in self._orders.operations.users_of(session, checkpoint.id):
                    raise Conflict(f"the checkpoint {checkpoint.id} is in use by a {user.kind} operation")
                self._orders.add(
                    session, "delete", checkpoint.id, checkpoint.project_id, provider, payload, grant
                )
            grant.keep()

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


def not_available(checkpoint: CheckpointRecord) -> Conflict:
    """The refusal."""
    return Conflict(f"the checkpoint {checkpoint.id} is not available")


def _not_deletable(checkpoint: CheckpointRecord) -> Conflict:
    return Conflict(f"the checkpoint {checkpoint.id} can not be deleted: it is {checkpoint.status}")

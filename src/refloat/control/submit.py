"""The one way in: the command, the API and schedules have operations begun here, and nowhere else.

Nothing here waits for the cloud's resources or for a worker. One transaction, under the lock of the
checkpoint, writes the operation and all that goes with it: the checkpoint's status, the quota that it takes,
what it acts with. A worker takes the operation up then.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from refloat.cloud.authority import Authority, Caller
from refloat.control.doubles import made_anew, refuse_doubles
from refloat.control.elsewhere import HERE, Elsewhere
from refloat.control.grants import NOTHING, Grant, Grants
from refloat.control.payloads import in_bank, known_of, short
from refloat.control.plans import check_size, known_parameters
from refloat.control.safety import plan_of
from refloat.database import now
from refloat.errors import Conflict, InvalidInput, NotFound
from refloat.log_context import known
from refloat.operations.choices import Choices
from refloat.providers.provider import Provider, Providers, check_parameters, plugins_for, stand_in
from refloat.records import about
from refloat.records.checkpoints import (
    AVAILABLE,
    BAD,
    COPYING,
    DELETED,
    ERROR,
    ERROR_DELETING,
    MANUAL,
    MISSING,
    PROTECTING,
    SCHEDULED,
    SET_BY_HAND,
    UNVERIFIED,
    WAIT_COPYING,
    CheckpointRecord,
    CheckpointRecords,
)
from refloat.records.database import Database
from refloat.records.holds import refuse_held
from refloat.records.operations import SERVICE, Operation, Operations
from refloat.records.plans import Plan
from refloat.records.quotas import Quotas
from refloat.resources.base import OperationKind, ProtectionPlugin

Parameters = Mapping[str, Mapping[str, Any]]

Also = Callable[[Session, Operation], None]

RESETTABLE = (AVAILABLE, ERROR, ERROR_DELETING, COPYING, WAIT_COPYING)

FORGOTTEN = (MISSING, ERROR_DELETING)
"""Checkpoints of these statuses may be called deleted by hand, when their bank is gone for good."""


@dataclass(frozen=True)
class StandingAuthority:
    """A requester that has what its operations act with already, and keeps it: a scheduled operation."""

    project_id: str
    scheduled_operation_id: str
    authority: Mapping[str, Any] | None


Requester = Caller | StandingAuthority


class Submitter:
    """Writes down what is asked for.

    :param authority: as whom restores into other clouds log in.
    :param runner: who runs what is asked for: any worker of the service, or the command that asks.
    :param common: what the payload of every operation has besides.
    """

    def __init__(
        self,
        database: Database,
        providers: Providers,
        quotas: Quotas,
        grants: Grants,
        authority: Authority,
        *,
        runner: str = SERVICE,
        common: Mapping[str, Any] | None = None,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._database = database
        self._providers = providers
        self.quotas = quotas
        self._grants = grants
        self._authority = authority
        self._runner = runner
        self._common = dict(common or {})
        self.clock = clock
        self.checkpoints = CheckpointRecords(database)
        self.operations = Operations(database)

    def protect(
        self,
        by: Requester,
        plan: Plan,
        extra_info: Mapping[str, Any] | None = None,
        *,
        said: Mapping[str, Any] | None = None,
        provider_id: str = "",
        session: Session | None = None,
        granted: Grant | None = None,
        derived: Callable[[str], str] = lambda _what: str(uuid.uuid4()),
    ) -> tuple[CheckpointRecord, Operation]:
        """Protect a plan; the checkpoint to be.

        :param said: what is said of the checkpoint: as for :func:`refloat.records.about.changed`.
        :param provider_id: the one that the plan is said to be of; empty: its own.
        :param session: a transaction of the caller's to do it in; ``granted``: for that, before it.
        :param derived: makes the ids of the ``checkpoint`` and of the ``operation``.
        :raises InvalidInput, OverQuota: it cannot be: its provider, project, a parameter; or a quota.
        """
        own(by, plan.project_id)
        provider = self._providers.find(plan.provider)
        if provider_id not in ("", provider.id):
            raise InvalidInput(f"the plan {plan.id} is not of provider {provider_id}, but of {provider.id}")
        parameters = known_parameters(provider, plan.parameters)
        check_parameters(provider.plugins(), "protect", parameters)
        record = CheckpointRecord(
            id=derived("checkpoint"),
            project_id=plan.project_id,
            provider_id=provider.id,
            plan_id=plan.id,
            plan={"id": plan.id, "name": plan.name, "resources": [dict(item) for item in plan.resources]},
            status=PROTECTING,
            reason="",
            extra_info={**MANUAL, **_own_words(by, extra_info or {})},
            graph=None,
            created_at=self.clock(),
            about=about.changed({"user_id": by.user_id} if isinstance(by, Caller) else {}, said or {}, now()),
        )
        payload = {
            "about": dict(record.about),
            "plan": dict(record.plan),
            "parameters": parameters,
            "extra_info": dict(record.extra_info),
            "unfit": plan.unfit,
            "exclude": [dict(item) for item in plan.exclude],
        }
        with self.granted(by) if granted is None else nullcontext(granted) as grant:
            with self.transaction(session, f"checkpoints {plan.project_id}") as writing:
                self.quotas.check(writing, "checkpoints", plan.project_id)
                self.checkpoints.add(writing, record)
                operation = self.add(
                    writing, by, "protect", record, provider, payload, grant, derived("operation")
                )
            grant.keep()
        return record, operation

    def restore(
        self,
        by: Requester,
        checkpoint: CheckpointRecord,
        choices: Choices,
        elsewhere: Elsewhere = HERE,
        *,
        keep_on_failure: bool = False,
        dry_run: bool = False,
        more: Mapping[str, Any] | None = None,
        also: Also = lambda _session, _operation: None,
    ) -> Operation:
        """Restore a checkpoint.

        :param elsewhere: where to, if it is not the caller's project.
        :param keep_on_failure: park a failed restore, to be resumed, rather than undo it.
        :param dry_run: only find out what it would do.
        :param more: what else its payload has.
        :param also: writes what goes with the operation, in the same transaction.
        :raises Conflict: the checkpoint is not available, or some of it is being restored already.
        :raises InvalidInput, NotFound: a parameter or the target is wrong, or what is to be restored.
        """
        choices.check(checkpoint.graph)
        payload: dict[str, Any] = {**choices.to_json(), **(more or {})}
        if elsewhere.target:
            payload |= {"restore_target": elsewhere.target, "same_cloud": elsewhere.own}
        if keep_on_failure:
            payload["keep_on_failure"] = True
        if dry_run:
            payload |= {"checkpoint": known_of(checkpoint), "pace": self.operations.pace()}
        kind = "restore_plan" if dry_run else "restore"
        here = not (dry_run or elsewhere.target)
        plan = plan_of(self._database, by.project_id, checkpoint, choices, self.provider_of) if here else None
        return self.on_available(
            *(by, kind, "restore", checkpoint, choices.parameters, payload, elsewhere), safety=plan, also=also
        )

    def verify(
        self,
        by: Requester,
        checkpoint: CheckpointRecord,
        parameters: Parameters,
        *,
        more: Mapping[str, Any] | None = None,
        session: Session | None = None,
        operation_id: str = "",
    ) -> Operation:
        """Verify a checkpoint.

        :param more: what else its payload has, such as a ``depth`` that is not ``full``.
        """
        return self.on_available(
            *(by, "verify", "verify", checkpoint, parameters, more or {}),
            session=session,
            operation_id=operation_id,
        )

    def plan_deletion(self, by: Requester, checkpoint: CheckpointRecord) -> Operation:
        """Find out what deleting a checkpoint would remove; raises as :meth:`restore`."""
        acts = _has_parts_in_cloud(checkpoint, self.provider_of(checkpoint))
        return self.on_available(by, "delete_plan", "delete", checkpoint, {}, {}, acts=acts)

    def bank_job(self, by: Requester, kind: str, provider: Provider, given: Mapping[str, Any]) -> Operation:
        """Have something done with the whole bank of a provider (:mod:`refloat.operations.bank_jobs`)."""
        payload = {"parameters": {}, "plan": {}, **given}
        with self.transaction(None) as session:
            return self.add(session, by, kind, None, provider, payload, NOTHING)

    def reset(self, checkpoint: CheckpointRecord, state: str) -> None:
        """Set the status of a checkpoint by hand.

        :raises InvalidInput, Conflict: its status does not allow it; or an operation, or a hold.
        """
        if state == AVAILABLE and checkpoint.graph is None:
            raise InvalidInput(
                f"the checkpoint {checkpoint.id} was never completed: there is nothing to restore"
            )
        with self.transaction(None, f"checkpoint {checkpoint.id}") as session:
            if state == DELETED:
                refuse_held(session, checkpoint.id)
            before = FORGOTTEN if state == DELETED else RESETTABLE
            values = {"status": state, "reason": SET_BY_HAND if state == ERROR else ""}
            if (state, checkpoint.status) == (AVAILABLE, ERROR_DELETING) and checkpoint.verified != BAD:
                values |= UNVERIFIED  # it was found good before parts of it may have gone
            if not self.checkpoints.move(session, checkpoint.id, before, **values):
                raise InvalidInput(
                    f"the status of checkpoint {checkpoint.id} can not be reset: it is {checkpoint.status}"
                )
            # After its row is taken: who makes it writes that in one transaction with the operation.
            for copy in self.operations.copying_to(session, checkpoint.id):
                raise Conflict(
                    f"the status of checkpoint {checkpoint.id} can not be reset: it is being made",
                    reason=f"operation {copy.id}",
                    advice="Wait for it, or cancel it",
                )

    def provider_of(self, checkpoint: CheckpointRecord) -> Provider:
        """That of a checkpoint; if that is not known here, one of the plugins that made it, or NotFound."""
        try:
            return self._providers.find(checkpoint.provider_id)
        except NotFound:
            if not checkpoint.plugins:
                raise
            return stand_in(checkpoint.provider_id, checkpoint.plugins)

    def on_available(
        self,
        by: Requester,
        kind: str,
        settings: OperationKind,
        checkpoint: CheckpointRecord,
        parameters: Parameters,
        more: Mapping[str, Any],
        elsewhere: Elsewhere = HERE,
        *,
        acts: bool = True,
        session: Session | None = None,
        operation_id: str = "",
        safety: Plan | None = None,
        also: Also = lambda _session, _operation: None,
    ) -> Operation:
        """An operation that reads a checkpoint.

        :param safety: what is protected before it begins.
        :param settings: whose parameters these are; ``acts``: it has to do something in a cloud.
        """
        ours = _is_ours(by, checkpoint, more)
        provider = self.provider_of(checkpoint)
        # Those that will run: the plugins that made the checkpoint, whatever the provider's are by now.
        check_parameters(plugins_for(provider, checkpoint.plugins or {}), settings, parameters)
        payload = {"plan": short(checkpoint.plan), "parameters": parameters, **more}
        payload["project_id"] = by.project_id
        acting = by
        if elsewhere.auth:
            acting = elsewhere.login(self._authority)
            payload |= elsewhere.project(acting, by.project_id)
        anew = made_anew(checkpoint, payload, self.provider_of) if kind == "restore" else frozenset()
        with ExitStack() as stack:
            grant = stack.enter_context(self.granted(acting)) if acts else NOTHING
            first = stack.enter_context(self.granted(by)) if safety is not None else NOTHING
            with self.transaction(session, f"checkpoint {checkpoint.id}") as writing:
                if ours:
                    self.check_available(writing, checkpoint)
                payload |= _protected(self, by, safety, writing, first)
                if kind == "restore":
                    self._database.lock(writing, f"operations {by.project_id}")
                    given = self.operations, self.checkpoints, self.provider_of
                    refuse_doubles(writing, *given, anew, payload)
                operation = self.add(writing, by, kind, checkpoint, provider, payload, grant, operation_id)
                also(writing, operation)
            grant.keep()
        return operation

    def check_available(self, session: Session, checkpoint: CheckpointRecord) -> None:
        if not self.checkpoints.move(session, checkpoint.id, [AVAILABLE], status=AVAILABLE):
            found = self.checkpoints.statuses(session, [checkpoint.id])
            raise not_available(checkpoint.id, found.get(checkpoint.id, DELETED))

    def granted(self, by: Requester) -> Any:
        """What an operation acts with; nothing is granted to who has it already."""
        return self._grants.to(by) if isinstance(by, Caller) else nullcontext(Grant(None))

    @contextmanager
    def transaction(self, session: Session | None, *locks: str) -> Iterator[Session]:
        if session is None:
            with self._database.one_at_a_time(*locks) as own_session:
                yield own_session
        else:
            self._database.lock(session, *locks)
            yield session

    def add(
        self,
        session: Session,
        by: Requester,
        kind: str,
        checkpoint: CheckpointRecord | None,
        provider: Provider,
        payload: Mapping[str, Any],
        grant: Grant,
        operation_id: str = "",
    ) -> Operation:
        """Write an operation down; what it acts with is not part of its payload, and may change."""
        whole = {
            **payload,
            **self._common,
            "provider": provider.reference,
            "provider_name": provider.name,
            "checkpoint_id": checkpoint.id if checkpoint is not None else "",
            "project_id": by.project_id,
        }
        if checkpoint is not None:
            whole |= in_bank(checkpoint)
        if isinstance(by, StandingAuthority):
            # Its own: not given back when this operation ends.
            whole |= {"authority": by.authority, "scheduled_operation_id": by.scheduled_operation_id}
        if request_id := known().get("request_id"):
            whole["request_id"] = request_id
        plan = {name: value for name, value in whole.get("plan", {}).items() if name != "resources"}
        check_size({**whole, "plan": plan}, "what the operation is to do")
        self._database.lock(session, f"operations {by.project_id}")
        self.quotas.check(session, "operations_queued", by.project_id)
        grant.settle(session, self._grants.intents)
        return self.operations.add(
            session,
            operation_id or str(uuid.uuid4()),
            kind,
            by.project_id,
            whole,
            grant.authority,
            runner=self._runner,
        )


def _protected(
    submitter: Submitter, by: Requester, plan: Plan | None, session: Session, grant: Grant
) -> dict[str, Any]:
    """Write down that something is protected before; what a payload has of that."""
    if plan is None:
        return {}
    said = {"name": plan.name}
    made, first = submitter.protect(by, plan, said=said, session=session, granted=grant)
    return {"safety": {"checkpoint_id": made.id, "operation_id": first.id}}


def _own_words(by: Requester, extra_info: Mapping[str, Any]) -> dict[str, Any]:
    """What a requester says of a checkpoint; that a schedule made it, only schedules say."""
    by_hand = isinstance(by, Caller)
    return {name: value for name, value in extra_info.items() if not (by_hand and name == SCHEDULED)}


def own(by: Requester, project_id: str) -> None:
    """Operations act in the caller's project: done from another, they would not find what they work on.

    :raises InvalidInput: it is not the caller's.
    """
    if by.project_id != project_id:
        raise InvalidInput(
            f"this belongs to project {project_id}, and can only be worked on from there",
            advice="Use a token for that project",
        )


def _is_ours(by: Requester, checkpoint: CheckpointRecord, more: Mapping[str, Any]) -> bool:
    """Whether it is for the records to say who may use a checkpoint, and whether it is there.

    Not of one in a bank that its requester names, and has the key of.

    :raises InvalidInput: they say that it is another project's.
    :raises Conflict: they say that it is not available.
    """
    if "place" in more:
        return False
    own(by, checkpoint.project_id)
    if checkpoint.status != AVAILABLE:
        raise not_available(checkpoint.id, checkpoint.status, checkpoint.reason)
    return True


def _has_parts_in_cloud(checkpoint: CheckpointRecord, provider: Provider) -> bool:
    """Whether anything of a checkpoint may be in the cloud, for an operation to look at."""
    if checkpoint.graph is None:
        return True
    kinds = {node["type"] for node in checkpoint.graph["nodes"]}
    return any(
        type(plugin).stays_in_cloud is not ProtectionPlugin.stays_in_cloud
        for kind, plugin in plugins_for(provider, checkpoint.plugins or {}).items()
        if kind in kinds
    )


def not_available(checkpoint_id: str, status: str, reason: str = "") -> Conflict:
    return Conflict(
        f"the checkpoint {checkpoint_id} is not available: it is {status}",
        reason=reason,
        advice="It is available again when it is seen in its bank" if status == MISSING else "",
    )

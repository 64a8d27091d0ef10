"""Copies of a plan's checkpoints, as the service makes them: one operation for each."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from refloat.bank import Bank
from refloat.cloud.authority import Caller
from refloat.control.desk import not_available
from refloat.control.grants import NOTHING
from refloat.control.orders import Orders, own, short
from refloat.errors import Conflict, InvalidInput
from refloat.operations.copyplan import copy_id
from refloat.providers.banks import BankLocation, Banks
from refloat.providers.provider import Provider, Providers
from refloat.records.checkpoints import (
    AVAILABLE,
    DELETED,
    ERROR,
    WAIT_COPYING,
    CheckpointRecord,
    CheckpointRecords,
)
from refloat.records.database import Database
from refloat.records.operations import Operation
from refloat.records.quotas import Quotas

PATIENCE = 20.0
"""Seconds that a request waits for a bank to be opened, which is done once in the life of a process."""

AGAIN = (ERROR, DELETED)
"""A copy of these statuses is made again, under the id that it had."""


@dataclass(frozen=True)
class CopyOrder:
    """How to copy.

    :param to: the provider to whose bank.
    :param allow_incomplete: copy although some of the data stays in the cloud.
    """

    to: Provider
    allow_incomplete: bool = False


class Copies:
    """Starts copies for the callers of the service.

    :param shared: the bank of providers that have none of their own.
    """

    def __init__(
        self, database: Database, providers: Providers, orders: Orders, quotas: Quotas, shared: BankLocation
    ) -> None:
        self._database = database
        self._providers = providers
        self._orders = orders
        self._quotas = quotas
        self._shared = shared
        self._banks = Banks(shared)
        self._openers = ThreadPoolExecutor(4, "bank")
        self._checkpoints = CheckpointRecords(database)

    def close(self) -> None:
        """Wait for nothing."""
        self._openers.shutdown(wait=False, cancel_futures=True)

    def copy(
        self, caller: Caller, checkpoints: Sequence[CheckpointRecord], order: CopyOrder
    ) -> list[tuple[str, str]]:
        """Start to copy checkpoints of one provider; pairs of the ids of a checkpoint and its copy.

        Those whose copy is there, or being made, are left out.

        :raises InvalidInput: there is nothing to copy.
        :raises Conflict: both providers have one bank.
        :raises OverQuota: the project has as many checkpoints as it may.
        :raises TimeoutError: a bank does not answer.
        """
        made: list[tuple[str, str]] = []
        wanted = [self._copy_of(checkpoint, order.to) for checkpoint in checkpoints]
        with self._database.one_at_a_time(f"checkpoints {caller.project_id}") as session:
            known = self._checkpoints.statuses(session, [copy.id for copy in wanted])
            for checkpoint, copy in zip(checkpoints, wanted, strict=True):
                if known.get(copy.id, DELETED) not in AGAIN:
                    continue
                self._quotas.check(session, "checkpoints", caller.project_id)
                if not self._checkpoints.move(session, checkpoint.id, [AVAILABLE], status=AVAILABLE):
                    raise not_available(checkpoint)
                if not self._checkpoints.move(session, copy.id, AGAIN, status=WAIT_COPYING, reason=""):
                    self._checkpoints.add(session, copy)
                self._order(session, "copy", caller, checkpoint, copy.id, order)
                made.append((checkpoint.id, copy.id))
            if not made:
                raise InvalidInput(
                    "there is nothing to copy",
                    reason=f"every available checkpoint is there, or on its way: provider {order.to.name}"
                    if checkpoints
                    else "the plan has no available checkpoint",
                )
        return made

    def plan(self, caller: Caller, checkpoint: CheckpointRecord, order: CopyOrder) -> Operation:
        """Start to find out what a copy would do. :raises Conflict: the checkpoint is not available."""
        own(caller, checkpoint.project_id)
        if checkpoint.status != AVAILABLE:
            raise not_available(checkpoint)
        with self._database.session() as session:
            return self._order(session, "copy_plan", caller, checkpoint, "", order)

    def _order(
        self,
        session: Session,
        kind: str,
        caller: Caller,
        checkpoint: CheckpointRecord,
        copy: str,
        order: CopyOrder,
    ) -> Operation:
        payload = {
            "plan": short(checkpoint.plan),
            "parameters": {},
            "to": order.to.reference,
            "to_name": order.to.name,
            "allow_incomplete": order.allow_incomplete,
            **({"copy_id": copy} if copy else {}),
        }
        provider = self._providers.find(checkpoint.provider_id)
        return self._orders.add(session, kind, checkpoint.id, caller.project_id, provider, payload, NOTHING)

    def _copy_of(self, checkpoint: CheckpointRecord, to: Provider) -> CheckpointRecord:
        """The copy of a checkpoint, as it will be at first."""
        source, target = self._bank(self._providers.find(checkpoint.provider_id)), self._bank(to)
        if source.id == target.id:
            raise Conflict(
                f"provider {to.name} has its checkpoints in the bank that this one is in",
                advice="Name a provider with a bank of its own",
            )
        known = (checkpoint.copied_from or {}).get("origin")
        origin = known or {"bank_id": source.id, "checkpoint_id": checkpoint.id}
        identity = copy_id(origin, target)
        if origin["bank_id"] == target.id:
            identity = origin["checkpoint_id"]  # it is the original that is there
        return replace(
            checkpoint,
            id=identity,
            provider_id=to.id,
            status=WAIT_COPYING,
            reason="",
            graph=None,
            copied_from={
                "checkpoint_id": checkpoint.id,
                "provider_id": checkpoint.provider_id,
                "origin": origin,
            },
        )

    def _bank(self, provider: Provider) -> Bank:
        place = provider.bank or self._shared
        opening = self._openers.submit(self._banks.at, place)
        try:
            return opening.result(PATIENCE)
        except TimeoutError:
            opening.cancel()
            raise TimeoutError(f"the bank of provider {provider.name} does not answer") from None

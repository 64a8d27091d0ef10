"""Restore plans that are kept: made by a worker in this process, and run by it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from refloat.cli.embedded.operations import EmbeddedOperations
from refloat.control.restore_plans import KeptPlans, newest, time_of
from refloat.errors import NotFound, RefloatError
from refloat.operations.choices import Choices
from refloat.records.operations import Operation
from refloat.records.restore_plans import KeptPlan, RestorePlans


class EmbeddedRestorePlans(EmbeddedOperations):
    """The project's restore plans."""

    @cached_property
    def _restore_plans(self) -> RestorePlans:
        return RestorePlans(self.database, self.cloud.project_id)

    @cached_property
    def _kept_plans(self) -> KeptPlans:
        return KeptPlans(self.database, self.submitter())

    def restore_plans(self) -> Sequence[KeptPlan]:
        return self._restore_plans.list()

    def find_restore_plan(self, name_or_id: str) -> KeptPlan:
        return self._restore_plans.find(name_or_id)

    def create_restore_plan(
        self, of: str, *, at: str = "", name: str = "", approval: bool = False, **choices: Any
    ) -> KeptPlan:
        """Make one, and wait until it is made.

        :param of: a checkpoint, or a plan: the newest checkpoint of that.
        :param at: the newest of that time or before.
        :param choices: of :class:`refloat.operations.choices.Choices`.
        """
        found = self.found(self._checkpoint_of(of, at))
        record, more = self.record_of(found), self.elsewhere(found)
        parameters = self._by_id_in(record, choices.pop("parameters", None))
        chosen = Choices.of({**choices, "parameters": parameters})
        made, operation = self._kept_plans.create(
            self.caller, record, chosen, name=name, approval=approval, more=more
        )
        try:
            self._result_of(operation)
        except RefloatError:
            self.delete_restore_plan(made.id)
            raise
        return self.find_restore_plan(made.id)

    def _checkpoint_of(self, of: str, at: str) -> str:
        try:
            plan = self.plans.find(of)
        except NotFound:
            if at:
                raise
            return of
        fits = (state for state in self.checkpoints() if state.plan.get("id") == plan.id)
        there = {s.id: time_of(s.created_at) for s in fits if s.status == "available"}
        return newest(there, time_of(at) if at else None)

    def change_restore_plan(self, name_or_id: str, **changes: Any) -> KeptPlan:
        """Choose otherwise, or have it made again as the cloud is now; and wait for it."""
        plan = self.find_restore_plan(name_or_id)
        found = self.found(plan.checkpoint_id)
        record, more = self.record_of(found), self.elsewhere(found)
        named: dict[str, Any] = {key: changes.pop(key) for key in ("name", "approval") if key in changes}
        if "parameters" in changes:
            changes["parameters"] = self._by_id_in(record, changes["parameters"])
        chosen = Choices.of({**plan.choices, **changes})
        _plan, operation = self._kept_plans.change(self.caller, plan, record, chosen, more=more, **named)
        self._result_of(operation)
        return self.find_restore_plan(plan.id)

    def approve_restore_plan(self, name_or_id: str) -> KeptPlan:
        return self._kept_plans.approve(self.caller, self.find_restore_plan(name_or_id))

    def run_restore_plan(self, name_or_id: str, *, keep_on_failure: bool = False) -> Operation:
        """Write down the restore that it says, for :meth:`begin`."""
        plan = self.find_restore_plan(name_or_id)
        found = self.found(plan.checkpoint_id)
        record, more = self.record_of(found), self.elsewhere(found)
        keep = keep_on_failure
        return self._kept_plans.run(self.caller, plan, record, keep_on_failure=keep, more=more)

    def delete_restore_plan(self, name_or_id: str) -> None:
        self._kept_plans.delete(self.caller, self.find_restore_plan(name_or_id))

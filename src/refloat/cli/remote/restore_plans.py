"""Restore plans that the service keeps."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from refloat.cli.remote.operations import RETRIES, RemoteOperations
from refloat.cli.remote.session import find
from refloat.cli.remote.views import restore_plan_of
from refloat.client.errors import told
from refloat.errors import Conflict, NotFound, RefloatError
from refloat.records.operations import Operation
from refloat.records.restore_plans import FAILED, PLANNING, KeptPlan

_PATIENCE = 600.0
_TICK = 0.5


class RemoteRestorePlans(RemoteOperations):
    """The project's restore plans."""

    def restore_plans(self) -> Sequence[KeptPlan]:
        with told("list the restore plans"):
            return [restore_plan_of(item) for item in self.api.restore_plans(sort="created_at:asc,id:asc")]

    def find_restore_plan(self, name_or_id: str) -> KeptPlan:
        get, listed = self.api.get_restore_plan, lambda **_named: self.api.restore_plans()
        found = find("restore plan", name_or_id, get, listed, "restore plan list")
        with told("show the restore plan", name_or_id):
            return restore_plan_of(self.api.get_restore_plan(found.id))

    def create_restore_plan(
        self, of: str, *, at: str = "", name: str = "", approval: bool = False, **choices: Any
    ) -> KeptPlan:
        try:
            plan = self.find_plan(of)
            which = {"provider_id": plan.provider, "plan_id": plan.id, **({"at": at} if at else {})}
            which["parameters"] = choices.pop("parameters", {})
        except NotFound:
            if at:
                raise
            which = self._run_of(of, choices.pop("parameters", None))
        given = {**which, **choices, **({"name": name} if name else {})}
        with told("make a restore plan", of):
            made = self.api.create_restore_plan(approval=approval, **given)
            try:
                return self._made(made.id)
            except RefloatError:
                if self.find_restore_plan(made.id).status == FAILED:
                    self.delete_restore_plan(made.id)
                raise

    def _made(self, identity: str) -> KeptPlan:
        """One when it is made. :raises RefloatError: it could not be."""
        deadline = time.monotonic() + _PATIENCE
        while (found := restore_plan_of(self.api.get_restore_plan(identity))).status == PLANNING:
            if time.monotonic() > deadline:
                raise Conflict(
                    "no worker of the service has looked yet",
                    advice=f"See: refloat restore plan show {identity}",
                )
            time.sleep(_TICK)
        if found.status == FAILED or found.reason:
            error = self.api.get_operation(found.operation_id, retries=RETRIES).error
            raise RefloatError.from_json(dict(error or {"error": "RefloatError", "message": found.reason}))
        return found

    def change_restore_plan(self, name_or_id: str, **changes: Any) -> KeptPlan:
        plan = self.find_restore_plan(name_or_id)
        with told("change the restore plan", name_or_id):
            return self._made(self.api.change_restore_plan(plan.id, **changes).id)

    def approve_restore_plan(self, name_or_id: str) -> KeptPlan:
        plan = self.find_restore_plan(name_or_id)
        with told("approve the restore plan", name_or_id):
            return restore_plan_of(self.api.approve_restore_plan(plan.id))

    def run_restore_plan(self, name_or_id: str, *, keep_on_failure: bool = False) -> Operation:
        plan = self.find_restore_plan(name_or_id)
        keep = {"keep_on_failure": True} if keep_on_failure else {}
        with told("run the restore plan", name_or_id):
            return self.look(self.api.create_restore(restore_plan_id=plan.id, **keep).id).operation

    def delete_restore_plan(self, name_or_id: str) -> None:
        plan = self.find_restore_plan(name_or_id)
        with told("delete the restore plan", name_or_id):
            self.api.delete_restore_plan(plan.id, ignore_missing=False)

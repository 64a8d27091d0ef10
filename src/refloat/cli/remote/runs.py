"""Asks the service to protect, restore, verify, copy and delete, and what these would do."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from refloat.cli.remote.checkpoints import RemoteCheckpoints
from refloat.cli.remote.operations import RETRIES, RemoteOperations
from refloat.cli.remote.plans import RemotePlans
from refloat.cli.views import Json, Parameters
from refloat.client.errors import told
from refloat.errors import Conflict, NotFound, RefloatError
from refloat.graph import Resource
from refloat.records.operations import Operation

_ENDED = frozenset({"succeeded", "failed", "cancelled", "parked"})
_PATIENCE = 600.0
"""Seconds that a worker has for a look."""
_TICK = 0.5


class RemoteRuns(RemotePlans, RemoteCheckpoints, RemoteOperations):
    """What becomes an operation."""

    def protect(self, plan_name_or_id: str, *, begin: bool = True) -> Operation:
        plan = self.find_plan(plan_name_or_id)
        with told("protect the plan", plan_name_or_id):
            made = self.api.create_checkpoint(plan.provider, plan_id=plan.id)
        return self.look(made.operation_id).operation

    def restore(
        self,
        checkpoint: str,
        *,
        only: Iterable[str] = (),
        parameters: Parameters | None = None,
        keep_on_failure: bool = False,
        begin: bool = True,
    ) -> Operation:
        wanted = self._run_of(checkpoint, parameters, only)
        if keep_on_failure:
            wanted["keep_on_failure"] = True
        with told("restore the checkpoint", checkpoint):
            return self.look(self.api.create_restore(**wanted).id).operation

    def dry_run(
        self, checkpoint: str, *, only: Iterable[str] = (), parameters: Parameters | None = None
    ) -> Json:
        wanted = self._run_of(checkpoint, parameters, only)
        return self._looked("restore", **wanted)

    def verify(
        self, checkpoint: str, *, parameters: Parameters | None = None, begin: bool = True
    ) -> Operation:
        wanted = self._run_of(checkpoint, parameters)
        with told("verify the checkpoint", checkpoint):
            return self.look(self.api.create_verification(**wanted).id).operation

    def _run_of(self, checkpoint: str, parameters: Parameters | None, only: Iterable[str] = ()) -> Json:
        state = self.find_checkpoint(checkpoint)
        wanted: Json = {
            "provider_id": state.provider,
            "checkpoint_id": state.id,
            "parameters": dict(parameters or {}),
        }
        if any("#" in where for where in parameters or {}):
            wanted["parameters"] = _by_node(parameters or {}, self._nodes(state.id))
        if chosen := list(only):
            wanted["only"] = chosen
        return wanted

    def copy(
        self, checkpoint: str, to: str, *, allow_incomplete: bool = False, begin: bool = True
    ) -> Operation:
        state, target = self.find_checkpoint(checkpoint), self._provider(to)
        settings = {"to": target.id, "allow_incomplete": allow_incomplete}
        with told("copy the checkpoint", checkpoint):
            self.api.create_copy(state.provider, checkpoint_id=state.id, parameters=settings)
            return self._newest("copy", state.id)

    def copy_dry_run(self, checkpoint: str, to: str) -> Json:
        state, target = self.find_checkpoint(checkpoint), self._provider(to)
        return self._looked(
            "copy", provider_id=state.provider, checkpoint_id=state.id, parameters={"to": target.id}
        )

    def _looked(self, kind: str, provider_id: str, checkpoint_id: str, **settings: Any) -> Json:
        with told(f"find out what a {kind} would do"):
            identity = self.api.dry_run(kind, provider_id, checkpoint_id, **settings).id
            deadline = time.monotonic() + _PATIENCE
            while (found := self.api.get_operation(identity, retries=RETRIES)).status not in _ENDED:
                if time.monotonic() > deadline:
                    raise Conflict(
                        "no worker of the service has looked yet",
                        advice=f"See: refloat operation watch {identity}",
                    )
                time.sleep(_TICK)
        if found.error:
            raise RefloatError.from_json(dict(found.error))
        return dict(found.result or {})

    def delete_checkpoint(self, checkpoint: str, *, begin: bool = True) -> Operation:
        state = self.find_checkpoint(checkpoint)
        with told("delete the checkpoint", checkpoint):
            self.api.delete_checkpoint(state.provider, state.id, ignore_missing=False)
            return self._newest("delete", state.id)

    def _newest(self, kind: str, checkpoint_id: str) -> Operation:
        for view in self._operations(type=kind, checkpoint_id=checkpoint_id):
            return view.operation
        raise NotFound(f"the service shows no operation for checkpoint {checkpoint_id}")


def _by_node(parameters: Parameters, nodes: list[Resource]) -> Json:
    from refloat.operations.restoreplan import named_in

    found: dict[str, Any] = {}
    for where, settings in parameters.items():
        for key in named_in(nodes, where) if "#" in where else [where]:
            found.setdefault(str(key), {}).update(settings)
    return found

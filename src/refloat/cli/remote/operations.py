"""Operations that the service's workers run: asked for, looked at, and what they would do."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from refloat.cli.remote.checkpoints import RemoteCheckpoints
from refloat.cli.remote.session import beginning_so, is_id
from refloat.cli.remote.views import operation_view
from refloat.cli.views import Json, OperationView, Parameters, by_id
from refloat.client.errors import Missing, told
from refloat.errors import Conflict, NotFound, RefloatError
from refloat.records.operations import Operation

RETRIES = 8
"""Who follows an operation does not mind when the service is started anew meanwhile: about two minutes."""
_ENDED = frozenset({"succeeded", "failed", "cancelled", "parked"})
_PATIENCE = 600.0
"""Seconds that a worker has for a look."""
_TICK = 0.5


class RemoteOperations(RemoteCheckpoints):
    """The project's operations."""

    # --- begun

    def protect(self, plan_name_or_id: str, said: Mapping[str, Any] | None = None) -> Operation:
        plan = self.find_plan(plan_name_or_id)
        with told("protect the plan", plan_name_or_id):
            made = self.api.create_checkpoint(plan.provider, plan_id=plan.id, **(said or {}))
        return self.look(made.operation_id).operation

    def restore(
        self,
        checkpoint: str,
        *,
        keep_on_failure: bool = False,
        **choices: Any,
    ) -> Operation:
        wanted = self._run_of(checkpoint, **choices)
        if keep_on_failure:
            wanted["keep_on_failure"] = True
        with told("restore the checkpoint", checkpoint):
            return self.look(self.api.create_restore(**wanted).id).operation

    def dry_run(self, checkpoint: str, **choices: Any) -> Json:
        return self._looked("restore", **self._run_of(checkpoint, **choices))

    def verify(self, checkpoint: str, *, parameters: Parameters | None = None) -> Operation:
        wanted = self._run_of(checkpoint, parameters)
        with told("verify the checkpoint", checkpoint):
            return self.look(self.api.create_verification(**wanted).id).operation

    def _run_of(
        self,
        checkpoint: str,
        parameters: Parameters | None = None,
        only: Iterable[str] = (),
        **choices: Any,
    ) -> Json:
        state = self.find_checkpoint(checkpoint)
        nodes = cache(lambda: self._nodes(state.id))

        def named(where: str) -> Iterable[object]:
            from refloat.operations.restoreplan import named_in

            return named_in(nodes(), where)

        wanted: Json = {
            "provider_id": state.provider,
            "checkpoint_id": state.id,
            "parameters": by_id(parameters or {}, named),
            **{name: value for name, value in choices.items() if value},
        }
        if chosen := list(only):
            wanted["only"] = chosen
        return wanted

    def copy(self, checkpoint: str, to: str, *, allow_incomplete: bool = False) -> Operation:
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

    def delete_checkpoint(self, checkpoint: str) -> Operation:
        state = self.find_checkpoint(checkpoint, exactly=True)
        with told("delete the checkpoint", checkpoint):
            self.api.delete_checkpoint(state.provider, state.id, ignore_missing=False)
            return self._newest("delete", state.id)

    def _newest(self, kind: str, checkpoint_id: str) -> Operation:
        for view in self._operations(type=kind, checkpoint_id=checkpoint_id):
            return view.operation
        raise NotFound(f"the service shows no operation for checkpoint {checkpoint_id}")

    # --- looked at, and asked for things

    def runs_elsewhere(self, operation: Operation | None = None) -> bool:
        return True

    def begin(self, operation: Operation) -> Operation:
        """It has begun, or will by itself."""
        return operation

    def wait(self, operation_id: str, timeout: float | None = None) -> Operation:
        raise NotImplementedError

    def stop(self, operation_id: str) -> None:
        raise NotImplementedError

    def _operations(self, **filters: Any) -> Iterator[OperationView]:
        with told("list the operations"):
            for item in self.api.operations(sort="created_at:desc,id:asc", dry_run=False, **filters):
                yield operation_view(item.to_dict(), self.provider_name)

    def look_at_all(self) -> list[OperationView]:
        return list(self._operations())

    def look(self, identity: str, *, outcomes: bool = False) -> OperationView:
        with told("show the operation", identity), contextlib.suppress(Missing):
            found = self.api.get_operation(self._operation_id(identity), retries=RETRIES).to_dict()
            return operation_view(found, self.provider_name)
        raise NotFound(f"there is no operation '{identity}'", advice="See: refloat operation list")

    def _operation_id(self, identity: str) -> str:
        if is_id(identity):
            return identity
        ids = [view.operation.id for view in self._operations()]
        return beginning_so("operation", identity, [one for one in ids if one.startswith(identity)])

    def created(self, operation_id: str) -> list[Json]:
        with told("show the operation", operation_id):
            return list(self.api.get_operation(operation_id).created or ())

    def resumable(self, identity: str) -> OperationView:
        view = self.look(identity)
        if view.state in {"succeeded", "failed", "cancelled"}:
            raise Conflict(f"the operation has ended ({view.state}); there is nothing to resume")
        return view

    def resume(self, identity: str) -> Operation:
        return self._act(identity, "resume")

    def cancel(self, identity: str) -> Operation:
        view = self.look(identity)
        if view.state in {"succeeded", "cancelled"}:
            raise Conflict(f"the operation has ended ({view.state}); there is nothing to cancel")
        return self._act(identity, "cancel")

    def _act(self, identity: str, action: str) -> Operation:
        whole = self._operation_id(identity)
        with told(f"{action} the operation", whole):
            getattr(self.api, f"{action}_operation")(whole)
        return self.look(whole).operation

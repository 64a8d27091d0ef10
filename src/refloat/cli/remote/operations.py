"""Operations that the service's workers run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from refloat.cli.remote.providers import RemoteProviders
from refloat.cli.remote.session import is_id
from refloat.cli.remote.views import journal_item, operation_view
from refloat.cli.views import OperationView
from refloat.client.errors import Missing, told
from refloat.errors import Conflict, InvalidInput, NotFound
from refloat.records.journal import JournalItem
from refloat.records.operations import Operation

RETRIES = 8
"""Who follows an operation does not mind when the service is started anew meanwhile: about two minutes."""


class RemoteOperations(RemoteProviders):
    """The project's operations."""

    def runs_elsewhere(self, operation: Operation | None = None) -> bool:
        return True

    def begin(self, operation: Operation) -> None:
        """It has begun, or will by itself."""

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
        fits = [one for one in ids if identity and one.startswith(identity)]
        if len(fits) > 1:
            raise InvalidInput(
                f"{len(fits)} operations begin with '{identity}'", advice="Give more of the id"
            )
        if not fits:
            raise NotFound(f"there is no operation '{identity}'", advice="See: refloat operation list")
        return fits[0]

    def created(self, operation_id: str) -> list[JournalItem]:
        with told("show the operation", operation_id):
            found = self.api.get_operation(operation_id).to_dict()
        return [journal_item(item) for item in found.get("created") or ()]

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

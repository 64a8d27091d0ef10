"""Writes operations down for the workers, in the caller's transaction."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from refloat.cloud.authority import Caller
from refloat.control.grants import Grant, Grants
from refloat.errors import InvalidInput
from refloat.log_context import known
from refloat.providers.provider import Provider
from refloat.records.operations import Operation, ServiceOperations


class Orders:
    """What the service's operations have in common."""

    def __init__(self, operations: ServiceOperations, grants: Grants) -> None:
        self.operations = operations
        self.grants = grants

    def add(
        self,
        session: Session,
        kind: str,
        checkpoint_id: str,
        project_id: str,
        provider: Provider,
        payload: Mapping[str, Any],
        grant: Grant,
    ) -> Operation:
        """Write an operation down; what it acts with is not part of its payload, and may change."""
        whole = {
            **payload,
            "provider": provider.reference,
            "provider_name": provider.name,
            "checkpoint_id": checkpoint_id,
            "project_id": project_id,
        }
        if request_id := known().get("request_id"):
            whole["request_id"] = request_id
        grant.settle(session, self.grants.intents)
        return self.operations.add(session, str(uuid.uuid4()), kind, project_id, whole, grant.authority)


def own(caller: Caller, project_id: str) -> None:
    """Operations act in the caller's project: done from another, they would not find what they work on.

    :raises InvalidInput: it is not the caller's.
    """
    if caller.project_id != project_id:
        raise InvalidInput(
            f"this belongs to project {project_id}, and can only be worked on from there",
            advice="Use a token for that project",
        )


def short(plan: Mapping[str, Any]) -> dict[str, str]:
    """A plan, as operations remember it."""
    return {"id": str(plan.get("id", "")), "name": str(plan.get("name", ""))}

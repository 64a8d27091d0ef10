"""What the service tells, as what the commands work with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refloat.engine.program import Event
from refloat.engine.snapshot import Snapshot
from refloat.graph import Resource
from refloat.operations.app import CheckpointState, OperationView
from refloat.records.operations import JournalItem, Operation
from refloat.records.plans import Plan


def resource_of(item: Mapping[str, Any]) -> Resource:
    """A resource of the project."""
    return Resource(str(item["type"]), str(item["id"]), str(item["name"] or ""))


def plan_of(item: Any) -> Plan:
    """A plan; the provider is its id."""
    return Plan(
        id=item.id,
        project_id=item.project_id or "",
        name=item.name,
        description=item.description or "",
        provider=item.provider_id,
        resources=list(item.resources or ()),
        parameters=dict(item.parameters or {}),
        created_at=item.created_at or "",
        updated_at=item.updated_at or "",
        status=item.status,
    )


def checkpoint_state(item: Any, made_by: Mapping[str, str]) -> CheckpointState:
    """A checkpoint.

    :param made_by: the operation that made each.
    """
    return CheckpointState(
        id=item.id,
        status=item.status,
        created_at=item.protected_at or item.created_at,
        project_id=item.project_id,
        provider=item.protection_plan["provider_id"],
        plan=item.protection_plan,
        reason=item.error_info or "",
        operation_id=made_by.get(item.id, ""),
    )


def operation_view(data: Mapping[str, Any]) -> OperationView:
    """An operation, and how far it is."""
    state = str(data["state"])
    operation = Operation(
        id=data["id"],
        kind=data["kind"],
        project_id=data["project_id"],
        plan_id=data.get("plan_id") or "",
        checkpoint_id=data.get("checkpoint_id") or "",
        state=state,
        payload={
            "plan": {"id": data.get("plan_id") or "", "name": data.get("plan_name") or ""},
            "provider": data.get("provider_id") or "",
            "provider_name": data.get("provider_name") or "",
        },
        result=data.get("result"),
        error=data.get("error"),
        created_at=data.get("created_at") or "",
        ended_at=data.get("ended_at") or "",
        runner="service",
    )
    progress = data.get("progress")
    return OperationView(operation, state, _snapshot(operation, progress) if progress else None)


def _snapshot(operation: Operation, progress: Mapping[str, Any]) -> Snapshot:
    active = tuple(
        Event(
            operation.id,
            event["step"],
            event["state"],
            event.get("text") or "",
            event.get("done") or 0,
            event.get("total") or 0,
        )
        for event in progress.get("active") or ()
    )
    return Snapshot(
        operation_id=operation.id,
        kind=operation.kind,
        payload={},
        on_failure="undo",
        state="running",
        interrupted=operation.state == "interrupted",
        wish="",
        owner=progress.get("owner") or "",
        attempt=progress.get("attempt") or 1,
        steps=progress.get("steps") or 0,
        done=progress.get("done") or 0,
        failed=progress.get("failed") or 0,
        skipped=progress.get("skipped") or 0,
        running=len(active),
        active=active,
        bytes_done=progress.get("bytes_done") or 0,
        bytes_total=progress.get("bytes_total") or 0,
        created_at=0.0,
        updated_at=0.0,
        ended=None,
        outcomes={},
    )


def journal_item(item: Mapping[str, Any]) -> JournalItem:
    """Something that was created in the cloud."""
    return JournalItem(item["source"], item["role"], item["kind"], item["id"], {})

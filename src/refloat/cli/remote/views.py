"""What the service tells, as what the commands work with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, TypeVar, cast

from refloat.cli.views import CheckpointState, OperationView
from refloat.engine.program import Event
from refloat.engine.snapshot import Snapshot
from refloat.graph import Resource
from refloat.records.holds import Hold
from refloat.records.operations import Operation
from refloat.records.plans import SKIP, Plan
from refloat.records.restore_plans import KeptPlan
from refloat.records.schedules import Firing, Schedule
from refloat.records.triggers import Trigger

T = TypeVar("T")


def _row(kind: type[T], item: Any, **values: Any) -> T:
    names = (field.name for field in fields(cast("Any", kind)))
    return kind(**{name: values[name] if name in values else item[name] for name in names})


def resource_of(item: Mapping[str, Any]) -> Resource:
    return Resource(str(item["type"]), str(item["id"]), str(item["name"] or ""))


def plan_of(item: Any) -> Plan:
    empty = {name: item[name] or "" for name in ("project_id", "description", "created_at", "updated_at")}
    return _row(
        Plan,
        item,
        provider=item.provider_id,
        resources=list(item.resources or ()),
        unfit=item.unfit or SKIP,
        exclude=list(item.exclude or ()),
        parameters=dict(item.parameters or {}),
        **empty,
    )


ABOUT = ("name", "note", "labels", "expires_at", "keep", "user_id")


def checkpoint_state(item: Any) -> CheckpointState:
    return CheckpointState(
        id=item.id,
        status=item.status,
        created_at=item.protected_at or item.created_at,
        project_id=item.project_id,
        provider=item.protection_plan["provider_id"],
        plan=item.protection_plan,
        reason=item.error_info or "",
        operation_id=item.operation_id or "",
        verified=item.verified or "never",
        verified_at=item.verified_at or "",
        verified_depth=item.verified_depth or "",
        lacks=item.lacks or (),
        about={name: item[name] for name in ABOUT if item[name]},
        scheduled_operation_id=item.scheduled_operation_id or "",
        size=item.size,
        seconds=item.seconds,
    )


def hold_of(item: Any, checkpoint: CheckpointState) -> Hold:
    made = datetime.fromisoformat(item.created_at)
    return Hold(checkpoint.id, checkpoint.project_id, item.user_id, item.reason, made)


_RESTORED = frozenset({"created", "reused", "repaired", "replaced", "kept", "removed", "failed"})


def operation_view(data: Mapping[str, Any], provider_name: Callable[[str], str]) -> OperationView:
    state = str(data["status"])
    payload = {
        "plan": {"id": data.get("plan_id") or "", "name": data.get("plan_name") or ""},
        "provider": data["provider_id"],
        "provider_name": provider_name(data["provider_id"]),
        "copy_id": data.get("copy_id") or "",
        "to_name": provider_name(data.get("copy_provider_id") or ""),
    }
    result = data.get("result") or None
    if data["type"] == "restore" and "resources" not in (result or {}) and data.get("resources"):
        lines = [_restored(item) for item in data["resources"] if item["status"] in _RESTORED]
        result = {**(result or {}), "resources": lines}
    operation = Operation(
        id=data["id"],
        kind=data["type"],
        project_id=data["project_id"],
        plan_id=data.get("plan_id") or "",
        checkpoint_id=data.get("checkpoint_id") or "",
        state=state,
        payload=payload,
        result=result,
        error=data.get("error") or None,
        created_at=data.get("created_at") or "",
        ended_at=data.get("ended_at") or "",
        runner="service",
    )
    return OperationView(operation, state, _snapshot(data))


def _restored(item: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": item["type"],
        "source_id": item["id"],
        "new_id": item["new_id"] or "",
        "name": item["name"] or "",
        "status": item["status"],
        "reason": item["reason"] or "",
    }


def _snapshot(data: Mapping[str, Any]) -> Snapshot:
    progress = data["progress"]
    active = tuple(
        Event(
            data["id"],
            item["step"],
            "waiting" if item["state"] == "waiting" else "started",
            item["text"],
            item["bytes_done"],
            item["bytes_total"],
        )
        for item in data.get("active") or ()
    )
    return Snapshot(
        operation_id=data["id"],
        kind=data["type"],
        on_failure="undo",
        state="running",
        interrupted=data["status"] == "interrupted",
        requested="",
        owner="",
        attempt=data["attempt"],
        **{name: progress[name] for name in ("steps", "done", "failed", "skipped", "running")},
        active=active,
        bytes_done=progress["bytes_done"],
        bytes_total=progress["bytes_total"],
        since=0.0,
        updated_at=0.0,
        ended=None,
    )


def restore_plan_of(item: Any) -> KeptPlan:
    empty = {name: item[name] or "" for name in ("reason", "approved_by", "approved_at", "updated_at")}
    return _row(KeptPlan, item, content=item.content, **empty)


def moment_of(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def trigger_of(item: Any) -> Trigger:
    created_at = moment_of(item.created_at) or datetime.min
    return _row(
        Trigger,
        item,
        project_id="",
        properties=dict(item.properties),
        next_run_at=moment_of(item.next_run_at),
        created_at=created_at,
    )


def schedule_of(item: Any) -> Schedule:
    definition = dict(item.operation_definition)
    return _row(
        Schedule,
        item,
        project_id="",
        user_id="",
        authority=None,
        retired=(),
        plan_id=definition["plan_id"],
        definition=definition,
        next_due=moment_of(item.next_run_at),
        reason=item.status_reason or "",
        checked_at=datetime.min,
        created_at=datetime.min,
    )


def firing_of(schedule_id: str, run: Mapping[str, Any]) -> Firing:
    return _row(
        Firing,
        run,
        schedule_id=schedule_id,
        due_at=datetime.fromisoformat(run["due_at"]),
        claimed_at=datetime.fromisoformat(run["started_at"]),
        ended_at=moment_of(run["ended_at"]),
        kept=run.get("kept") or (),
        **{name: run[name] or "" for name in ("reason", "operation_id", "checkpoint_id")},
    )

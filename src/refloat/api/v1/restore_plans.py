"""Restore plans: what a restore would do, kept to be looked at, changed, approved and run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refloat.api import schemas as s
from refloat.api.request import Request
from refloat.api.route import PROJECT, Route, member, reader
from refloat.api.v1 import checkpoints, plans, restores, runs
from refloat.api.validation import same_form
from refloat.control.restore_plans import newest, time_of
from refloat.errors import InvalidInput
from refloat.operations.choices import Choices
from refloat.records.checkpoints import CheckpointRecord
from refloat.records.restore_plans import STATUSES, KeptPlan

_APPROVAL = {"type": "boolean", "description": "it is run only when somebody else has approved it"}
_OF_RESTORES = ("only", "leave_out", "existing", "beside_name", "mappings", "no_safety")
_CHOICES: Mapping[str, s.Schema] = {
    "parameters": s.PARAMETERS,
    **{name: restores.CHOICES[name] for name in _OF_RESTORES},
}
NEW = s.obj(
    ("provider_id",),
    name=s.NAME,
    provider_id=s.UUID,
    checkpoint_id=s.UUID,
    plan_id={**s.UUID, "description": "in the place of checkpoint_id: the newest checkpoint of this plan"},
    at={
        "type": "string",
        "maxLength": 40,
        "description": "with plan_id: the newest of that time (ISO 8601, UTC when it does not say) or before",
    },
    approval=_APPROVAL,
    **_CHOICES,
) | {"oneOf": [{"required": ["checkpoint_id"]}, {"required": ["plan_id"]}]}
CHANGE = s.obj(name=s.NAME, approval=_APPROVAL, **_CHOICES)
HEAD: Mapping[str, s.Schema] = {
    "id": s.UUID,
    "project_id": s.STRING,
    "user_id": {**s.STRING, "description": "who made it, or changed it last"},
    "name": s.STRING,
    "provider_id": s.STRING,
    "checkpoint_id": s.STRING,
    "choices": {**s.ANY_OBJECT, "description": ", ".join(_CHOICES)},
    "status": {
        "enum": list(STATUSES),
        "description": "; ".join(f"{word}: {text}" for word, text in STATUSES.items() if text),
    },
    "reason": {**s.TEXT, "description": "why it failed, or what has changed"},
    "operation_id": {**s.STRING, "description": "of the operation that makes it, or of its last run"},
    "approval": _APPROVAL,
    "approved_by": s.TEXT,
    "approved_at": s.TIME,
    "created_at": s.TIME,
    "updated_at": s.TIME,
}
SCHEMA = s.reply(**HEAD)
DETAIL = s.reply(
    **HEAD, content={"type": ["object", "null"], "description": "the restore plan, as a dry run tells it"}
)
_QUERY = s.list_query("checkpoint_id", status={"type": "string", "enum": list(STATUSES)})


def listing(request: Request) -> dict[str, Any]:
    """A page of the restore plans, without what they say."""
    found = request.deployment.restore_plans.of(request.listed).page(
        request.page(), **request.filters("status", "checkpoint_id")
    )
    return request.listing("restore_plans", found, lambda plan: _view(request, plan, SCHEMA))


def create(request: Request) -> dict[str, Any]:
    """Begin to make a restore plan."""
    wanted = request.body["restore_plan"]
    made, _operation = request.deployment.restore_plans.create(
        request.caller,
        _checkpoint(request, wanted),
        restores.choices(wanted),
        name=wanted.get("name", ""),
        approval=wanted.get("approval", False),
    )
    return {"restore_plan": _view(request, made)}


def show(request: Request) -> dict[str, Any]:
    """One restore plan."""
    return {"restore_plan": _view(request, find(request, request.path["restore_plan_id"]))}


def change(request: Request) -> dict[str, Any]:
    """Choose otherwise, or have it made again as the cloud is now."""
    plan, wanted = find(request, request.path["restore_plan_id"]), request.body["restore_plan"]
    given = {name: wanted[name] for name in _CHOICES if name in wanted}
    if "parameters" in given:
        given["parameters"] = runs.parameters(wanted)
    made, _operation = request.deployment.restore_plans.change(
        request.caller,
        plan,
        checkpoint_of(request, plan),
        Choices.of({**plan.choices, **given}),
        name=wanted.get("name"),
        approval=wanted.get("approval"),
    )
    return {"restore_plan": _view(request, made)}


def approve(request: Request) -> dict[str, Any]:
    """Approve a restore plan as it is."""
    plan = find(request, request.path["restore_plan_id"])
    return {"restore_plan": _view(request, request.deployment.restore_plans.approve(request.caller, plan))}


def delete(request: Request) -> None:
    """Forget a restore plan."""
    plan = find(request, request.path["restore_plan_id"])
    request.deployment.restore_plans.delete(request.caller, plan)


def find(request: Request, identity: str) -> KeptPlan:
    """A restore plan that the caller may see. :raises NotFound: there is none."""
    return request.deployment.restore_plans.of(request.scope).get(same_form(identity))


def checkpoint_of(request: Request, plan: KeptPlan) -> CheckpointRecord:
    return request.deployment.checkpoints.get(plan.checkpoint_id, request.scope)


def _checkpoint(request: Request, wanted: Mapping[str, Any]) -> CheckpointRecord:
    if "plan_id" not in wanted:
        if "at" in wanted:
            raise InvalidInput("'at' goes with plan_id")
        return checkpoints.named(request, wanted)
    plan = plans.find(request, same_form(wanted["plan_id"]))
    provider_id = same_form(wanted["provider_id"])
    of_plan = request.deployment.checkpoints.of_plan(plan.id, plan.project_id, provider_id)
    there = {record.id: record.created_at for record in of_plan}
    chosen = newest(there, time_of(wanted["at"]) if "at" in wanted else None)
    return next(record for record in of_plan if record.id == chosen)


def _view(request: Request, plan: KeptPlan, schema: s.Schema = DETAIL) -> dict[str, Any]:
    empty = ("reason", "approved_by", "approved_at", "updated_at")
    return s.view(
        schema,
        plan,
        provider_id=request.deployment.providers.id_of(plan.provider_id),
        **{name: getattr(plan, name) or None for name in empty},
    )


_PLANS, _PLAN = f"{PROJECT}/restore_plans", f"{PROJECT}/restore_plans/{{restore_plan_id}}"
_one, _many = s.wrapped("restore_plan", DETAIL), s.listed("restore_plans", SCHEMA)

ROUTES = (
    Route("GET", _PLANS, listing, reader("restore_plan:get_all"), _many, query=_QUERY),
    Route("POST", _PLANS, create, member("restore_plan:create"), _one, s.wrapped("restore_plan", NEW)),
    Route("GET", _PLAN, show, reader("restore_plan:get"), _one),
    Route("PATCH", _PLAN, change, member("restore_plan:update"), _one, s.wrapped("restore_plan", CHANGE)),
    Route("POST", f"{_PLAN}/approve", approve, member("restore_plan:approve"), _one),
    Route("DELETE", _PLAN, delete, member("restore_plan:delete")),
)

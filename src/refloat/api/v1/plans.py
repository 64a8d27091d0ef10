"""Plans: what is to be protected together."""

from __future__ import annotations

from typing import Any

from refloat.api import schemas as s
from refloat.api.request import Request
from refloat.api.route import PROJECT, Route, member, reader
from refloat.api.v1 import runs
from refloat.api.validation import same_form
from refloat.control.plans import check_plan, delete_plan, last_of
from refloat.control.submit import own
from refloat.errors import InvalidInput, NotFound
from refloat.operations.compared import findings
from refloat.operations.discovery import Discovery
from refloat.providers.provider import Provider
from refloat.records.plans import UNFIT, Plan

_NAMED: s.Schema = {"type": "string", "minLength": 1, "maxLength": 255}
_RESOURCE: s.Schema = {
    **s.obj(
        id=_NAMED,
        type=_NAMED,
        name={"type": "string", "maxLength": 255},
        extra_info={"type": ["object", "null"]},
        select={
            "type": "string",
            "pattern": r"^(tag|metadata):[^\x00-\x1f\x7f]",
            "maxLength": 512,
            "description": "tag:NAME or metadata:KEY=VALUE: all that carry it; goes with type alone",
        },
    ),
    "if": {"required": ["select"]},
    "then": {"required": ["type"], "maxProperties": 2},
    "else": {"required": ["id", "type", "name"]},
}
_OBJECTIVE: s.Schema = {
    "type": ["integer", "null"],
    "minimum": 1,
    "maximum": 87_600,
    "description": "so many hours old may the newest good checkpoint be before the operator is alerted",
}
_UNFIT: s.Schema = {
    "enum": list(UNFIT),
    "description": "when resources are gone or cannot be protected: protect the others (skip), or nothing",
}
UNFIT_RESOURCE = s.reply(type=s.STRING, id=s.STRING, name=s.STRING, reason=s.STRING)
_SETTABLE = {
    "name": s.NAME,
    "description": s.DESCRIPTION,
    "resources": s.array(_RESOURCE, minItems=1),
    "parameters": s.PARAMETERS,
    "objective": _OBJECTIVE,
    "unfit": _UNFIT,
    "exclude": s.array(_RESOURCE, description="what is left out, likewise"),
}
NEW = s.obj(("name", "provider_id", "resources", "parameters"), provider_id=s.UUID, **_SETTABLE)
CHANGE = s.obj(status={"type": ["string", "null"], "maxLength": 255}, **_SETTABLE) | {"minProperties": 1}
SCHEMA = s.reply(
    "objective unfit exclude project_id created_at updated_at",
    id=s.UUID,
    name=s.STRING,
    description=s.TEXT,
    provider_id=s.STRING,
    resources=s.array(s.ANY_OBJECT),
    status=s.STRING,
    parameters=s.ANY_OBJECT,
    objective=_OBJECTIVE,
    unfit=_UNFIT,
    exclude=s.array(s.ANY_OBJECT),
    project_id=s.STRING,
    created_at=s.TIME,
    updated_at=s.TIME,
)
_LINES = s.array(s.reply(type=s.STRING, id=s.STRING, name=s.STRING))
NOW = s.reply(
    checkpoint_id={**s.STRING, "description": "the last one, with which this is compared; empty: none"},
    resources=_LINES,
    new=_LINES,
    gone=s.array(UNFIT_RESOURCE, description="what the checkpoint has and is not found any more"),
    unfit=s.array(UNFIT_RESOURCE),
    excluded=_LINES,
)
_NULLABLE = ("objective",)
"""What null takes away; of all else it changes nothing."""


def listing(request: Request) -> dict[str, Any]:
    """A page of the plans."""
    found = request.deployment.plans(request.listed).page(
        request.page(), **request.filters("status", "name", "description")
    )
    return request.listing("plans", found, lambda plan: _view(request, plan))


def create(request: Request) -> dict[str, Any]:
    """A new plan."""
    wanted = dict(request.body["plan"])
    provider = _provider(request, wanted.pop("provider_id"))
    wanted["parameters"] = runs.parameters(wanted)
    wanted["description"] = wanted.get("description") or ""
    check_plan(provider, wanted)
    project_id = request.project_id
    plan = request.deployment.plans(project_id).create(
        provider=provider.reference,
        check=lambda session: request.deployment.quotas.check(session, "plans", project_id),
        **wanted,
    )
    return {"plan": _view(request, plan)}


def show(request: Request) -> dict[str, Any]:
    """One plan."""
    return {"plan": _view(request, find(request, request.path["plan_id"]))}


def now(request: Request) -> dict[str, Any]:
    """What a protection of the plan would find now."""
    plan, deployment = find(request, request.path["plan_id"]), request.deployment
    own(request.caller, plan.project_id)
    found = Discovery(deployment.authority.caller(request.caller)).survey(plan.resources, plan.exclude)
    return {"now": findings(found, last_of(deployment.checkpoints, plan.id, plan.project_id))}


def change(request: Request) -> dict[str, Any]:
    """Change a plan that is suspended."""
    wanted = request.body["plan"]
    changes = {name: value for name, value in wanted.items() if value is not None or name in _NULLABLE}
    if not changes:
        raise InvalidInput("there is nothing to change")
    if "description" in wanted:
        changes["description"] = wanted["description"] or ""
    if "parameters" in changes:
        changes["parameters"] = runs.parameters(changes)
    if {"name", "parameters", "resources", "exclude"} & set(changes):
        provider = request.deployment.providers.find(find(request, request.path["plan_id"]).provider)
        check_plan(provider, changes)
    plan = request.deployment.plans(request.scope).change_suspended(request.path["plan_id"], **changes)
    return {"plan": _view(request, plan)}


def delete(request: Request) -> None:
    """Forget a plan; its checkpoints stay."""
    plan = find(request, request.path["plan_id"])
    delete_plan(request.deployment.plans(request.scope), plan.id)


def find(request: Request, plan_id: str) -> Plan:
    """A plan that the caller may see. :raises NotFound: there is none."""
    return request.deployment.plans(request.scope).get(plan_id)


def _provider(request: Request, provider_id: str) -> Provider:
    try:
        return request.deployment.providers.find(same_form(provider_id))
    except NotFound:
        raise InvalidInput("The provider could not be found.") from None


def _view(request: Request, plan: Plan) -> dict[str, Any]:
    return s.view(
        SCHEMA,
        plan,
        provider_id=request.deployment.providers.id_of(plan.provider),
        updated_at=plan.updated_at or None,
    )


_PLANS, _PLAN = f"{PROJECT}/plans", f"{PROJECT}/plans/{{plan_id}}"
_one, _many = s.wrapped("plan", SCHEMA), s.listed("plans", SCHEMA)
_QUERY = s.list_query("name", "status", "description")

ROUTES = (
    Route("GET", _PLANS, listing, reader("plan:get_all"), _many, query=_QUERY),
    Route("POST", _PLANS, create, member("plan:create"), _one, s.wrapped("plan", NEW)),
    Route("GET", _PLAN, show, reader("plan:get"), _one),
    Route("GET", f"{_PLAN}/now", now, reader("plan:get"), s.wrapped("now", NOW)),
    Route("PUT", _PLAN, change, member("plan:update"), _one, s.wrapped("plan", CHANGE)),
    Route("DELETE", _PLAN, delete, member("plan:delete")),
)

"""Plans: what is to be protected together."""

from __future__ import annotations

from typing import Any

from refloat.api.call import Call
from refloat.api.validation import same_form
from refloat.control.desk import check_plan_parameters
from refloat.errors import InvalidInput, NotFound
from refloat.providers.provider import Provider
from refloat.records.plans import Plan
from refloat.resources.registry import protectable


def listing(call: Call) -> dict[str, Any]:
    """A page of the plans."""
    query = call.query
    found = call.site.plans(call.listed).page(
        call.page(),
        status=query.get("status"),
        name=query.get("name"),
        description=query.get("description"),
    )
    return call.listing("plans", [_view(call, plan) for plan in found], found[-1].id if found else None)


def create(call: Call) -> dict[str, Any]:
    """A new plan."""
    wanted = call.body["plan"]
    provider = _provider(call, wanted["provider_id"])
    parameters = {where: given or {} for where, given in wanted["parameters"].items()}
    check_plan_parameters(provider, parameters)
    _check_resources(wanted["resources"])
    project_id = call.project_id
    plan = call.site.plans(project_id).create(
        wanted["name"],
        provider.reference,
        wanted["resources"],
        parameters,
        wanted.get("description") or "",
        objective=wanted.get("objective"),
        check=lambda session: call.site.quotas.check(session, "plans", project_id),
    )
    return {"plan": _view(call, plan)}


def show(call: Call) -> dict[str, Any]:
    """One plan."""
    return {"plan": _view(call, find(call, call.path["plan_id"]))}


def change(call: Call) -> dict[str, Any]:
    """Change a plan that is suspended."""
    changes: dict[str, Any] = {name: value for name, value in call.body["plan"].items() if value is not None}
    if "objective" in call.body["plan"]:
        changes["objective"] = call.body["plan"]["objective"]
    if not changes:
        raise InvalidInput("there is nothing to change")
    if "resources" in changes:
        _check_resources(changes["resources"])
    if "description" in call.body["plan"]:
        changes["description"] = call.body["plan"]["description"] or ""
    if "parameters" in changes:
        changes["parameters"] = {where: given or {} for where, given in changes["parameters"].items()}
        provider = call.site.providers.find(find(call, call.path["plan_id"]).provider)
        check_plan_parameters(provider, changes["parameters"])
    plan = call.site.plans(call.scope).change_suspended(call.path["plan_id"], **changes)
    return {"plan": _view(call, plan)}


def delete(call: Call) -> None:
    """Forget a plan; its checkpoints stay."""
    plan = find(call, call.path["plan_id"])
    call.site.plans(call.scope).delete(plan.id)


def find(call: Call, plan_id: str) -> Plan:
    """A plan that the caller may see. :raises NotFound: there is none."""
    return call.site.plans(call.scope).get(plan_id)


def _provider(call: Call, provider_id: str) -> Provider:
    try:
        return call.site.providers.find(same_form(provider_id))
    except NotFound:
        raise InvalidInput("The provider could not be found.") from None


def _check_resources(resources: list[dict[str, Any]]) -> None:
    for resource in resources:
        protectable(resource["type"])


def _view(call: Call, plan: Plan) -> dict[str, Any]:
    try:
        provider_id = call.site.providers.find(plan.provider).id
    except NotFound:  # its file is gone
        provider_id = plan.provider
    return {
        "id": plan.id,
        "name": plan.name,
        "description": plan.description,
        "provider_id": provider_id,
        "resources": [dict(resource) for resource in plan.resources],
        "status": plan.status,
        "parameters": {where: dict(given) for where, given in plan.parameters.items()},
        "objective": plan.objective,
        "project_id": plan.project_id,
        "created_at": plan.created_at,
        "updated_at": plan.updated_at or None,
    }

"""Plans: what is to be protected together."""

from __future__ import annotations

from typing import Any

from refloat.api.request import Request
from refloat.api.validation import same_form
from refloat.control.desk import check_plan_parameters
from refloat.errors import InvalidInput, NotFound
from refloat.providers.provider import Provider
from refloat.records.plans import Plan
from refloat.resources.registry import protectable


def listing(request: Request) -> dict[str, Any]:
    """A page of the plans."""
    query = request.query
    found = request.deployment.plans(request.listed).page(
        request.page(),
        status=query.get("status"),
        name=query.get("name"),
        description=query.get("description"),
    )
    return request.listing("plans", [_view(request, plan) for plan in found], found[-1].id if found else None)


def create(request: Request) -> dict[str, Any]:
    """A new plan."""
    wanted = request.body["plan"]
    provider = _provider(request, wanted["provider_id"])
    parameters = {where: given or {} for where, given in wanted["parameters"].items()}
    check_plan_parameters(provider, parameters)
    _check_resources(wanted["resources"])
    project_id = request.project_id
    plan = request.deployment.plans(project_id).create(
        wanted["name"],
        provider.reference,
        wanted["resources"],
        parameters,
        wanted.get("description") or "",
        objective=wanted.get("objective"),
        check=lambda session: request.deployment.quotas.check(session, "plans", project_id),
    )
    return {"plan": _view(request, plan)}


def show(request: Request) -> dict[str, Any]:
    """One plan."""
    return {"plan": _view(request, find(request, request.path["plan_id"]))}


def change(request: Request) -> dict[str, Any]:
    """Change a plan that is suspended."""
    changes: dict[str, Any] = {
        name: value for name, value in request.body["plan"].items() if value is not None
    }
    if "objective" in request.body["plan"]:
        changes["objective"] = request.body["plan"]["objective"]
    if not changes:
        raise InvalidInput("there is nothing to change")
    if "resources" in changes:
        _check_resources(changes["resources"])
    if "description" in request.body["plan"]:
        changes["description"] = request.body["plan"]["description"] or ""
    if "parameters" in changes:
        changes["parameters"] = {where: given or {} for where, given in changes["parameters"].items()}
        provider = request.deployment.providers.find(find(request, request.path["plan_id"]).provider)
        check_plan_parameters(provider, changes["parameters"])
    plan = request.deployment.plans(request.scope).change_suspended(request.path["plan_id"], **changes)
    return {"plan": _view(request, plan)}


def delete(request: Request) -> None:
    """Forget a plan; its checkpoints stay."""
    plan = find(request, request.path["plan_id"])
    request.deployment.plans(request.scope).delete(plan.id)


def find(request: Request, plan_id: str) -> Plan:
    """A plan that the caller may see. :raises NotFound: there is none."""
    return request.deployment.plans(request.scope).get(plan_id)


def _provider(request: Request, provider_id: str) -> Provider:
    try:
        return request.deployment.providers.find(same_form(provider_id))
    except NotFound:
        raise InvalidInput("The provider could not be found.") from None


def _check_resources(resources: list[dict[str, Any]]) -> None:
    for resource in resources:
        protectable(resource["type"])


def _view(request: Request, plan: Plan) -> dict[str, Any]:
    try:
        provider_id = request.deployment.providers.find(plan.provider).id
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

"""Copies of checkpoints to the banks of other providers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refloat.api.request import Request
from refloat.api.v1 import plans, providers
from refloat.api.validation import same_form
from refloat.control.copies import CopyOrder
from refloat.control.orders import own
from refloat.errors import InvalidInput, NotFound


def create(request: Request) -> dict[str, Any]:
    """Start to copy a plan's available checkpoints that are not copied yet, or one checkpoint."""
    provider = providers.find(request)
    wanted = request.body["copy"]
    how = order(request, wanted.get("parameters", {}))
    if "checkpoint_id" in wanted:
        chosen = [
            request.deployment.checkpoints.get(same_form(wanted["checkpoint_id"]), request.scope, provider.id)
        ]
        plan_id = chosen[0].plan_id
        if "plan_id" in wanted and same_form(wanted["plan_id"]) != plan_id:
            raise InvalidInput(f"the checkpoint {chosen[0].id} is not of this plan")
        own(request.caller, chosen[0].project_id)
    else:
        plan = plans.find(request, same_form(wanted["plan_id"]))
        own(request.caller, plan.project_id)
        if request.deployment.providers.find(plan.provider).id != provider.id:
            raise InvalidInput(f"the plan {plan.id} is not of provider {provider.id}")
        plan_id = plan.id
        chosen = list(request.deployment.checkpoints.of_plan(plan_id, request.project_id, provider.id))
    pairs = request.deployment.copies.copy(request.caller, chosen, how)
    request.deployment.wake()
    return {
        "copy": {
            "project_id": request.project_id,
            "provider_id": provider.id,
            "plan_id": plan_id or None,
            "checkpoint_id": [
                {"checkpoint_protect_id": original, "checkpoint_copy_id": copy} for original, copy in pairs
            ],
            "parameters": dict(wanted.get("parameters", {})),
        }
    }


def order(request: Request, parameters: Mapping[str, Any]) -> CopyOrder:
    """How to copy. :raises InvalidInput: it does not say where to, or there is no such provider."""
    if "to" not in parameters:
        raise InvalidInput("the parameter 'to' must name the provider to whose bank is copied")
    try:
        to = request.deployment.providers.find(parameters["to"])
    except NotFound as exc:
        raise InvalidInput(exc.message) from None
    return CopyOrder(to, bool(parameters.get("allow_incomplete", False)))

"""Copies of checkpoints to the banks of other providers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refloat.api.call import Call
from refloat.api.handlers import plans, providers
from refloat.api.validation import same_form
from refloat.control.copies import CopyOrder
from refloat.control.orders import own
from refloat.errors import InvalidInput, NotFound


def create(call: Call) -> dict[str, Any]:
    """Start to copy a plan's available checkpoints that are not copied yet, or one checkpoint."""
    provider = providers.find(call)
    wanted = call.body["copy"]
    how = order(call, wanted.get("parameters", {}))
    if "checkpoint_id" in wanted:
        chosen = [call.site.checkpoints.get(same_form(wanted["checkpoint_id"]), call.scope, provider.id)]
        plan_id = chosen[0].plan_id
        if "plan_id" in wanted and same_form(wanted["plan_id"]) != plan_id:
            raise InvalidInput(f"the checkpoint {chosen[0].id} is not of this plan")
        own(call.caller, chosen[0].project_id)
    else:
        plan = plans.find(call, same_form(wanted["plan_id"]))
        own(call.caller, plan.project_id)
        if call.site.providers.find(plan.provider).id != provider.id:
            raise InvalidInput(f"the plan {plan.id} is not of provider {provider.id}")
        plan_id = plan.id
        chosen = list(call.site.checkpoints.of_plan(plan_id, call.project_id, provider.id))
    pairs = call.site.copies.copy(call.caller, chosen, how)
    call.site.wake()
    return {
        "copy": {
            "project_id": call.project_id,
            "provider_id": provider.id,
            "plan_id": plan_id or None,
            "checkpoint_id": [
                {"checkpoint_protect_id": original, "checkpoint_copy_id": copy} for original, copy in pairs
            ],
            "parameters": dict(wanted.get("parameters", {})),
        }
    }


def order(call: Call, parameters: Mapping[str, Any]) -> CopyOrder:
    """How to copy. :raises InvalidInput: it does not say where to, or there is no such provider."""
    if "to" not in parameters:
        raise InvalidInput("the parameter 'to' must name the provider to whose bank is copied")
    try:
        to = call.site.providers.find(parameters["to"])
    except NotFound as exc:
        raise InvalidInput(exc.message) from None
    return CopyOrder(to, bool(parameters.get("allow_incomplete", False)))

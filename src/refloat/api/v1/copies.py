"""Copies of checkpoints to the banks of other providers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refloat.api import schemas as s
from refloat.api.request import Request
from refloat.api.route import CHECKPOINTS, Route, member
from refloat.api.v1 import plans, providers
from refloat.api.validation import same_form
from refloat.control.copies import CopyOrder, copy
from refloat.control.submit import own
from refloat.errors import InvalidInput, NotFound

PARAMETERS = s.obj(
    to={
        "type": "string",
        "minLength": 1,
        "maxLength": 255,
        "description": "the provider (id or name) to whose bank the checkpoints are copied",
    },
    allow_incomplete={
        "type": "boolean",
        "description": "copy although some of the data stays in the cloud",
    },
)
NEW: s.Schema = {
    **s.obj(plan_id=s.UUID, checkpoint_id=s.UUID, parameters=PARAMETERS),
    "anyOf": [{"required": ["plan_id"]}, {"required": ["checkpoint_id"]}],
    "description": "of all available checkpoints of a plan, or of one",
}
SCHEMA = s.reply(
    project_id=s.STRING,
    provider_id=s.STRING,
    plan_id=s.TEXT,
    checkpoint_id=s.array(s.reply(checkpoint_protect_id=s.UUID, checkpoint_copy_id=s.UUID)),
    parameters=s.ANY_OBJECT,
)


def create(request: Request) -> dict[str, Any]:
    """Start to copy a plan's available checkpoints that are not copied yet, or one checkpoint."""
    provider, deployment = providers.find(request), request.deployment
    wanted = request.body["copy"]
    how = order(request, wanted.get("parameters", {}))
    if "checkpoint_id" in wanted:
        chosen = [deployment.checkpoints.get(same_form(wanted["checkpoint_id"]), request.scope, provider.id)]
        plan_id = chosen[0].plan_id
        if "plan_id" in wanted and same_form(wanted["plan_id"]) != plan_id:
            raise InvalidInput(f"the checkpoint {chosen[0].id} is not of this plan")
        own(request.caller, chosen[0].project_id)
    else:
        plan = plans.find(request, same_form(wanted["plan_id"]))
        own(request.caller, plan.project_id)
        if deployment.providers.find(plan.provider).id != provider.id:
            raise InvalidInput(f"the plan {plan.id} is not of provider {provider.id}")
        plan_id = plan.id
        chosen = list(deployment.checkpoints.of_plan(plan_id, request.project_id, provider.id))
    made = copy(deployment.submitter, request.caller, chosen, how)
    return {
        "copy": {
            "project_id": request.project_id,
            "provider_id": provider.id,
            "plan_id": plan_id or None,
            "checkpoint_id": [
                {
                    "checkpoint_protect_id": operation.checkpoint_id,
                    "checkpoint_copy_id": operation.payload["copy_id"],
                }
                for operation in made
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
    return CopyOrder(to, request.deployment.bank_of, bool(parameters.get("allow_incomplete", False)))


_one = s.wrapped("copy", SCHEMA)

ROUTES = (
    Route("POST", f"{CHECKPOINTS}/action", create, member("copy:create"), _one, s.wrapped("copy", NEW)),
)

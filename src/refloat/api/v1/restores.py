"""Restores of checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refloat.api import schemas as s
from refloat.api.request import Request
from refloat.api.route import PROJECT, Route, member, reader
from refloat.api.v1 import checkpoints, runs
from refloat.api.validation import same_form
from refloat.cloud.targets import given, in_project, is_own
from refloat.control.elsewhere import HERE, Elsewhere
from refloat.errors import InvalidInput
from refloat.mappings import LONGEST, MAPPABLE
from refloat.operations.choices import Choices
from refloat.operations.existing import BESIDE_NAME, EXISTING
from refloat.records.operations import Operation

CHOICES: Mapping[str, s.Schema] = {
    "only": s.array(
        {"type": "string", "minLength": 1, "maxLength": 512},
        description="TYPE#ID or TYPE#NAME of what to restore, with all that it needs; empty: all",
        maxItems=10_000,
    ),
    "leave_out": s.array(
        {"type": "string", "minLength": 1, "maxLength": 512},
        description="TYPE#ID or TYPE#NAME of what not to restore, nor what only that needs",
        maxItems=10_000,
    ),
    "existing": {
        "enum": [*EXISTING],
        "description": "what becomes of originals that are there: skip keeps them, and only what is gone "
        "comes back; repair also gives them back what they have lost; replace puts their data back in place, "
        "after a checkpoint of it; beside makes others beside them, at addresses of their own; ignore, as if "
        "nothing were said, makes everything under its own name",
    },
    "no_safety": {"type": "boolean", "description": "make no checkpoint of what is replaced before"},
    "beside_name": {
        **s.NAME,
        "description": "what beside makes is called so; {name} stands for the original's name, {date} for "
        f"the day of the checkpoint; {BESIDE_NAME} by default",
    },
    "mappings": s.obj(
        **{
            kind: {
                "type": "object",
                "description": f"the new {entry.noun} by the old one: {entry.help}",
                "additionalProperties": {"type": "string", "minLength": 1, "maxLength": LONGEST},
                "maxProperties": 10_000,
            }
            for kind, entry in MAPPABLE.items()
        }
    )
    | {"description": "what takes the place of what the checkpoint names, each by id or name"},
    "restore_target": {
        "type": ["string", "null"],
        "maxLength": 255,
        "description": "URL of the cloud's own identity service, or of one that the operator allows; "
        "null: the service's own",
    },
    "restore_auth": {
        "type": ["object", "null"],
        "description": "how to log in there: type (password, application_credential), username, password, "
        "user_domain_id, project_id, ...; nulls mean the current session, and no project in one's own cloud "
        "the token's. Used once, never kept or told",
        "patternProperties": {s.KEY: {"type": ["boolean", "string", "integer", "null"]}},
        "additionalProperties": False,
    },
}
"""What to restore, and where."""
_KEPT = "restore_plan_id"
NEW: s.Schema = {
    **s.obj(
        provider_id=s.UUID,
        checkpoint_id=s.UUID,
        parameters=s.PARAMETERS,
        keep_on_failure={
            "type": "boolean",
            "description": "when it fails, park it, to be resumed or cancelled, rather than undo it",
        },
        restore_plan_id={**s.UUID, "description": "run this restore plan; all else it says itself"},
        **CHOICES,
    ),
    "if": {"required": [_KEPT]},
    "then": {"propertyNames": {"enum": [_KEPT, "keep_on_failure"]}},
    "else": {"required": ["provider_id", "checkpoint_id", "parameters"]},
}
STAYS = s.array(
    s.reply(**dict.fromkeys(("kind", "id", "name", "needed_by", "remove"), s.STRING)),
    description="what was made besides, such as ports, does not go when what needs it is deleted, and the "
    "command that removes it then",
)
SCHEMA = s.reply("error_info stays", **runs.ATTRIBUTES, restore_target=s.TEXT, stays=STAYS)


def list_restores(request: Request) -> dict[str, Any]:
    """A page of the restores."""
    return runs.listing(request, "restores", "restore", _view)


def create_restore(request: Request) -> dict[str, Any]:
    """Start to restore a checkpoint, or what a restore plan says."""
    wanted = request.body["restore"]
    if _KEPT in wanted:
        kept = request.deployment.restore_plans
        plan = kept.of(request.scope).get(same_form(wanted[_KEPT]))
        checkpoint = request.deployment.checkpoints.get(plan.checkpoint_id, request.scope)
        keep = wanted.get("keep_on_failure", False)
        operation = kept.run(request.caller, plan, checkpoint, keep_on_failure=keep)
        return {"restore": _view(request, operation)}
    operation = request.deployment.submitter.restore(
        request.caller,
        checkpoints.named(request, wanted),
        choices(wanted),
        elsewhere(request, wanted),
        keep_on_failure=wanted.get("keep_on_failure", False),
    )
    return {"restore": _view(request, operation)}


def show_restore(request: Request) -> dict[str, Any]:
    """One restore."""
    operation = runs.find(request, request.path["restore_id"], "Restore", "restore")
    return {"restore": _view(request, operation)}


def choices(wanted: Mapping[str, Any]) -> Choices:
    """What of a checkpoint a request wants restored, and how."""
    return Choices.of({**wanted, "parameters": runs.parameters(wanted)})


def elsewhere(request: Request, wanted: Mapping[str, Any]) -> Elsewhere:
    """Where a request wants its restore to go.

    Into the caller's own cloud anybody may; without a project in the credentials the caller's is meant.

    :raises InvalidInput: into another cloud, but not as whom.
    """
    target, auth = wanted.get("restore_target") or "", given(wanted.get("restore_auth"))
    if not (target or auth):
        return HERE
    own = bool(target) and is_own(target, request.deployment.authority.caller(request.caller))
    if target and not own:
        if not auth:
            raise InvalidInput("restore_target needs restore_auth: how to log in there")
        return Elsewhere(target, auth)
    placed = in_project(auth, request.project_id) if auth else {}
    return Elsewhere(target, placed, own or placed != auth)


def _view(request: Request, operation: Operation) -> dict[str, Any]:
    lines = [
        (f"{line['type']}#{line['new_id']}", line.get("reason"))
        for line in runs.lines(operation)
        if line["new_id"]
    ]
    return {
        **runs.view(request, operation),
        "restore_target": operation.payload.get("restore_target"),
        "resources_status": {key: "available" for key, _reason in lines},
        "resources_reason": {key: reason for key, reason in lines if reason},
        "stays": list((operation.result or {}).get("stays", ())),
    }


_RESTORES = f"{PROJECT}/restores"
_one, _many = s.wrapped("restore", SCHEMA), s.listed("restores", SCHEMA)

ROUTES = (
    Route("GET", _RESTORES, list_restores, reader("restore:get_all"), _many, query=runs.QUERY),
    Route(
        "POST",
        _RESTORES,
        create_restore,
        member("restore:create"),
        _one,
        s.wrapped("restore", NEW),
        instead=(_KEPT, member("restore_plan:run")),
    ),
    Route("GET", f"{_RESTORES}/{{restore_id}}", show_restore, reader("restore:get"), _one),
)

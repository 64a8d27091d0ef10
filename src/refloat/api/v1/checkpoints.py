"""Checkpoints of a provider."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from refloat.api import schemas as s
from refloat.api.request import Request
from refloat.api.route import CHECKPOINTS, Route, member, reader
from refloat.api.v1 import plans, providers
from refloat.api.validation import same_form
from refloat.control import deletions
from refloat.errors import InvalidInput
from refloat.graph import Graph
from refloat.records.checkpoints import AVAILABLE, BAD, DELETED, GOOD, NEVER, SCHEDULED, CheckpointRecord

NO_GRAPH = "[{}, []]"

_EXTRA: s.Schema = {"type": ["object", "null"]}
_SAID: dict[str, s.Schema] = {
    "name": {**s.TEXT, "maxLength": 255},
    "note": {**s.TEXT, "maxLength": 4096},
    "labels": {
        "type": ["object", "null"],
        "maxProperties": 64,
        "additionalProperties": {"type": ["string", "null"], "maxLength": 255},
    },
    "expires_at": {
        **s.TEXT,
        "maxLength": 64,
        "description": "ISO 8601, or from now on: 30d, 12h, 8w, 6m, 1y",
    },
    "keep": {"type": ["boolean", "null"], "description": "no retention takes it"},
}
NEW = s.obj(("plan_id",), plan_id=s.UUID, **{"extra-info": _EXTRA, "extra_info": _EXTRA}, **_SAID)
RESET = s.wrapped("os-resetState", s.reply(state={"enum": ["available", "error", "deleted"]}))
CHANGE = {"anyOf": [RESET, s.wrapped("checkpoint", s.obj(**_SAID) | {"minProperties": 1})]}
_DATE: s.Schema = {
    "type": "string",
    "pattern": rf"^\d{{4}}-\d{{2}}-\d{{2}}{s.END}",
    "description": "YYYY-MM-DD, UTC",
}
_COPIED_FROM = s.reply(checkpoint_id=s.STRING, provider_id=s.STRING) | {"type": ["object", "null"]}
SCHEMA = s.reply(
    "protected_at error_info operation_id copied_from verified verified_at verified_depth lacks "
    "name note labels expires_at keep user_id scheduled_operation_id size seconds",
    id=s.UUID,
    project_id=s.STRING,
    status=s.STRING,
    protection_plan=s.reply(
        id=s.STRING, name=s.STRING, provider_id=s.STRING, resources=s.array(s.ANY_OBJECT)
    ),
    resource_graph={"type": "string", "description": "JSON: [nodes, adjacency]"},
    created_at={"type": "string", "description": "YYYY-MM-DD"},
    protected_at=s.TIME,
    extra_info={"type": "string", "description": "JSON"},
    error_info=s.TEXT,
    operation_id={**s.TEXT, "description": "the operation that made it, while that is remembered"},
    copied_from=_COPIED_FROM,
    verified={"enum": [NEVER, GOOD, BAD], "description": "what verifications and restores have found"},
    verified_at=s.TIME,
    verified_depth={**s.TEXT, "description": "how deep that looked: manifests, existence or full"},
    lacks=s.array(
        plans.UNFIT_RESOURCE,
        description="what of the plan it does not have; it is partial when there is any",
    ),
    name=s.TEXT,
    note=s.TEXT,
    labels=s.ANY_OBJECT,
    expires_at=s.TIME,
    keep=s.BOOLEAN,
    user_id={**s.TEXT, "description": "who asked for it; null: a scheduled operation did, or nobody knows"},
    scheduled_operation_id={**s.TEXT, "description": "the one that made it; null: it was made by hand"},
    size={"type": ["integer", "null"], "description": "bytes of its data in the bank, before compression"},
    seconds={"type": ["integer", "null"], "description": "so long it took to make"},
)


def listing(request: Request) -> dict[str, Any]:
    """A page of the checkpoints, without those that are deleted."""
    found = request.deployment.checkpoints.page(
        request.page(),
        request.listed,
        providers.find(request).id,
        plan_id=request.query.get("plan_id"),
        start=_day(request.query.get("start_date")),
        end=_day(request.query.get("end_date")),
    )
    makers = _makers(request, found)
    return request.listing("checkpoints", found, lambda record: _view(record, makers))


def create(request: Request) -> dict[str, Any]:
    """Start to protect a plan; the checkpoint is there at once, in status ``protecting``."""
    provider = providers.find(request)
    wanted = request.body["checkpoint"]
    plan = plans.find(request, same_form(wanted["plan_id"]))
    extra = wanted.get("extra-info") or wanted.get("extra_info")
    said = {name: wanted[name] for name in _SAID if name in wanted}
    record, _operation = request.deployment.submitter.protect(
        request.caller, plan, extra, said=said, provider_id=provider.id
    )
    return _answer(request, record)


def show(request: Request) -> dict[str, Any]:
    """One checkpoint, also one that was deleted."""
    return _answer(request, find(request))


def delete(request: Request) -> dict[str, Any]:
    """Start to delete a checkpoint that is old enough, and on no hold."""
    submitter, record = request.deployment.submitter, find(request)
    deletions.delete(submitter, request.caller, record, administrator=request.is_admin)
    return {}


def change(request: Request) -> dict[str, Any]:
    """Change what is said of a checkpoint, or set its status by hand.

    To deleted only administrators set it, when its bank is gone for good.
    """
    if "checkpoint" in request.body:
        return _answer(
            request, request.deployment.checkpoints.describe(find(request).id, request.body["checkpoint"])
        )
    state = request.body["os-resetState"]["state"]
    if state == DELETED and not request.is_admin:
        raise InvalidInput("only administrators call a checkpoint deleted", advice="Delete it")
    request.deployment.submitter.reset(find(request), state)
    return {}


def find(request: Request) -> CheckpointRecord:
    """The checkpoint of the path, if the caller may see it. :raises NotFound: there is none."""
    provider = providers.find(request)
    return request.deployment.checkpoints.get(request.path["checkpoint_id"], request.scope, provider.id)


def named(request: Request, wanted: Mapping[str, Any]) -> CheckpointRecord:
    """The checkpoint that a body names, likewise."""
    return request.deployment.checkpoints.get(
        same_form(wanted["checkpoint_id"]), request.scope, same_form(wanted["provider_id"])
    )


def _answer(request: Request, record: CheckpointRecord) -> dict[str, Any]:
    return {"checkpoint": _view(record, _makers(request, [record]))}


def _makers(request: Request, records: Sequence[CheckpointRecord]) -> Mapping[str, str]:
    """The operations that have made checkpoints, by the ids of these."""
    originals = {item.copied_from["checkpoint_id"] for item in records if item.copied_from}
    return request.deployment.operations.makers([item.id for item in records], originals)


def _view(record: CheckpointRecord, makers: Mapping[str, str]) -> dict[str, Any]:
    """A checkpoint as clients know it: with JSON in strings."""
    copied = record.copied_from
    plan = record.plan
    return s.view(
        SCHEMA,
        record,
        protection_plan={
            "id": str(plan.get("id", "")),
            "name": str(plan.get("name", "")),
            "provider_id": record.provider_id,
            "resources": [_resource(resource) for resource in plan.get("resources", ())],
        },
        resource_graph=graph_text(record.graph),
        created_at=f"{record.created_at:%Y-%m-%d}",
        protected_at=f"{record.created_at:%Y-%m-%dT%H:%M:%S}Z",
        extra_info=json.dumps(_extra(record)),
        error_info=record.reason or None,
        operation_id=makers.get(record.id),
        lacks=[dict(each) for each in record.lacks or ()],
        verified_at=f"{record.verified_at:%Y-%m-%dT%H:%M:%S}Z" if record.verified_at else None,
        verified_depth=record.verified_depth or None,
        name=record.about.get("name"),
        note=record.about.get("note"),
        labels=dict(record.about.get("labels") or {}),
        expires_at=record.about.get("expires_at"),
        keep=bool(record.about.get("keep")),
        user_id=record.about.get("user_id"),
        scheduled_operation_id=record.extra_info.get(SCHEDULED),
        copied_from={name: copied[name] for name in _COPIED_FROM["properties"]} if copied else None,
    )


def _extra(record: CheckpointRecord) -> dict[str, Any]:
    finished = record.copied_from and record.status == AVAILABLE
    return {**record.extra_info, **({"copy_status": "finished"} if finished else {})}


def graph_text(data: Mapping[str, Any] | None) -> str:
    """A graph as ``[nodes, adjacency]``: children before their parents, four elements to a node."""
    if data is None:
        return NO_GRAPH
    graph = Graph.from_json(data)
    order = graph.bottom_up()
    short = {node.key: f"{number:#x}" for number, node in enumerate(order)}
    nodes = {short[node.key]: [node.type, node.id, node.name, dict(node.extra) or None] for node in order}
    adjacency = [
        [short[node.key], [short[child.key] for child in children]]
        for node in order
        if (children := graph.children(node.key))
    ]
    return json.dumps([nodes, adjacency])


def _resource(resource: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(resource)
    if isinstance(found.get("extra_info"), dict):
        found["extra_info"] = json.dumps(found["extra_info"])
    return found


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"'{text}' is not a date") from None


_CHECKPOINT = f"{CHECKPOINTS}/{{checkpoint_id}}"
_one, _many = s.wrapped("checkpoint", SCHEMA), s.listed("checkpoints", SCHEMA)
_new = s.wrapped("checkpoint", NEW)
_changed = {"anyOf": [s.obj(), _one]}
_QUERY = s.list_query(plan_id=s.FILTER, start_date=_DATE, end_date=_DATE, status=s.FILTER)

ROUTES = (
    Route("GET", CHECKPOINTS, listing, reader("provider:checkpoint_get_all"), _many, query=_QUERY),
    Route("POST", CHECKPOINTS, create, member("provider:checkpoint_create"), _one, _new),
    Route("GET", _CHECKPOINT, show, reader("provider:checkpoint_get"), _one),
    Route("DELETE", _CHECKPOINT, delete, member("provider:checkpoint_delete"), s.obj()),
    Route("PUT", _CHECKPOINT, change, member("provider:checkpoint_update"), _changed, CHANGE),
)

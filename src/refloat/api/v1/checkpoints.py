"""Checkpoints of a provider."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from refloat.api.request import Request
from refloat.api.v1 import plans, providers
from refloat.api.validation import same_form
from refloat.errors import InvalidInput
from refloat.graph import Graph
from refloat.records.checkpoints import AVAILABLE, CheckpointRecord

NO_GRAPH = "[{}, []]"


def listing(request: Request) -> dict[str, Any]:
    """A page of the checkpoints, without those that are deleted."""
    provider = providers.find(request)
    query = request.query
    start = _day(query.get("start_date"))
    found = request.deployment.checkpoints.page(
        request.page(),
        request.listed,
        provider.id,
        plan_id=query.get("plan_id"),
        start=start,
        end=_day(query.get("end_date")),
    )
    return request.listing("checkpoints", _views(request, found), found[-1].id if found else None)


def create(request: Request) -> dict[str, Any]:
    """Start to protect a plan; the checkpoint is there at once, in status ``protecting``."""
    provider = providers.find(request)
    wanted = request.body["checkpoint"]
    plan = plans.find(request, same_form(wanted["plan_id"]))
    extra = wanted.get("extra-info") or wanted.get("extra_info")
    record = request.deployment.desk.protect(request.caller, plan, provider.id, extra)
    request.deployment.wake()
    return {"checkpoint": _views(request, [record])[0]}


def show(request: Request) -> dict[str, Any]:
    """One checkpoint, also one that was deleted."""
    return {"checkpoint": _views(request, [find(request)])[0]}


def delete(request: Request) -> dict[str, Any]:
    """Start to delete a checkpoint that is old enough, and on no hold."""
    record = find(request)
    if not request.is_admin:
        request.deployment.schedules.refuse_young(record.id, record.created_at)
    request.deployment.desk.delete(request.caller, record)
    request.deployment.wake()
    return {}


def reset(request: Request) -> dict[str, Any]:
    """Set a checkpoint's status by hand."""
    request.deployment.desk.reset(find(request), request.body["os-resetState"]["state"])
    return {}


def find(request: Request) -> CheckpointRecord:
    """The checkpoint of the path, if the caller may see it. :raises NotFound: there is none."""
    provider = providers.find(request)
    return request.deployment.checkpoints.get(request.path["checkpoint_id"], request.scope, provider.id)


def _views(request: Request, records: Sequence[CheckpointRecord]) -> list[dict[str, Any]]:
    originals = {item.copied_from["checkpoint_id"] for item in records if item.copied_from}
    makers = request.deployment.operations.makers([item.id for item in records], originals)
    return [_view(item, makers.get(item.id)) for item in records]


def _view(record: CheckpointRecord, operation_id: str | None) -> dict[str, Any]:
    """A checkpoint as clients know it: with JSON in strings."""
    copied = record.copied_from
    return {
        "id": record.id,
        "project_id": record.project_id,
        "status": record.status,
        "protection_plan": {
            "id": str(record.plan.get("id", "")),
            "name": str(record.plan.get("name", "")),
            "provider_id": record.provider_id,
            "resources": [_resource(resource) for resource in record.plan.get("resources", ())],
        },
        "resource_graph": graph_text(record.graph),
        "created_at": f"{record.created_at:%Y-%m-%d}",
        "protected_at": f"{record.created_at:%Y-%m-%dT%H:%M:%S}Z",
        "extra_info": json.dumps(_extra(record)),
        "error_info": record.reason or None,
        "operation_id": operation_id,
        "copied_from": {name: copied[name] for name in ("checkpoint_id", "provider_id")} if copied else None,
    }


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

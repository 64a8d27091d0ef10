"""Protectables: what could be protected, asked of the cloud as the caller."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable
from typing import Any

from refloat.api import schemas as s
from refloat.api.request import Request
from refloat.api.route import PROJECT, Route, reader
from refloat.api.v1 import providers
from refloat.errors import InvalidInput
from refloat.graph import Resource, ResourceKey
from refloat.operations.discovery import Discovery
from refloat.resources.registry import protectable, protectables

FIRST = (
    "OS::Keystone::Project",
    "OS::Nova::Server",
    "OS::Glance::Image",
    "OS::Cinder::Volume",
    "OS::Manila::Share",
    "OS::Neutron::Network",
    "OS::Trove::Instance",
    "OS::Kubernetes::Pod",
)
"""Karbor's types come first: clients go by the places of what a server depends on."""

SCHEMA = s.reply(name=s.STRING, dependent_types=s.array(s.STRING))
_RESOURCE = s.reply(id=s.STRING, type=s.STRING, name=s.TEXT, extra_info={"type": ["object", "null"]})
INSTANCE = s.reply(
    "references",
    **_RESOURCE["properties"],
    dependent_resources=s.array(_RESOURCE),
    references=s.array(_RESOURCE, description="of one resource: what its settings name"),
)
_QUERY = s.obj(**s.PAGING, parameters={"type": "string", "maxLength": 1024}, type=s.FILTER)


def types(request: Request) -> dict[str, Any]:
    """All types that a provider protects which the caller is offered: others do not see what is made up."""
    known = {kind for provider in providers.offered(request) for kind in provider.plugins()}
    return {"protectable_type": _in_order(kind for kind in protectables() if kind in known)}


def show_type(request: Request) -> dict[str, Any]:
    """A type, and the types of what its resources may depend on."""
    name = protectable(request.path["type_name"]).type
    below = _in_order(kind for kind, found in protectables().items() if name in found.parents)
    return {"protectable_type": {"name": name, "dependent_types": below}}


def instances(request: Request) -> dict[str, Any]:
    """A page of the resources of a type, by id; each with what it depends on directly.

    Where there are networks, Karbor's only one comes first.
    """
    name, discovery = _asked(request)
    page = request.page()
    found = sorted(discovery.of_type(name).list(), key=lambda resource: resource.id)
    whole = discovery.topology(ResourceKey(name, request.project_id)) if found else None
    later = [resource for resource in found if not page.marker or resource.id > page.marker]
    if whole is not None:
        later = found if page.marker == whole.id else [*([] if page.marker else [whole]), *later]
    return request.listing("instances", later[: page.limit], lambda resource: _view(discovery, resource))


def instance(request: Request) -> dict[str, Any]:
    """One resource."""
    name, discovery = _asked(request)
    key = ResourceKey(name, request.path["instance_id"])
    if (whole := discovery.topology(key)) is not None:
        return {"instance": {**_view(discovery, whole), "references": []}}
    found = discovery.of_type(name).show(key.id)
    references = [_short(resource) for resource in discovery.references(found)]
    return {"instance": {**_view(discovery, found), "references": references}}


def _asked(request: Request) -> tuple[str, Discovery]:
    """The type of the path, and what asks the cloud.

    No type needs parameters to be found; clients send them as JSON, or as Python writes a dictionary.

    :raises InvalidInput: there is no such type, or parameters are neither.
    """
    name = protectable(request.path["type_name"]).type
    if not _is_object(request.query.get("parameters") or "{}"):
        raise InvalidInput("parameters must be an object")
    return name, Discovery(request.deployment.authority.caller(request.caller))


def _is_object(text: str) -> bool:
    for read in (json.loads, ast.literal_eval):
        try:
            if isinstance(read(text), dict):
                return True
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return False


def _view(discovery: Discovery, resource: Resource) -> dict[str, Any]:
    whole = discovery.topology(resource.key) is not None
    found = discovery.meant(resource.key) if whole else discovery.dependants(resource)
    below = sorted(found, key=lambda each: _place(each.type))
    return {**_short(resource), "dependent_resources": [_short(each) for each in below]}


def _in_order(kinds: Iterable[str]) -> list[str]:
    return sorted(kinds, key=_place)


def _place(kind: str) -> int:
    return FIRST.index(kind) if kind in FIRST else len(FIRST)


def _short(resource: Resource) -> dict[str, Any]:
    return s.view(_RESOURCE, resource, extra_info=dict(resource.extra) or None)


_TYPES, _TYPE = f"{PROJECT}/protectables", f"{PROJECT}/protectables/{{type_name}}"
_INSTANCES, _INSTANCE = f"{_TYPE}/instances", f"{_TYPE}/instances/{{instance_id}}"
_one, _many = s.wrapped("instance", INSTANCE), s.listed("instances", INSTANCE)

ROUTES = (
    Route("GET", _TYPES, types, reader("protectable:get_all"), s.reply(protectable_type=s.array(s.STRING))),
    Route("GET", _TYPE, show_type, reader("protectable:get"), s.wrapped("protectable_type", SCHEMA)),
    Route("GET", _INSTANCES, instances, reader("protectable:instance_get_all"), _many, query=_QUERY),
    Route("GET", _INSTANCE, instance, reader("protectable:instance_get"), _one, query=_QUERY),
)

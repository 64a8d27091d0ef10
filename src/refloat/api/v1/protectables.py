"""Protectables: what could be protected, asked of the cloud as the caller."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from refloat.api.request import Request
from refloat.errors import InvalidInput
from refloat.graph import Resource
from refloat.operations.discovery import Discovery
from refloat.resources.registry import protectable, protectables


def types(request: Request) -> dict[str, Any]:
    """All types."""
    return {"protectable_type": list(protectables())}


def show_type(request: Request) -> dict[str, Any]:
    """A type, and the types of what its resources may depend on."""
    name = protectable(request.path["type_name"]).type
    below = [kind for kind, found in protectables().items() if name in found.parents]
    return {"protectable_type": {"name": name, "dependent_types": below}}


def instances(request: Request) -> dict[str, Any]:
    """A page of the resources of a type, by id; each with what it depends on directly."""
    name = protectable(request.path["type_name"]).type
    _check_parameters(request)
    page = request.page()
    with _discovery(request) as discovery:
        found = sorted(discovery.of_type(name).list(), key=lambda resource: resource.id)
        shown = [resource for resource in found if resource.id > page.marker][: page.limit]
        items = [_view(discovery, resource) for resource in shown]
    return request.listing("instances", items, shown[-1].id if shown else None)


def instance(request: Request) -> dict[str, Any]:
    """One resource."""
    name = protectable(request.path["type_name"]).type
    _check_parameters(request)
    with _discovery(request) as discovery:
        found = discovery.of_type(name).show(request.path["instance_id"])
        references = [_short(resource) for resource in discovery.references(found)]
        return {"instance": {**_view(discovery, found), "references": references}}


@contextmanager
def _discovery(request: Request) -> Iterator[Discovery]:
    yield Discovery(request.deployment.authority.caller(request.caller))


def _view(discovery: Discovery, resource: Resource) -> dict[str, Any]:
    return {**_short(resource), "dependent_resources": [_short(r) for r in discovery.dependants(resource)]}


def _short(resource: Resource) -> dict[str, Any]:
    extra = dict(resource.extra) or None
    return {"id": resource.id, "type": resource.type, "name": resource.name, "extra_info": extra}


def _check_parameters(request: Request) -> None:
    """No type needs parameters to be found; clients send them as JSON, or as Python writes a dictionary.

    :raises InvalidInput: it is neither.
    """
    text = request.query.get("parameters")
    if not text:
        return
    for read in (json.loads, ast.literal_eval):
        try:
            if isinstance(read(text), dict):
                return
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    raise InvalidInput("parameters must be an object")

"""The OpenAPI 3.1 document, made of the routes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

from refloat import __version__
from refloat.api import schemas
from refloat.api.request import Request
from refloat.api.route import Route
from refloat.api.validation import UUIDS
from refloat.resources.registry import protectables

FAULTS = {
    "400": "what was sent is wrong",
    "401": "there is no valid token",
    "403": "the caller may not do it",
    "404": "there is no such thing, or not for the caller",
    "409": "the state of things does not allow it",
    "413": "the body is too large, or the quota is used up",
    "415": "the body is not JSON",
    "424": "something else depends on it",
    "502": "the cloud or the bank refuses",
    "503": "something that the service needs is away; Retry-After says when to try again",
}

TAGS = {
    "openapi": "versions",
    "restores": "runs",
    "verifications": "runs",
    "operation_logs": "runs",
    "scheduled_operations": "scheduled",
}
"""What generated clients know some modules as."""


def with_document(routes: Iterable[Route]) -> tuple[Route, ...]:
    """The routes, and one that answers with the document of them all."""

    @cache
    def made() -> dict[str, Any]:
        return make_document(everything)

    def document(_request: Request) -> dict[str, Any]:
        """The OpenAPI document."""
        return made()

    everything = (*routes, Route("GET", "/v1/openapi.json", document, reply=schemas.ANY_OBJECT))
    return everything


def make_document(routes: Iterable[Route]) -> dict[str, Any]:
    """The document."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Refloat",
            "version": __version__,
            "description": "Protects whole OpenStack applications and brings them back. Karbor's API v1.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"}},
            "schemas": {"Fault": schemas.FAULT},
        },
    }


def _of_path(name: str) -> schemas.Schema:
    if name in UUIDS:
        return schemas.UUID
    if name == "type_name":
        return {"type": "string", "enum": list(protectables())}
    if name == "service_id":
        return {"type": "string", "pattern": f"^[0-9]{{1,9}}{schemas.END}"}
    return {"type": "string", "minLength": 1}


def _operation(route: Route) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": _of_path(name)}
        for name in re.findall(r"{(\w+)}", route.path)
    ]
    parameters += [
        {"name": name, "in": "query", "schema": schema}
        for name, schema in (route.query or {}).get("properties", {}).items()
    ]
    fault = {"application/json": {"schema": {"$ref": "#/components/schemas/Fault"}}}
    done: dict[str, Any] = {"description": "done"}
    if route.reply is not None:
        done["content"] = {"application/json": {"schema": route.reply}}
    module = route.handler.__module__.rpartition(".")[2]
    tag = TAGS.get(module, module)
    found: dict[str, Any] = {
        "operationId": f"{tag}.{route.handler.__name__}",
        "summary": (route.handler.__doc__ or "").partition("\n")[0],
        "tags": [tag],
        "parameters": parameters,
        "responses": {
            str(route.status): done,
            **{code: {"description": words, "content": fault} for code, words in FAULTS.items()},
        },
        "security": [{"token": []}] if route.rule else [],
    }
    if route.policy:
        found["x-policy"] = route.policy
    if route.body is not None:
        content = {"application/json": {"schema": route.body}}
        found["requestBody"] = {"required": True, "content": content}
    return found

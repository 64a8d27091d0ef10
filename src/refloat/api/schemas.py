"""What JSON Schemas are made of. What validates requests is what the OpenAPI document shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]

LARGEST = 2**31 - 1


def obj(required: tuple[str, ...] = (), /, **properties: Any) -> dict[str, Any]:
    """An object with these properties and no others."""
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        schema["required"] = list(required)
    return schema


def reply(optional: str = "", /, **properties: Any) -> dict[str, Any]:
    """An object with all these properties, but for the optional ones, and no others."""
    return obj(tuple(name for name in properties if name not in optional.split()), **properties)


def array(items: Schema, **more: Any) -> dict[str, Any]:
    """An array."""
    return {"type": "array", "items": items, **more}


def wrapped(name: str, schema: Schema) -> dict[str, Any]:
    """``{"name": {...}}``, as most bodies are."""
    return reply(**{name: schema})


def listed(name: str, schema: Schema) -> dict[str, Any]:
    """A page of a list."""
    links = array(reply(rel={"const": "next"}, href=STRING))
    return obj((name,), **{name: array(schema), f"{name}_links": links})


def view(schema: Schema, row: object, **values: Any) -> dict[str, Any]:
    """A row as the schema has it; in *values* what is no attribute of the row, or is not told as it is."""
    return {name: values[name] if name in values else getattr(row, name) for name in schema["properties"]}


END = r"$(?!\n)"
"""The end of a text, in patterns. In Python ``$`` also means the place before a last newline."""

STRING: Schema = {"type": "string"}
TEXT: Schema = {"type": ["string", "null"]}
BOOLEAN: Schema = {"type": "boolean"}
ANY_OBJECT: Schema = {"type": "object"}
UUID: Schema = {
    "type": "string",
    "pattern": f"^[0-9a-fA-F]{{8}}-?([0-9a-fA-F]{{4}}-?){{3}}[0-9a-fA-F]{{12}}{END}",
    "description": "a UUID",
}
NAME: Schema = {
    "type": "string",
    "minLength": 1,
    "maxLength": 255,
    "pattern": rf"^(?=[\s\S]*\S)[^\x00-\x1f\x7f]*{END}",
}
DESCRIPTION: Schema = {"type": ["string", "null"], "maxLength": 255, "pattern": rf"^[^\x00-\x1f\x7f]*{END}"}
TIME: Schema = {"type": ["string", "null"], "description": "ISO 8601, UTC"}
WHEN: Schema = {"type": ["string", "null"], "description": "YYYY-MM-DD HH:MM:SS, UTC"}
COUNT: Schema = {"type": "integer", "minimum": 0}
NOTHING: Schema = {"type": ["object", "null"], "maxProperties": 0}

KEY = rf"^[a-zA-Z0-9\-_:.# ]{{1,255}}{END}"
PARAMETERS: Schema = {
    "type": "object",
    "description": "settings by resource type, or by type#id",
    "patternProperties": {
        KEY: {
            "type": ["object", "null"],
            "patternProperties": {KEY: {"type": ["boolean", "string", "integer"]}},
            "additionalProperties": False,
        }
    },
    "additionalProperties": False,
}

# Queries

PAGING: Mapping[str, Schema] = {
    "limit": {"type": "integer", "minimum": 1, "description": "so many items at most"},
    "marker": {
        "type": "string",
        "maxLength": 255,
        "description": "the id of the last item of the page before",
    },
    "offset": {"type": "integer", "minimum": 0, "maximum": LARGEST},
    "sort": {"type": "string", "maxLength": 255, "description": "key[:asc|desc][,key...]"},
    "sort_key": {"type": "string", "maxLength": 255},
    "sort_dir": {"type": "string", "maxLength": 255},
}
TENANTS: Mapping[str, Schema] = {
    "all_tenants": {"type": "boolean", "description": "of all projects (administrators)"},
    "project_id": {"type": "string", "maxLength": 255, "description": "with all_tenants: of this project"},
}
FILTER: Schema = {"type": "string", "maxLength": 255}


def list_query(*filters: str, **more: Schema) -> dict[str, Any]:
    """The query of a list."""
    return obj(**PAGING, **TENANTS, **dict.fromkeys(filters, FILTER), **more)


FAULT: Schema = {
    "type": "object",
    "minProperties": 1,
    "maxProperties": 1,
    "additionalProperties": obj(
        ("code", "message"), code={"type": "integer"}, message=STRING, retryAfter=STRING
    ),
}

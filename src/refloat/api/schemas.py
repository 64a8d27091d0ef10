"""JSON Schemas of requests, queries and replies: what validates is what the OpenAPI document shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refloat.records.quotas import DEFAULTS

Schema = Mapping[str, Any]

LARGEST = 2**31 - 1


def obj(required: tuple[str, ...] = (), /, **properties: Any) -> dict[str, Any]:
    """An object with these properties and no others."""
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        schema["required"] = list(required)
    return schema


def array(items: Schema, **more: Any) -> dict[str, Any]:
    """An array."""
    return {"type": "array", "items": items, **more}


def wrapped(name: str, schema: Schema) -> dict[str, Any]:
    """``{"name": {...}}``, as most bodies are."""
    return obj((name,), **{name: schema})


def listed(name: str, schema: Schema) -> dict[str, Any]:
    """A page of a list."""
    links = array(obj(("rel", "href"), rel={"const": "next"}, href=STRING))
    return obj((name,), **{name: array(schema), f"{name}_links": links})


STRING: Schema = {"type": "string"}
TEXT: Schema = {"type": ["string", "null"]}
BOOLEAN: Schema = {"type": "boolean"}
ANY_OBJECT: Schema = {"type": "object"}
UUID: Schema = {
    "type": "string",
    "pattern": "^[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}$",
    "description": "a UUID",
}
NAME: Schema = {
    "type": "string",
    "minLength": 1,
    "maxLength": 255,
    "pattern": r"^(?=[\s\S]*\S)[^\x00-\x1f\x7f]*$",
}
DESCRIPTION: Schema = {"type": ["string", "null"], "maxLength": 255, "pattern": r"^[^\x00-\x1f\x7f]*$"}
TIME: Schema = {"type": ["string", "null"], "description": "ISO 8601, UTC"}

KEY = r"^[a-zA-Z0-9\-_:.# ]{1,255}$"
SCALARS: Schema = {
    "type": ["object", "null"],
    "patternProperties": {KEY: {"type": ["boolean", "string", "integer"]}},
    "additionalProperties": False,
}
PARAMETERS: Schema = {
    "type": "object",
    "description": "settings by resource type, or by type#id",
    "patternProperties": {KEY: SCALARS},
    "additionalProperties": False,
}
_NAMED: Schema = {"type": "string", "minLength": 1, "maxLength": 255}
RESOURCE: Schema = {
    **obj(
        id=_NAMED,
        type=_NAMED,
        name={"type": "string", "maxLength": 255},
        extra_info={"type": ["object", "null"]},
        select={
            "type": "string",
            "pattern": r"^(tag|metadata):[^\x00-\x1f\x7f]",
            "maxLength": 512,
            "description": "tag:NAME or metadata:KEY=VALUE: all that carry it; goes with type alone",
        },
    ),
    "if": {"required": ["select"]},
    "then": {"required": ["type"], "maxProperties": 2},
    "else": {"required": ["id", "type", "name"]},
}
STATE_MAP: Schema = {"type": "object", "additionalProperties": STRING}

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


def list_query(*filters: str) -> dict[str, Any]:
    """The query of a list."""
    return obj(**PAGING, **TENANTS, **dict.fromkeys(filters, FILTER))


# Plans

OBJECTIVE: Schema = {
    "type": ["integer", "null"],
    "minimum": 1,
    "maximum": 87_600,
    "description": "so many hours old may the newest good checkpoint be before the operator is alerted",
}
PLAN_NEW = wrapped(
    "plan",
    obj(
        ("name", "provider_id", "resources", "parameters"),
        name=NAME,
        description=DESCRIPTION,
        provider_id=UUID,
        resources=array(RESOURCE, minItems=1),
        parameters=PARAMETERS,
        objective=OBJECTIVE,
    ),
)
PLAN_CHANGE = wrapped(
    "plan",
    {
        **obj(
            name=NAME,
            description=DESCRIPTION,
            status={"type": ["string", "null"], "maxLength": 255},
            resources=array(RESOURCE, minItems=1),
            parameters=PARAMETERS,
            objective=OBJECTIVE,
        ),
        "minProperties": 1,
    },
)
PLAN = obj(
    ("id", "name", "description", "provider_id", "resources", "status", "parameters"),
    id=UUID,
    name=STRING,
    description=TEXT,
    provider_id=STRING,
    resources=array(ANY_OBJECT),
    status=STRING,
    parameters=ANY_OBJECT,
    objective=OBJECTIVE,
    project_id=STRING,
    created_at=TIME,
    updated_at=TIME,
)

# Providers and protectables

PROVIDER = obj(
    ("id", "name", "description", "extended_info_schema"),
    id=UUID,
    name=STRING,
    description=STRING,
    extended_info_schema=obj(
        ("options_schema", "restore_schema", "verify_schema", "saved_info_schema"),
        options_schema=ANY_OBJECT,
        restore_schema=ANY_OBJECT,
        verify_schema=ANY_OBJECT,
        saved_info_schema=ANY_OBJECT,
    ),
    plugins=array(ANY_OBJECT, description="of one provider: how each type is protected, how faithfully"),
)
PROTECTABLE_TYPES = obj(("protectable_type",), protectable_type=array(STRING))
PROTECTABLE_TYPE = wrapped(
    "protectable_type", obj(("name", "dependent_types"), name=STRING, dependent_types=array(STRING))
)
_FOUND = {"id": STRING, "type": STRING, "name": TEXT, "extra_info": {"type": ["object", "null"]}}
INSTANCE = obj(
    (*_FOUND, "dependent_resources"),
    **_FOUND,
    dependent_resources=array(obj(tuple(_FOUND), **_FOUND)),
    references=array(obj(tuple(_FOUND), **_FOUND), description="of one resource: what its settings name"),
)
INSTANCES_QUERY = obj(**PAGING, parameters={"type": "string", "maxLength": 1024}, type=FILTER)

# Checkpoints

CHECKPOINT_NEW = wrapped(
    "checkpoint",
    obj(
        ("plan_id",),
        plan_id=UUID,
        **{"extra-info": {"type": ["object", "null"]}, "extra_info": {"type": ["object", "null"]}},
    ),
)
CHECKPOINT_RESET = wrapped("os-resetState", obj(("state",), state={"enum": ["available", "error"]}))
CHECKPOINT = obj(
    ("id", "project_id", "status", "protection_plan", "resource_graph", "created_at", "extra_info"),
    id=UUID,
    project_id=STRING,
    status=STRING,
    protection_plan=obj(
        ("id", "name", "provider_id", "resources"),
        id=STRING,
        name=STRING,
        provider_id=STRING,
        resources=array(ANY_OBJECT),
    ),
    resource_graph={"type": "string", "description": "JSON: [nodes, adjacency]"},
    created_at={"type": "string", "description": "YYYY-MM-DD"},
    protected_at=TIME,
    extra_info={"type": "string", "description": "JSON"},
    error_info=TEXT,
    operation_id={**TEXT, "description": "the operation that made it, while that is remembered"},
    copied_from={
        **obj(("checkpoint_id", "provider_id"), checkpoint_id=STRING, provider_id=STRING),
        "type": ["object", "null"],
    },
)
DATE: Schema = {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$", "description": "YYYY-MM-DD, UTC"}
CHECKPOINTS_QUERY = {
    **obj(**PAGING, **TENANTS, plan_id=FILTER, start_date=DATE, end_date=DATE, status=FILTER)
}

# Restores and verifications

_RUN = {
    "id": UUID,
    "project_id": STRING,
    "provider_id": STRING,
    "checkpoint_id": STRING,
    "parameters": ANY_OBJECT,
    "status": {"enum": ["in_progress", "success", "fail"]},
    "resources_status": STATE_MAP,
    "resources_reason": STATE_MAP,
}
RESTORE = obj((*_RUN, "restore_target"), **_RUN, restore_target=TEXT, error_info=TEXT)
RESTORE_TARGET: Schema = {
    "type": ["string", "null"],
    "maxLength": 255,
    "description": "URL of an identity service that the operator allows; null: the service's own",
}
RESTORE_AUTH: Schema = {
    "type": ["object", "null"],
    "description": "how to log in there: type (password, application_credential), username, password, "
    "user_domain_id, project_id, ...; nulls mean the current session. Used once, never kept or told",
    "patternProperties": {KEY: {"type": ["boolean", "string", "integer", "null"]}},
    "additionalProperties": False,
}
ONLY: Schema = array(
    {"type": "string", "minLength": 1, "maxLength": 512},
    description="TYPE#ID or TYPE#NAME of what to restore, with all that it needs; empty: all",
    maxItems=10_000,
)

VERIFICATION = obj(tuple(_RUN), **_RUN, error_info=TEXT)
RESTORE_NEW = wrapped(
    "restore",
    obj(
        ("provider_id", "checkpoint_id", "parameters"),
        provider_id=UUID,
        checkpoint_id=UUID,
        parameters=PARAMETERS,
        only=ONLY,
        keep_on_failure={
            "type": "boolean",
            "description": "when it fails, park it, to be resumed or cancelled, rather than undo it",
        },
        restore_target=RESTORE_TARGET,
        restore_auth=RESTORE_AUTH,
    ),
)
VERIFICATION_NEW = wrapped(
    "verification",
    obj(("provider_id", "checkpoint_id"), provider_id=UUID, checkpoint_id=UUID, parameters=PARAMETERS),
)

# Operation logs

OPERATION_LOG = obj(
    (
        "id",
        "operation_type",
        "checkpoint_id",
        "plan_id",
        "provider_id",
        "restore_id",
        "scheduled_operation_id",
        "status",
        "started_at",
        "ended_at",
        "error_info",
        "extra_info",
    ),
    id=UUID,
    project_id=STRING,
    operation_type=STRING,
    checkpoint_id=TEXT,
    plan_id=TEXT,
    provider_id=TEXT,
    restore_id=TEXT,
    verification_id=TEXT,
    scheduled_operation_id=TEXT,
    status=STRING,
    started_at=TIME,
    ended_at=TIME,
    error_info=TEXT,
    extra_info=TEXT,
)

# Quotas

_LIMIT: Schema = {"type": "integer", "minimum": -1, "maximum": LARGEST, "description": "-1: no limit"}
_LIMITS = dict.fromkeys(DEFAULTS, _LIMIT)


def quota_new(name: str) -> dict[str, Any]:
    """New limits; what is not known is ignored."""
    return wrapped(name, {**obj(**_LIMITS), "additionalProperties": True})


def quota(name: str) -> dict[str, Any]:
    """Limits."""
    return wrapped(name, obj(tuple(_LIMITS), **_LIMITS, id=STRING))


_USAGE = obj(
    ("limit", "in_use", "reserved"), limit=_LIMIT, in_use={"type": "integer"}, reserved={"type": "integer"}
)
QUOTA_DETAIL = wrapped("quota", obj(("id", *_LIMITS), id=STRING, **dict.fromkeys(_LIMITS, _USAGE)))

# Services

SERVICE = obj(
    ("id", "binary", "host", "status", "state", "updated_at", "disabled_reason"),
    id={"type": "integer"},
    binary=STRING,
    host=STRING,
    status={"enum": ["enabled", "disabled"]},
    state={"enum": ["up", "down"]},
    updated_at=STRING,
    disabled_reason=TEXT,
)
SERVICE_CHANGE = obj(
    ("status",),
    status={"enum": ["enabled", "disabled"]},
    disabled_reason={"type": ["string", "null"], "maxLength": 255},
)
SERVICES_QUERY = obj(host=FILTER, binary=FILTER)

# Versions

_LINKS = array(obj(("rel", "href"), rel=STRING, href=STRING))
VERSION = obj(("id", "status", "links"), id=STRING, status=STRING, links=_LINKS)
FAULT: Schema = {
    "type": "object",
    "minProperties": 1,
    "maxProperties": 1,
    "additionalProperties": obj(
        ("code", "message"), code={"type": "integer"}, message=STRING, retryAfter=STRING
    ),
}

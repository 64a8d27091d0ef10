"""Schemas of what Refloat adds to Karbor's API: operations, dry runs, upkeep of banks; and of copies."""

from __future__ import annotations

from collections.abc import Mapping

from refloat.api.schemas import (
    ANY_OBJECT,
    BOOLEAN,
    FILTER,
    ONLY,
    PAGING,
    PARAMETERS,
    RESTORE_AUTH,
    RESTORE_TARGET,
    STRING,
    TENANTS,
    TEXT,
    TIME,
    UUID,
    Schema,
    array,
    obj,
    wrapped,
)

# Copies

COPY_PARAMETERS = obj(
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
COPY_NEW = wrapped(
    "copy",
    {
        **obj(plan_id=UUID, checkpoint_id=UUID, parameters=COPY_PARAMETERS),
        "anyOf": [{"required": ["plan_id"]}, {"required": ["checkpoint_id"]}],
        "description": "of all available checkpoints of a plan, or of one",
    },
)
_PAIR = obj(
    ("checkpoint_protect_id", "checkpoint_copy_id"), checkpoint_protect_id=UUID, checkpoint_copy_id=UUID
)
COPY = obj(
    ("project_id", "provider_id", "plan_id", "checkpoint_id", "parameters"),
    project_id=STRING,
    provider_id=STRING,
    plan_id=TEXT,
    checkpoint_id=array(_PAIR),
    parameters=ANY_OBJECT,
)

# Operations

STATUSES = {
    "starting": "written down; a worker takes it up",
    "running": "",
    "stopping": "being parked",
    "cancelling": "being undone",
    "interrupted": "its worker is gone; another takes it up",
    "parked": "stopped where it was; can be resumed or cancelled",
    "succeeded": "",
    "failed": "what it had created is removed",
    "cancelled": "what it had created is removed",
}
TYPES = ("protect", "restore", "verify", "copy", "delete", "bank_info", "bank_verify", "bank_collect")
DRY = ("restore", "copy", "delete")

_COUNT: Schema = {"type": "integer", "minimum": 0}
PROGRESS = obj(
    ("steps", "done", "failed", "skipped", "running", "bytes_done", "bytes_total", "percent", "eta"),
    steps=_COUNT,
    done=_COUNT,
    failed=_COUNT,
    skipped=_COUNT,
    running=_COUNT,
    bytes_done=_COUNT,
    bytes_total={**_COUNT, "description": "0: not known"},
    percent={"type": ["integer", "null"], "minimum": 0, "maximum": 100},
    eta={"type": ["integer", "null"], "minimum": 0, "description": "seconds to go, if it goes on like this"},
)
_OPERATION: Mapping[str, Schema] = {
    "id": UUID,
    "project_id": STRING,
    "type": {"enum": list(TYPES)},
    "dry_run": {"type": "boolean", "description": "it only finds out what it would do: the result tells"},
    "status": {
        "enum": list(STATUSES),
        "description": "; ".join(f"{word}: {text}" for word, text in STATUSES.items() if text),
    },
    "provider_id": STRING,
    "checkpoint_id": TEXT,
    "copy_id": {
        "type": ["string", "null"],
        "description": "of a copy: the id of the checkpoint that it makes",
    },
    "copy_provider_id": {"type": ["string", "null"], "description": "of a copy: the provider it goes to"},
    "plan_id": TEXT,
    "plan_name": TEXT,
    "restore_target": TEXT,
    "created_at": TIME,
    "updated_at": TIME,
    "ended_at": TIME,
    "attempt": {"type": "integer", "minimum": 0, "description": "one more each time it was taken up"},
    "progress": PROGRESS,
    "error_info": TEXT,
}
OPERATION = obj(tuple(_OPERATION), **_OPERATION)
_ERROR = obj(
    ("error", "message"),
    error=STRING,
    **dict.fromkeys(("message", "resource", "reason", "request_id", "left_behind", "advice"), STRING),
)
_DETAIL: Mapping[str, Schema] = {
    **_OPERATION,
    "active": array(
        obj(
            ("step", "resource", "state", "text", "bytes_done", "bytes_total"),
            step=STRING,
            resource={"type": ["string", "null"], "description": "TYPE#ID"},
            state={"enum": ["running", "waiting"]},
            text={"type": "string", "description": "what is waited for"},
            bytes_done=_COUNT,
            bytes_total=_COUNT,
        ),
        description="what runs or waits now",
    ),
    "resources": array(
        obj(
            ("type", "id", "name", "status", "reason", "new_id"),
            type=STRING,
            id=STRING,
            name=TEXT,
            status={
                "enum": [
                    *("pending", "running", "done", "failed", "skipped", "stopped"),
                    *("created", "reused", "removed", "good", "bad", "complete", "incomplete"),
                ]
            },
            reason=TEXT,
            new_id={"type": ["string", "null"], "description": "of what a restore made or re-used"},
        )
    ),
    "created": array(
        obj(("kind", "id", "for", "role"), **dict.fromkeys(("kind", "id", "for", "role"), STRING)),
        description="what it has created in the cloud, and would remove if it were undone",
    ),
    "result": {"type": ["object", "null"], "description": "what it has come to; of a dry run: the plan"},
    "error": {"anyOf": [_ERROR, {"type": "null"}]},
}
OPERATION_DETAIL = obj(tuple(_DETAIL), **_DETAIL)
OPERATIONS_QUERY = obj(
    **PAGING,
    **TENANTS,
    type={"type": "string", "enum": list(TYPES)},
    dry_run=BOOLEAN,
    status={
        "type": "string",
        "enum": ["running", "parked", "succeeded", "failed", "cancelled"],
        "description": "running: all that have not ended and are not parked",
    },
    checkpoint_id=FILTER,
    plan_id=FILTER,
)
EVENT = obj(
    ("number", "time", "attempt", "step", "resource", "hook", "status", "reason"),
    number=_COUNT,
    time=TIME,
    attempt=_COUNT,
    step=STRING,
    resource={"type": ["string", "null"], "description": "TYPE#ID"},
    hook=TEXT,
    status={"enum": ["done", "failed", "skipped"]},
    reason=TEXT,
)
EVENTS_QUERY = obj(limit=PAGING["limit"], offset=PAGING["offset"])
EVENTS = obj(("events", "total"), events=array(EVENT), total=_COUNT)

OPERATION_NEW = wrapped(
    "operation",
    {
        **obj(
            ("type", "dry_run", "provider_id", "checkpoint_id"),
            type={"enum": list(DRY)},
            dry_run={"const": True, "description": "only dry runs are begun here"},
            provider_id=UUID,
            checkpoint_id=UUID,
            parameters={"type": ["object", "null"], "description": "those of a restore, or of a copy"},
            only=ONLY,
            restore_target=RESTORE_TARGET,
            restore_auth=RESTORE_AUTH,
        ),
        "allOf": [
            {
                "if": {"properties": {"type": {"const": "copy"}}},
                "then": {"required": ["parameters"], "properties": {"parameters": COPY_PARAMETERS}},
            },
            {
                "if": {"properties": {"type": {"const": "restore"}}},
                "then": {"properties": {"parameters": {"anyOf": [PARAMETERS, {"type": "null"}]}}},
            },
        ],
    },
)
_WITH_AUTH = {**obj(restore_auth=RESTORE_AUTH, restore_target=RESTORE_TARGET), "type": ["object", "null"]}
_PLAIN: Schema = {"type": ["object", "null"], "maxProperties": 0}
OPERATION_ACTION: Schema = {
    **obj(cancel=_WITH_AUTH, resume=_PLAIN, park=_PLAIN),
    "minProperties": 1,
    "maxProperties": 1,
}

# Banks

BANK_ACTION: Schema = {
    **obj(
        info=_PLAIN,
        verify=obj(
            depth={"enum": ["manifests", "existence", "full"], "default": "full"},
            sample={
                "type": "number",
                "exclusiveMinimum": 0,
                "maximum": 100,
                "default": 100,
                "description": "percent of the data to read back, chosen at random",
            },
            project_id={"type": ["string", "null"], "maxLength": 64, "description": "only of this project"},
        )
        | {"type": ["object", "null"]},
        collect=_PLAIN,
    ),
    "minProperties": 1,
    "maxProperties": 1,
}

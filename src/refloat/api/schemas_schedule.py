"""JSON Schemas of triggers, scheduled operations and legal holds."""

from __future__ import annotations

from refloat.api.schemas import (
    ANY_OBJECT,
    BOOLEAN,
    DESCRIPTION,
    NAME,
    STRING,
    TEXT,
    UUID,
    Schema,
    array,
    obj,
    wrapped,
)
from refloat.schedule.definition import TYPES
from refloat.schedule.patterns import FORMATS
from refloat.schedule.timetable import MISFIRES

WHEN: Schema = {"type": ["string", "null"], "description": "YYYY-MM-DD HH:MM:SS, UTC"}

# Triggers

_SENT = {
    "format": {"enum": list(FORMATS)},
    "pattern": {
        "type": "string",
        "maxLength": 4096,
        "description": "an iCalendar VEVENT with RRULE, or the five fields of a crontab",
    },
    "start_time": {**WHEN, "maxLength": 32},
    "end_time": {**WHEN, "maxLength": 32},
    "window": {"type": ["integer", "null"], "description": "seconds after its time that it may start"},
    "timezone": {"type": ["string", "null"], "maxLength": 64, "description": "as Europe/Berlin; else UTC"},
    "misfire": {
        "enum": [*MISFIRES, None],
        "description": "what becomes of firings that come too late; else run_once",
    },
}
TRIGGER_NEW = wrapped(
    "trigger_info",
    obj(
        ("name", "type", "properties"),
        name=NAME,
        type={"enum": ["time"]},
        properties=obj(("format", "pattern"), **_SENT),
    ),
)
TRIGGER_CHANGE = wrapped("trigger_info", {**obj(name=NAME, properties=obj(**_SENT)), "minProperties": 1})
TRIGGER = obj(
    ("id", "name", "type", "properties", "next_run_at", "created_at"),
    id=UUID,
    name=STRING,
    type=STRING,
    properties=obj(
        ("format", "pattern", "start_time", "window", "timezone", "misfire"),
        format=STRING,
        pattern=STRING,
        start_time=STRING,
        end_time=STRING,
        window={"type": "integer"},
        timezone=STRING,
        misfire=STRING,
    ),
    next_run_at=WHEN,
    created_at=WHEN,
)

# Scheduled operations

_DEFINITION: Schema = {
    "anyOf": [
        {
            "type": "object",
            "required": ["provider_id", "plan_id"],
            "properties": {"provider_id": STRING, "plan_id": STRING},
            "additionalProperties": {"type": ["boolean", "string", "integer", "null"]},
            "maxProperties": 64,
        },
        {"type": "string", "maxLength": 4096, "description": "key=value,key=value"},
    ]
}
SCHEDULED_NEW = wrapped(
    "scheduled_operation",
    obj(
        ("name", "operation_type", "trigger_id", "operation_definition"),
        name=NAME,
        description=DESCRIPTION,
        operation_type={"enum": list(TYPES)},
        trigger_id=UUID,
        operation_definition=_DEFINITION,
    ),
)
SCHEDULED_CHANGE = wrapped(
    "scheduled_operation",
    {**obj(name=NAME, description=DESCRIPTION, enabled=BOOLEAN), "minProperties": 1},
)
SCHEDULED_ACTION = obj(("run",), run=ANY_OBJECT)
_DELETION = obj(
    ("checkpoint_id", "rule", "state", "reason", "operation_id"),
    checkpoint_id=STRING,
    rule=STRING,
    state=STRING,
    reason=STRING,
    operation_id=STRING,
)
_FIRING = obj(
    (
        "id",
        "due_at",
        "manual",
        "state",
        "reason",
        "operation_id",
        "checkpoint_id",
        "started_at",
        "ended_at",
        "deletions",
    ),
    id=UUID,
    due_at=WHEN,
    manual=BOOLEAN,
    state={"enum": ["waiting", "running", "cleaning", "succeeded", "failed", "dropped"]},
    reason=TEXT,
    operation_id=TEXT,
    checkpoint_id=TEXT,
    started_at=WHEN,
    ended_at=WHEN,
    deletions=array(_DELETION),
)
SCHEDULED = obj(
    (
        "id",
        "name",
        "description",
        "operation_type",
        "trigger_id",
        "operation_definition",
        "enabled",
        "next_run_at",
        "status_reason",
        "last_runs",
    ),
    id=UUID,
    name=STRING,
    description=TEXT,
    operation_type=STRING,
    trigger_id=STRING,
    operation_definition=ANY_OBJECT,
    enabled=BOOLEAN,
    next_run_at=WHEN,
    status_reason={**TEXT, "description": "why it cannot run, as far as that is known"},
    last_runs=array(_FIRING),
)

# Retention

RETENTION = wrapped(
    "retention",
    obj(
        ("rules", "checkpoints"),
        rules=ANY_OBJECT,
        checkpoints=array(
            obj(
                ("id", "created_at", "keep", "rule"),
                id=STRING,
                created_at=STRING,
                keep=BOOLEAN,
                rule=STRING,
            )
        ),
    ),
)

# Legal holds

HOLD_NEW = wrapped("hold", obj(("reason",), reason=NAME))
HOLD = obj(
    ("checkpoint_id", "reason", "user_id", "created_at"),
    checkpoint_id=STRING,
    reason=STRING,
    user_id=STRING,
    created_at=STRING,
)

"""Reads what was sent, strictly: UTF-8, JSON, of the schema's form. Every refusal is a 400 that says why."""

from __future__ import annotations

import json
import math
import re
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from refloat.api.faults import Fault
from refloat.api.schemas import UUID, Schema

_BOOLEANS = {
    **dict.fromkeys(("1", "true", "yes", "y", "t", "on"), True),
    **dict.fromkeys(("0", "false", "no", "n", "f", "off"), False),
}
_HALVES = re.compile("[\ud800-\udfff]")
_UUID = re.compile(UUID["pattern"])
_MOST_DIGITS = 40
_SHOWN = 200
DEEPEST = 32
"""So deep the objects and arrays of a body may be nested."""
SECRET = "restore_auth"  # noqa: S105 - the name of what holds one


def check(schema: Schema, value: Any, what: str) -> None:
    """:raises Fault: the value is not of the schema's form."""
    error = best_match(Draft202012Validator(schema).iter_errors(value))
    if error is not None:
        where = "/".join(str(part) for part in error.absolute_path)
        message = error.message if len(error.message) <= _SHOWN else f"{error.message[:_SHOWN]}..."
        if SECRET in where or SECRET in error.message:
            message = "it is not of the form that is documented"  # what was sent holds a password
        raise Fault(400, f"{what} is wrong{f' at {where}' if where else ''}: {message}")


def read_body(data: bytes, schema: Schema) -> Mapping[str, Any]:
    """The body of a request. :raises Fault: it is not what the schema says."""
    try:
        value = json.loads(data.decode("utf-8"), parse_constant=_no_constant, parse_float=_finite)
    except UnicodeDecodeError:
        raise Fault(400, "the body is not UTF-8") from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError as exc:
        raise Fault(400, f"the body is not JSON: {exc}") from None
    if any(not storable(text) for text in _strings(value)):
        raise Fault(400, "the body holds characters that cannot be kept")
    check(schema, value, "the body")
    found: Mapping[str, Any] = value
    return found


def read_query(given: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """What of a query the schema knows, in the schema's types; the rest is ignored.

    :raises Fault: a value is not of the schema's form.
    """
    found: dict[str, Any] = {}
    for name, wanted in schema.get("properties", {}).items():
        if name in given:
            value = given[name][-1] if isinstance(given[name], list) else given[name]
            if not storable(value):
                raise Fault(400, f"{name} holds characters that cannot be kept")
            found[name] = _convert(name, value, wanted)
    check(schema, found, "the query")
    return found


def check_path(path: Mapping[str, str]) -> None:
    """:raises Fault: a parameter of the path cannot name anything."""
    for name, value in path.items():
        if not storable(value):
            raise Fault(400, f"{name} holds characters that cannot be kept")
        if name in UUIDS and not _UUID.search(value):
            raise Fault(400, f"{name} must be a UUID")


UUIDS = frozenset(
    {
        "provider_id",
        "plan_id",
        "checkpoint_id",
        "restore_id",
        "restore_plan_id",
        "verification_id",
        "operation_id",
        "operation_log_id",
        "target_id",
        "trigger_id",
        "scheduled_operation_id",
    }
)
"""The parameters of paths that are UUIDs."""


def same_form(identity: str) -> str:
    """A UUID as it is kept: with dashes, in small letters."""
    return str(uuid.UUID(identity))


def storable(text: str) -> bool:
    """Whether every database can keep a text: no NUL, no halves of characters."""
    return "\x00" not in text and (text.isascii() or _HALVES.search(text) is None)


def _convert(name: str, value: str, wanted: Schema) -> Any:
    if wanted.get("type") == "boolean":
        if value.lower() not in _BOOLEANS:
            raise Fault(400, f"{name} must be true or false")
        return _BOOLEANS[value.lower()]
    if wanted.get("type") == "integer":
        if not re.fullmatch(rf"[+-]?[0-9]{{1,{_MOST_DIGITS}}}", value):
            raise Fault(400, f"{name} must be a whole number")
        return int(value)
    return value


def _strings(value: Any) -> Iterator[str]:
    """All texts in a value. :raises Fault: it is nested too deeply."""
    pending = [(value, 0)]
    while pending:
        item, depth = pending.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict | list):
            if depth == DEEPEST:
                raise _too_deep()
            parts = (*item, *item.values()) if isinstance(item, dict) else item
            pending.extend((part, depth + 1) for part in parts)


def _too_deep() -> Fault:
    return Fault(400, f"the body is nested too deeply: {DEEPEST} levels at most")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is too large a number")
    return number


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")

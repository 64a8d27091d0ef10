"""What a scheduled operation is to do: its type, and the definition in the forms that clients send."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from refloat.errors import InvalidInput
from refloat.schedule.retention import NAMES, Rules

PROTECT, RETENTION_PROTECT = "protect", "retention_protect"
TYPES = (PROTECT, RETENTION_PROTECT)
_IDS = ("provider_id", "plan_id")
INCLUDE_MANUAL = "include_manual"
"""In a definition: the rules are for checkpoints that were made by hand, too."""
_YES, _NO = ("true", "yes", "1"), ("false", "no", "0", "none", "")


def checked(operation_type: str, given: Mapping[str, Any] | str) -> dict[str, Any]:
    """A definition with ids and numbers as they are kept; what is not known is kept as it is.

    :param given: an object, or ``"key=value,key=value"`` as the OpenStackClient plugin sends it. Values may
        be texts in quotes, as the ``karbor`` shell sends them.
    :raises InvalidInput: the type is unknown, something is missing or wrong.
    """
    if operation_type not in TYPES:
        raise InvalidInput(f"operation_type must be one of {', '.join(TYPES)}")
    pairs = _read(given) if isinstance(given, str) else given
    found = {name: _bare(value) for name, value in pairs.items()}
    for name in _IDS:
        if not found.get(name):
            raise InvalidInput(f"operation_definition needs a {name}")
        try:
            found[name] = str(uuid.UUID(str(found[name])))
        except ValueError:
            raise InvalidInput(f"{name} in operation_definition must be a UUID") from None
    if operation_type == RETENTION_PROTECT:
        Rules.from_definition(found)
        found |= {name: int(found[name]) for name in NAMES if found.get(name) not in (None, "")}
        if INCLUDE_MANUAL in found:
            found[INCLUDE_MANUAL] = _truth(INCLUDE_MANUAL, found[INCLUDE_MANUAL])
    return found


def changed(before: Mapping[str, Any], wanted: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """A type and a definition with some of it changed; a rule that is 0, -1 or false is none any more."""
    found = {**before, **wanted}
    rules = {name for name in (*NAMES, INCLUDE_MANUAL) if found.get(name) not in (None, "", 0, -1)}
    kept = {name: value for name, value in found.items() if name in rules or name not in NAMES}
    return RETENTION_PROTECT if rules else PROTECT, kept


def _read(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise InvalidInput(
                "operation_definition cannot be read", advice="As in: provider_id=ID,plan_id=ID,max_backups=7"
            )
        found[name.strip()] = value.strip()
    return found


def _truth(name: str, value: Any) -> bool:
    told = str(value).strip().lower()
    if told not in _YES + _NO:
        raise InvalidInput(f"{name} must be true or false")
    return told in _YES


def _bare(value: Any) -> Any:
    if isinstance(value, str) and len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return value

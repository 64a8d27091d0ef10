"""References to data inside JSON: what a section mentions, and the section with others in their place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refloat.bank.objects import INDEX_NAME, Json


def data_references(value: Json) -> list[dict[str, Any]]:
    """All references to data that a JSON value contains, wherever; each once."""
    found: dict[str, dict[str, Any]] = {}
    pending = [value]
    while pending:
        each = pending.pop()
        if is_reference(each):
            found.setdefault(each["object"], dict(each))
        elif isinstance(each, Mapping):
            pending.extend(each.values())
        elif isinstance(each, list | tuple):
            pending.extend(each)
    return sorted(found.values(), key=lambda ref: str(ref["object"]))


def with_references(value: Json, new: Mapping[str, Mapping[str, Any]]) -> Json:
    """A JSON value with other references in it.

    :param new: the new reference by the ``object`` of the old one. Those without a new one stay.
    """
    if is_reference(value):
        return dict(new.get(value["object"], value))
    if isinstance(value, Mapping):
        return {name: with_references(item, new) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [with_references(item, new) for item in value]
    return value


def is_reference(value: Json) -> bool:
    """Whether a JSON value is a reference to data, as ``Writer.put_data`` returns it."""
    if not isinstance(value, Mapping) or not {"object", "size", "digest"} <= value.keys():
        return False
    name = value["object"]
    return isinstance(name, str) and INDEX_NAME.fullmatch(name) is not None

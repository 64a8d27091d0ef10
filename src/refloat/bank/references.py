"""References to data inside JSON: what a section mentions, and the section with others in their place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from refloat.bank.objects import INDEX_NAME, Json

_DIGEST = re.compile(r"[0-9a-f]{64}")


def data_references(value: Json) -> list[dict[str, Any]]:
    """All references to data that a JSON value contains, wherever; each once."""
    found: dict[str, dict[str, Any]] = {}
    for each in _references(value):
        found.setdefault(each["object"], dict(each))
    return [found[name] for name in sorted(found)]


def references(value: Json) -> set[tuple[str, int, str]]:
    """Index, size and digest of all data that a JSON value refers to, wherever."""
    return {(each["object"], each["size"], each["digest"]) for each in _references(value)}


def _references(value: Json) -> Iterator[Mapping[str, Any]]:
    pending = [value]
    while pending:
        each = pending.pop()
        if is_reference(each):
            yield each
        elif isinstance(each, Mapping):
            pending.extend(each.values())
        elif isinstance(each, list | tuple):
            pending.extend(each)


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
    """Whether a JSON value is a reference to data, as ``Writer.put_data`` returns it.

    Names and properties of resources are whatever their owners like: a string is never a reference.
    """
    if not isinstance(value, Mapping):
        return False
    match [value.get("object"), value.get("size"), value.get("digest")]:
        case [str(name), int(), str(digest)]:
            return INDEX_NAME.fullmatch(name) is not None and _DIGEST.fullmatch(digest) is not None
    return False

"""References to data inside JSON: what a section mentions, and the section with others in their place.

Names, properties and metadata of resources are whatever their owners like, and may look just like one.
So ``Writer.put_data`` *marks* what it returns, with a key of the project that no user has; and of what is
read from a bank, what looks like one and is not of the checkpoint's own data is :class:`Text`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from blake3 import blake3

from refloat.bank.objects import INDEX_NAME, Json
from refloat.bank.sealing import derive

_DIGEST = re.compile(r"[0-9a-f]{64}")
_PLAIN = (str, int, float, type(None))
_MAPPING = (dict, Mapping)
"""To ask a class for ABCs is slow, and sections are many."""


class Text(dict[str, Any]):
    """What looks like a reference to data, and is something that a user wrote."""


def mark(chunk_key: bytes, ref: Mapping[str, Any]) -> str:
    """What tells a reference from all that others can write."""
    text = f"{ref['object']} {ref['size']} {ref['digest']}".encode()
    return blake3(text, key=derive("reference", chunk_key)).hexdigest(length=16)


def data_references(value: Json) -> list[dict[str, Any]]:
    """All references in a part of a checkpoint, wherever; each once."""
    found: dict[str, dict[str, Any]] = {}
    for each in _walk(value, _is_reference):
        found.setdefault(each["object"], dict(each))
    return [found[name] for name in sorted(found)]


def references(value: Json, indexes: Collection[str]) -> set[tuple[str, int, str]]:
    """Index, size and digest of all data among ``indexes`` that a JSON value refers to, wherever."""
    found = _walk(value, lambda item: looks_like_one(item) and item["object"] in indexes)
    return {(each["object"], each["size"], each["digest"]) for each in found}


def lookalikes(value: Json) -> Iterator[Mapping[str, Any]]:
    """All that looks like a reference, wherever."""
    return _walk(value, looks_like_one)


def typed(value: Json, indexes: Collection[str]) -> Json:
    """A JSON value in which what only looks like a reference to data among ``indexes`` is :class:`Text`."""

    def is_text(item: Json) -> bool:
        return looks_like_one(item) and item["object"] not in indexes

    # There hardly ever is such a thing, and to build everything anew is slow.
    return value if next(_walk(value, is_text), None) is None else _replaced(value, is_text, Text)


def with_references(value: Json, new: Mapping[str, Mapping[str, Any]]) -> Json:
    """A part of a checkpoint with other references in it.

    :param new: the new reference by the ``object`` of the old one. Those without a new one stay.
    """
    return _replaced(value, _is_reference, lambda old: dict(new.get(old["object"], old)))


def looks_like_one(value: Json) -> bool:
    if not isinstance(value, _MAPPING) or not isinstance(name := value.get("object"), str):
        return False
    match [value.get("size"), value.get("digest")]:
        case [int(), str(digest)]:
            return INDEX_NAME.fullmatch(name) is not None and _DIGEST.fullmatch(digest) is not None
    return False


def _is_reference(value: Json) -> bool:
    return looks_like_one(value) and not isinstance(value, Text)


def _walk(value: Json, wanted: Callable[[Json], bool]) -> Iterator[Mapping[str, Any]]:
    pending = [value]
    while pending:
        each = pending.pop()
        if isinstance(each, _PLAIN):
            continue
        if wanted(each):
            yield each
        elif isinstance(each, _MAPPING):
            pending.extend(each.values())
        elif isinstance(each, list | tuple):
            pending.extend(each)


def _replaced(value: Json, wanted: Callable[[Json], bool], new: Callable[[Json], Json]) -> Json:
    if wanted(value):
        return new(value)
    if isinstance(value, Mapping):
        return {name: _replaced(item, wanted, new) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_replaced(item, wanted, new) for item in value]
    return value

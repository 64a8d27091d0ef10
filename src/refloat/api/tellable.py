"""What callers are told of errors: without the operator's places, which the log and administrators have.

Errors name paths, URLs of stores and databases, and objects of banks, for the operator and for users of the
command, whose own these are. Users of the service can do nothing with them; an attacker could.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "(hidden)"
_PLACES = re.compile(
    r"""[a-z][a-z0-9+.-]*://[^\s'"<>,;)]+  # the URL of a store, of a database, of an inner endpoint
    | (?<![\w/.\#*@-])(?<!::)~?/(?!dev/[a-z]+\b)[\w.@+~-]+(?:/[\w.@+~-]+)*/?  # a path, not a device
    | (?<!\w)\.\.?(?:/[\w.@+~-]+)+/?  # a relative one
    | \b(?:alive|checkpoints|condemned|data|databases|holds|keys|writers)/[\w./-]+  # an object of a bank
    | (?<=\bbank[ ])[0-9a-f]{8,}\b  # a bank's id
    | \b[\w-]+(?:\.[\w-]+)+:[0-9]{2,5}\b  # a host with a port
    | (?<=\bserver[ ]at[ ])"[^"]+"(?:[ ]\([^)]*\))?,[ ]port[ ][0-9]+  # PostgreSQL's
    | \b(?:host|port)=[^\s,;)]+ | \b(?:endpoint|bucket|root):[ ][^\s,}]+(?=,|[ ]})  # what libraries say
    | \b[\w.+-]+\.(?:key|keyring|recovery|sqlite(?:-wal|-shm)?|conf)\b""",
    re.VERBOSE | re.IGNORECASE,
)
_TEXTS = frozenset(
    {"error_info", "reason", "status_reason", "message", "left_behind", "advice", "resource", "text"}
)
_GROUPS = frozenset({"resources_reason", "problems", "error"})
_OWN = frozenset({"hold"})
"""What users have written themselves."""


def words(text: str) -> str:
    """A text without the operator's places."""
    return _PLACES.sub(HIDDEN, text)


def answer(value: Any, *, told: bool = False) -> Any:
    """The body of an answer, its errors without the operator's places.

    :param told: all texts in it are of an error.
    """
    if isinstance(value, str):
        return words(value) if told else value
    if isinstance(value, Mapping):
        return {
            name: item
            if name in _OWN
            else answer(item, told=told or name in _GROUPS or (name in _TEXTS and isinstance(item, str)))
            for name, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [answer(item, told=told) for item in value]
    return value

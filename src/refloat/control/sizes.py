"""How much may be said of a plan or an operation: it is written down, and read again, many times."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from refloat.errors import InvalidInput

LARGEST = 1 << 16
"""Bytes of JSON. An operation's plan does not count: it is bounded by itself."""


def check_size(described: Mapping[str, Any], what: str) -> None:
    """:raises InvalidInput: it takes more than :data:`LARGEST` to say it."""
    size = len(json.dumps(described, default=str))
    if size > LARGEST:
        raise InvalidInput(
            f"{what} is too large: {size} bytes, {LARGEST} at most",
            advice="Name a parent, or a tag, in the place of many resources; or divide it",
        )

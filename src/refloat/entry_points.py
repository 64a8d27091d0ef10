"""What the installed distributions declare, read once: that takes as long as a short command."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from typing import Any


def entry_points(*, group: str) -> Iterable[metadata.EntryPoint]:
    """The entry points of a group."""
    found: Iterable[metadata.EntryPoint] = _declared(tuple(sys.path)).select(group=group)
    return found


@cache
def _declared(_path: tuple[str, ...]) -> Any:
    return metadata.entry_points()

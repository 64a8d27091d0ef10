"""How many chunks this process has found changed of which the storage had said that they had not."""

from __future__ import annotations

import threading

_lock = threading.Lock()
_total = 0


def add(chunks: int) -> None:
    global _total
    with _lock:
        _total += chunks


def total() -> int:
    return _total

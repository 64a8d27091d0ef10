"""How far an operation is: kept for whoever looks at it, in this process or another."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

_SHOWN = 100
"""So many running steps are told."""


@dataclass(slots=True)
class _Active:
    state: Literal["started", "waiting"] = "started"
    text: str = ""
    done: int = 0
    total: int = 0


class Progress:
    """The progress of one operation. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._active: dict[str, _Active] = {}
        self._moved: dict[str, tuple[int, int]] = {}
        self._counts = {"total": 0, "done": 0, "failed": 0, "skipped": 0}
        self._changes = 0
        self._shown = -1

    def plan(self, steps: Iterable[str]) -> None:
        with self._lock:
            self._counts["total"] = len(list(steps))
            self._changes += 1

    def started(self, name: str) -> None:
        """A step runs, or runs on after a wait."""
        with self._lock:
            active = self._active.setdefault(name, _Active())
            active.state, active.text = "started", ""
            self._changes += 1

    def waiting(self, name: str, text: str) -> None:
        with self._lock:
            active = self._active.setdefault(name, _Active())
            active.state, active.text = "waiting", text
            self._changes += 1

    def progress(self, name: str, done: int, total: int) -> None:
        """A step has moved so many of so many bytes."""
        with self._lock:
            active = self._active.setdefault(name, _Active())
            active.done, active.total = done, total
            self._changes += 1

    def moved(self, name: str) -> tuple[int, int]:
        """The bytes a running step has told of."""
        with self._lock:
            active = self._active.get(name)
            return (active.done, active.total) if active else (0, 0)

    def ended(
        self,
        name: str,
        status: Literal["done", "failed", "skipped"],
        *,
        counts: bool = True,
        moved: tuple[int, int] = (0, 0),
    ) -> None:
        """A step has ended; *counts* is False for the program's own phases."""
        with self._lock:
            active = self._active.pop(name, None)
            if active is not None:
                moved = (active.done, active.total)
            if moved != (0, 0):
                self._moved[name] = moved
            if counts:
                self._counts[status] += 1
            self._changes += 1

    def abandoned(self, name: str) -> None:
        with self._lock:
            self._active.pop(name, None)
            self._changes += 1

    @property
    def changed(self) -> bool:
        """Whether there is something that :meth:`to_json` has not shown yet."""
        return self._changes != self._shown

    def to_json(self) -> dict[str, Any]:
        with self._lock:
            self._shown = self._changes
            moved = [*self._moved.values(), *((a.done, a.total) for a in self._active.values())]
            active = [
                {"step": name, "state": a.state, "text": a.text, "done": a.done, "total": a.total}
                for name, a in list(self._active.items())[:_SHOWN]
            ]
            return {
                **self._counts,
                "running": len(self._active),
                "active": active,
                "bytes_done": sum(done for done, _ in moved),
                "bytes_total": sum(total for _, total in moved),
            }

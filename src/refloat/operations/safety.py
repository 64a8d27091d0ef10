"""The safety checkpoint: what is replaced is protected before anything of it is changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Thread
from typing import Any

from refloat.bank import Bank
from refloat.engine.program import Body
from refloat.errors import RefloatError
from refloat.graph import ResourceKey

GATE = "safety checkpoint"
"""The step that waits for it; nothing else begins before."""

_TICK = 1.0
_TIMEOUT = 7 * 24 * 3600.0
"""Seconds that a protection may take."""
_GOING_ON = ("queued", "running")

Look = Callable[[str], tuple[str, str]]
"""The state of an operation, and why it failed."""


@dataclass(frozen=True)
class _End:
    """A wait for the end of another operation."""

    look: Look
    operation_id: str

    def begin(self) -> Future[tuple[str, str]]:
        future: Future[tuple[str, str]] = Future()
        Thread(target=self._watch, args=(future,), name="safety", daemon=True).start()
        return future

    def describe(self) -> str:
        return f"the safety checkpoint to be made, by operation {self.operation_id}"

    def _watch(self, future: Future[tuple[str, str]]) -> None:
        give_up = time.monotonic() + _TIMEOUT
        while not future.cancelled():
            try:
                told = self.look(self.operation_id)
            except Exception as exc:
                if future.set_running_or_notify_cancel():
                    future.set_exception(exc)
                return
            if told[0] not in _GOING_ON or time.monotonic() > give_up:
                if future.set_running_or_notify_cancel():
                    future.set_result(told)
                return
            time.sleep(_TICK)


def made(
    safety: Mapping[str, str],
    look: Look,
    bank: Callable[[], Bank],
    replaced: Collection[ResourceKey],
    project: str,
) -> Body:
    """Wait until the safety checkpoint is there, with all that is replaced.

    :raises RefloatError: it could not be made, or lacks something.
    """
    state, reason = yield _End(look, safety["operation_id"])
    checkpoint = safety["checkpoint_id"]
    lacking: list[str] = []
    if state == "succeeded":
        graph: Mapping[str, Any] = bank().checkpoint(checkpoint, project).graph
        held = {(node["type"], node["id"]) for node in graph["nodes"]}
        lacking = sorted(str(key) for key in replaced if key not in held)
        reason = f"the checkpoint {checkpoint} lacks {', '.join(lacking)}"
    if state != "succeeded" or lacking:
        raise RefloatError(
            "the safety checkpoint could not be made, and nothing was replaced",
            reason=reason or f"operation {safety['operation_id']} is {state}",
            advice="Do without it: --no-safety",
        )
    return {"checkpoint_id": checkpoint}


def how_to_bring_back(safety: Mapping[str, str] | None) -> str:
    if safety is None:
        return "There is no safety checkpoint: restore again, from this checkpoint or another"
    return f"Bring it back: refloat restore {safety['checkpoint_id']} --existing replace --no-safety"

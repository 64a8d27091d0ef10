"""One piece of a program's code that is run: a step, or ``prepare``, ``finish`` or ``undo``.

The code runs in whichever thread calls :meth:`Task.go`, up to its next wait or its end. Between two calls
it holds no thread.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Generator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeAlias

from refloat.engine.program import Body, Json, Outcome, StepRun
from refloat.errors import Cancelled, RefloatError

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Waiting:
    """The code waits for this."""

    future: Future[Any]
    text: str


Pause: TypeAlias = Waiting | Outcome | None
"""Why the code does not run any more: it waits, it has ended, or (None) it gave way to a cancellation."""


_NOTHING = Outcome("done")
"""That of most steps: one will do for all."""


class Task:
    """A piece of code and where it is.

    :param name: as it is shown to people.
    """

    def __init__(self, name: str, call: Callable[[StepRun], Json | Body], run: StepRun) -> None:
        self.name = name
        self._call = call
        self._run = run
        self._body: Body | None = None

    def go(self, woken: Future[Any] | None = None) -> Pause:
        """Run from the start; or, with the future it waited for, on from there."""
        try:
            if self._body is None:
                made = self._call(self._run)
                if not isinstance(made, Generator):
                    return self._ended(made)
                self._body = made
                return self._follow(made, lambda: next(made))
            return self._follow(self._body, self._feed(self._body, woken))
        except BaseException as error:
            return self._failed(error)

    def drop(self) -> None:
        """Let code that waits clean up after itself; it will not be run on."""
        body, self._body = self._body, None
        if body is not None:
            try:
                body.close()
            except Exception:
                _LOG.exception("%s failed while it was being stopped", self.name)

    def _follow(self, body: Body, step: Callable[[], Any]) -> Pause:
        while True:
            try:
                wait = step()
            except StopIteration as end:
                self._body = None
                return self._ended(end.value)
            try:
                future = wait.begin()
                text = wait.describe()
            except Exception as error:
                step = _throw(body, error)
                continue
            if not future.done() or self._run.cancelled():
                return Waiting(future, text)
            step = self._feed(body, future)

    @staticmethod
    def _feed(body: Body, future: Future[Any] | None) -> Callable[[], Any]:
        try:
            value = None if future is None else future.result(timeout=0)
        except BaseException as error:
            return _throw(body, error)
        return lambda: body.send(value)

    def _ended(self, value: Any) -> Outcome:
        if value is None:
            return _NOTHING
        return Outcome("done", plain(value, f"step {self.name} returned something that is not JSON"))

    def _failed(self, error: BaseException) -> Outcome | None:
        self._body = None
        if isinstance(error, Cancelled) and self._run.cancelled():
            return None
        if not isinstance(error, RefloatError):
            _LOG.error("%s failed", self.name, exc_info=error)
            error = RefloatError(f"{type(error).__name__}: {error}")
        return Outcome("failed", error=error.to_json())


def _throw(body: Body, error: BaseException) -> Callable[[], Any]:
    return lambda: body.throw(error)


def plain(value: Any, complaint: str) -> Json:
    """*value* as it will be read back: what is not JSON is refused, tuples become lists.

    :raises RefloatError: saying the complaint and the reason.
    """
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        text.isascii() or text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise RefloatError(complaint, reason=str(error)) from error
    return json.loads(text)

"""Whether what is to be changed in a cloud may still be changed by who is about to ask for it.

A process that was stopped goes on in the middle of whatever it was doing, when its operation is another's, or
has ended, long since. So not only who begins something asks: each request that changes anything does, right
before it is sent (:class:`refloat.cloud.retries.RetryingAdapter`).
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

_ask: ContextVar[Callable[[], None] | None] = ContextVar("refloat_fence", default=None)


class fenced:  # noqa: N801 - used as a function; one made of a generator costs more than most steps do
    """Each request sent inside, in this context, that changes anything asks first.

    :param ask: raises when nothing may be changed any more; None: whatever is sent may be.
    """

    __slots__ = ("_ask", "_token")

    def __init__(self, ask: Callable[[], None] | None) -> None:
        self._ask = ask

    def __enter__(self) -> None:
        self._token = _ask.set(self._ask)

    def __exit__(self, *_error: object) -> None:
        _ask.reset(self._token)


def check() -> None:
    """Ask, if there is somebody to ask."""
    if (ask := _ask.get()) is not None:
        ask()

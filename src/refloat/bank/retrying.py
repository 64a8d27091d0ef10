"""A store that is asked again when it does not answer.

Safe at this seam, because objects are written once: a ``put`` that is repeated after its answer was lost
finds its own object and is content.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator

from refloat.bank.store import ObjectInfo, Store, Unavailable
from refloat.bank.wrapper import T, Wrapper
from refloat.errors import LeaseLost

_log = logging.getLogger(__name__)

ATTEMPTS = 6
OPENING_ATTEMPTS = 3
"""A store that cannot be reached at all is told of sooner."""

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
_BLIPS = 3
"""So many failures in a row are worth a warning."""

PATIENCE = 900.0
"""Nothing is tried again so many seconds after its first attempt began."""


class Retrying(Wrapper):
    """Asks again on :class:`Unavailable`: exponential pauses with full jitter, or as long as the store says.

    :param pause: waits that many seconds.
    """

    def __init__(
        self, inner: Store, *, attempts: int = ATTEMPTS, pause: Callable[[float], None] = time.sleep
    ) -> None:
        super().__init__(inner)
        self._attempts = attempts
        self._pause = pause

    def around(self, inner: Store) -> Retrying:
        return Retrying(inner, attempts=self._attempts, pause=self._pause)

    def prepare(self, *, create: bool) -> None:
        prepare = getattr(self.inner, "prepare", None)
        if prepare is not None:
            self._repeat(lambda: prepare(create=create), min(OPENING_ATTEMPTS, self._attempts))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """List, if need be several times.

        A listing that breaks off begins again, and those that were told already are left out.
        """
        told: set[str] = set()
        failures = Failures(self._attempts, self._pause)
        while True:
            try:
                for entry in self.inner.list(prefix):
                    if entry.name not in told:
                        told.add(entry.name)
                        yield entry
            except Unavailable as error:
                failures.add(error)
            else:
                return

    def ask(self, what: str, name: str, do: Callable[[], T]) -> T:
        return self._repeat(do)

    def _repeat(self, do: Callable[[], T], attempts: int = 0) -> T:
        failures = Failures(attempts or self._attempts, self._pause)
        while True:
            try:
                return do()
            except Unavailable as error:
                failures.add(error)
            except LeaseLost:
                if failures.last is not None:
                    # That attempt may have taken effect, which is what the caller has to reckon with.
                    raise failures.last from None
                raise


class Failures:
    """The failures of one request so far."""

    def __init__(self, attempts: int, pause: Callable[[float], None]) -> None:
        self._attempts = attempts
        self._pause = pause
        self._count = 0
        self.last: Unavailable | None = None
        self._deadline = time.monotonic() + PATIENCE

    def add(self, error: Unavailable) -> None:
        """One more: wait a while. :raises Unavailable: it was the last one."""
        self.last = error
        self._count += 1
        longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (self._count - 1))
        pause = max(error.retry_after, random.uniform(0, longest))  # noqa: S311 - no secret
        if self._count >= self._attempts or time.monotonic() + pause > self._deadline:
            tries = f"{self._count} attempts" if self._count > 1 else "one attempt"
            raise Unavailable(
                error.message,
                resource=error.resource,
                reason=f"{error.reason} (after {tries})",
                request_id=error.request_id,
                advice=error.advice or "Try again when the store is back: what was stored stays stored",
            ) from error
        level = logging.INFO if self._count < _BLIPS else logging.WARNING
        _log.log(level, "%s: %s; trying again in %.0f seconds", error.message, error.reason, pause)
        self._pause(pause)

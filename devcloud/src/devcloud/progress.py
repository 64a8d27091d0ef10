"""Tells the user what is going on: one line for each thing that took time, with its seconds."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator

WORTH_TELLING = 0.5


class Progress:
    """Prints to the standard error, from any thread."""

    def __init__(self, *, quiet: bool = False, everything: bool = False, begun: float | None = None) -> None:
        self._quiet = quiet
        self._least = 0.0 if everything else WORTH_TELLING
        self.begun = time.monotonic() if begun is None else begun
        self._lock = threading.Lock()

    def say(self, text: str) -> None:
        """One line, with the seconds since the beginning."""
        if not self._quiet:
            with self._lock:
                print(f"{time.monotonic() - self.begun:6.1f} s  {text}", file=sys.stderr, flush=True)

    def step(self, name: str, seconds: float) -> None:
        """Tell that something is done, if it took long enough to be of interest."""
        if seconds >= self._least:
            self.say(f"{name:<28} {seconds:5.1f} s")

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time what is done in it."""
        begun = time.monotonic()
        yield
        self.step(name, time.monotonic() - begun)

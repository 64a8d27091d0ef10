"""Shows how far an operation is, on stderr: live on a terminal, else a line now and then.

What is shown is a :class:`Standing`: read from the engine's snapshot of an operation, whichever process runs
it (:func:`standing_of`), or what work that is no operation tells of itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from refloat.cli.arguments import short_name
from refloat.cli.output import duration_text, size_text

if TYPE_CHECKING:
    from refloat.engine.program import Event
    from refloat.engine.snapshot import Snapshot

_PHASES = {"prepare": "looking at what there is", "finish": "concluding", "undo": "removing what was created"}
_HOOKS = {"on_prepare_begin": "preparing", "on_prepare_finish": "preparing", "on_main": "working"}
_MOST_LINES = 6
PLAIN_EVERY = 10.0
"""Seconds between two lines when stderr is no terminal."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How far an operation is.

    :param active: what runs or waits, as texts.
    """

    steps: int = 0
    done: int = 0
    failed: int = 0
    bytes_done: int = 0
    bytes_total: int = 0
    active: tuple[str, ...] = ()

    @property
    def part(self) -> float:
        """How much is done, between 0 and 1: of the bytes when there are any, and of the steps."""
        steps = self.done / self.steps if self.steps else 0.0
        if not self.bytes_total:
            return steps
        if not self.steps:
            return self.bytes_done / self.bytes_total
        return (steps + self.bytes_done / self.bytes_total) / 2

    def sentence(self) -> str:
        """In a line: ``12 of 40 steps, 1.0 GiB of 8.0 GiB, waiting for volume 1f.. to be available``."""
        parts = [f"{self.done} of {self.steps} steps"] if self.steps else []
        if self.failed:
            parts.append(f"{self.failed} failed")
        if self.bytes_total:
            parts.append(f"{size_text(self.bytes_done)} of {size_text(self.bytes_total)}")
        if self.active:
            more = len(self.active) - 1
            parts.append(self.active[0] + (f" and {more} more" if more else ""))
        return ", ".join(parts)


def step_text(event: Event) -> str:
    hook, _, key = event.step.partition(" ")
    if not key:
        words = _PHASES.get(event.step, event.step)
    else:
        kind, _, identity = key.partition("#")
        words = f"{short_name(kind)} {identity}: {_HOOKS.get(hook, 'finishing')}"
    if event.state == "waiting" and event.text:
        words = f"waiting for {event.text}"
    if event.total:
        words += f", {size_text(event.done)} of {size_text(event.total)}"
    return words


def standing_of(snapshot: Snapshot | None) -> Standing:
    """How far an operation is, whoever runs it; None: it has not begun."""
    if snapshot is None:
        return Standing()
    # What tells most first: transfers, then waits, then the rest.
    active = sorted(snapshot.active, key=lambda event: (event.total == 0, event.state != "waiting"))
    return Standing(
        snapshot.steps,
        snapshot.done,
        snapshot.failed,
        snapshot.bytes_done,
        snapshot.bytes_total,
        tuple(step_text(event) for event in active),
    )


class Silent:
    """Shows nothing."""

    def update(self, standing: Standing) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class Plain:
    """A line when something has changed, but not too often."""

    def __init__(
        self,
        out: TextIO,
        title: str,
        *,
        every: float = PLAIN_EVERY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._out = out
        self._title = title
        self._every = every
        self._clock = clock
        self._told_at = clock()
        self._told = ""

    def update(self, standing: Standing) -> None:
        """Write a line, if it is time for one."""
        if self._clock() - self._told_at < self._every:
            return
        text = standing.sentence()
        if text and text != self._told:
            self._told, self._told_at = text, self._clock()
            self._out.write(f"{self._title}: {text}\n")
            self._out.flush()

    def close(self) -> None:
        """Nothing is left on the screen to remove."""


class Live:
    """A bar, and under it what runs.

    :param terminal: whether to take *out* for a terminal; None: find out.
    """

    def __init__(self, out: TextIO, title: str, *, terminal: bool | None = None) -> None:
        from rich.console import Console
        from rich.live import Live as RichLive

        self._title = title
        self._since = time.monotonic()
        self._start: float | None = None
        self._live = RichLive(
            console=Console(file=out, force_terminal=terminal),
            transient=True,
            auto_refresh=False,
            redirect_stdout=False,
        )
        self._live.start()

    def update(self, standing: Standing) -> None:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        now = time.monotonic()
        head = Table.grid(padding=(0, 1))
        unknown = not standing.steps and not standing.bytes_total
        bar = ProgressBar(total=1.0, completed=standing.part, width=30, pulse=unknown)
        numbers = [f"{standing.done}/{standing.steps} steps"] if standing.steps else []
        if standing.failed:
            numbers.append(f"{standing.failed} failed")
        if standing.bytes_total:
            numbers.append(f"{size_text(standing.bytes_done)} of {size_text(standing.bytes_total)}")
        numbers.append(duration_text(now - self._since))
        left = self._left(standing, now)
        if left is not None:
            numbers.append(f"about {duration_text(left)} left")
        head.add_row(Text(self._title, style="bold"), bar, Text(", ".join(numbers)))
        lines = [
            Text(f"  {text}", overflow="ellipsis", no_wrap=True) for text in standing.active[:_MOST_LINES]
        ]
        if len(standing.active) > _MOST_LINES:
            lines.append(Text(f"  and {len(standing.active) - _MOST_LINES} more", style="dim"))
        self._live.update(Group(head, *lines), refresh=True)

    def _left(self, standing: Standing, now: float) -> float | None:
        """Seconds to go, if what is left goes as what was done here."""
        if not standing.steps and not standing.bytes_total:
            return None
        if self._start is None:  # what was done before, or in another process, tells nothing about now
            self._start, self._since_part = standing.part, now
        made, took = standing.part - self._start, now - self._since_part
        if made < 0.05 or took < 5:
            return None
        return took / made * (1 - standing.part)

    def close(self) -> None:
        self._live.stop()


def display(out: TextIO, title: str, *, quiet: bool) -> Silent | Plain | Live:
    """The display that fits where it is shown; its ``update`` is called a few times a second."""
    if quiet:
        return Silent()
    return Live(out, title) if out.isatty() else Plain(out, title)

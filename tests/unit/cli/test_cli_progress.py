"""Progress, as it is shown."""

import io
from dataclasses import replace
from typing import Any

from refloat.cli.output import duration_text, size_text
from refloat.cli.progress import Live, Plain, Silent, Standing, display, standing_of, step_text
from refloat.engine.program import Event
from refloat.engine.snapshot import Snapshot

SNAPSHOT = Snapshot(
    *("op", "protect", "undo", "running"),
    interrupted=False,
    requested="",
    owner="here",
    attempt=1,
    **dict.fromkeys(("steps", "done", "failed", "skipped", "running"), 0),
    active=(),
    bytes_done=0,
    bytes_total=0,
    since=0.0,
    updated_at=0.0,
    ended=None,
)


def event(step: str, state: Any, text: str = "", done: int = 0, total: int = 0) -> Event:
    return Event("op", step, state, text, done, total)


def told(*active: Event, **counts: Any) -> Standing:
    return standing_of(replace(SNAPSHOT, active=active, **counts))


MAIN, OTHER = "on_main OS::Cinder::Volume#1f", "on_complete OS::Nova::Server#2a"


def test_a_standing_is_made_of_a_snapshot() -> None:
    standing = told(
        event(OTHER, "started"),
        event(MAIN, "progress", done=2048, total=8192),
        steps=4,
        done=1,
        failed=1,
        bytes_done=2048,
        bytes_total=8192,
    )
    assert (standing.steps, standing.done, standing.failed) == (4, 1, 1)
    assert (standing.bytes_done, standing.bytes_total) == (2048, 8192)
    assert standing.active == (
        "volume 1f: working, 2.0 KiB of 8.0 KiB",
        "server 2a: finishing",
    )
    assert standing.sentence() == (
        "1 of 4 steps, 1 failed, 2.0 KiB of 8.0 KiB, volume 1f: working, 2.0 KiB of 8.0 KiB and 1 more"
    )
    assert standing.part == 0.25
    assert standing_of(None) == Standing()


def test_what_is_waited_for_is_said() -> None:
    standing = told(event(MAIN, "waiting", "volume 1f to be available"), steps=1)
    assert standing.sentence() == "0 of 1 steps, waiting for volume 1f to be available"


def test_the_phases_have_words() -> None:
    assert step_text(event("undo", "started")) == "removing what was created"
    assert told(event("prepare", "started")).sentence() == "looking at what there is"


def test_plain_lines_are_sparse() -> None:
    now = [0.0]
    out = io.StringIO()
    plain = Plain(out, "Protecting", every=10, clock=lambda: now[0])
    for at, done in ((1, 1), (11, 2), (12, 3), (30, 2)):
        now[0] = at
        plain.update(Standing(steps=40, done=done))
    assert out.getvalue() == "Protecting: 2 of 40 steps\n"
    plain.update(Standing(steps=40, done=12, active=("waiting for volume 1f to be available",)))
    assert out.getvalue().splitlines()[1:] == [
        "Protecting: 12 of 40 steps, waiting for volume 1f to be available"
    ]


def test_a_terminal_sees_a_bar_and_what_runs() -> None:
    out = io.StringIO()
    live = Live(out, "Restoring", terminal=True)
    live.update(Standing(steps=4, done=1, bytes_done=1, bytes_total=4, active=tuple("abcdefgh")))
    live.close()
    assert "Restoring" in out.getvalue()
    assert "1/4 steps" in out.getvalue()
    assert "and 2 more" in out.getvalue()


def test_which_display() -> None:
    assert isinstance(display(io.StringIO(), "x", quiet=True), Silent)
    assert isinstance(display(io.StringIO(), "x", quiet=False), Plain)


def test_sizes_and_times() -> None:
    assert [size_text(n) for n in (0, 1023, 1536, 5 << 30, 3 << 40)] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "5.0 GiB",
        "3.0 TiB",
    ]
    assert [duration_text(n) for n in (5, 65, 7389)] == ["0:05", "1:05", "2:03:09"]

"""devcloud's steps run in order, side by side, and end together when one fails."""

from __future__ import annotations

import threading
import time

import pytest

from devcloud import graph, shell
from devcloud.graph import Step


def nothing(name: str, seconds: float) -> None:
    """No report."""


def test_a_step_waits_for_those_that_it_names() -> None:
    order: list[str] = []

    def step(name: str, *after: str) -> Step:
        return Step(name, lambda _: order.append(name), after)

    graph.run([step("c", "b"), step("b", "a"), step("a"), step("d", "a", "c")], nothing, 4)
    assert order == ["a", "b", "c", "d"]


def test_independent_steps_run_side_by_side() -> None:
    both = threading.Barrier(2, timeout=60)
    graph.run([Step("a", lambda _: void(both.wait())), Step("b", lambda _: void(both.wait()))], nothing, 2)


def void(_: object) -> None:
    """Throw a result away."""


def test_a_failure_ends_the_others_waits_and_is_raised() -> None:
    def fail(_: threading.Event) -> None:
        raise ValueError("broken")

    def waits(cancel: threading.Event) -> None:
        shell.wait(lambda: False, 60, cancel=cancel)

    never: list[str] = []
    begun = time.monotonic()
    with pytest.raises(ValueError, match="broken"):
        graph.run(
            [Step("a", fail), Step("b", waits), Step("c", lambda _: never.append("c"), ("a",))], nothing, 2
        )
    assert time.monotonic() - begun < 10
    assert not never


def test_a_graph_that_cannot_be_done_is_refused() -> None:
    def do(_: threading.Event) -> None:
        """Nothing."""

    with pytest.raises(ValueError, match="never"):
        graph.check([Step("a", do, ("b",)), Step("b", do, ("a",))])
    with pytest.raises(ValueError, match="never"):
        graph.check([Step("a", do, ("unknown",))])
    with pytest.raises(ValueError, match="same name"):
        graph.check([Step("a", do), Step("a", do)])


def test_a_wait_says_what_the_last_try_said() -> None:
    def probe() -> bool:
        raise OSError("refused")

    with pytest.raises(shell.WaitTimeout, match="OSError: refused"):
        shell.wait(probe, 0.1, every=0.02)


def test_a_wait_ends_at_once_when_it_is_of_no_use() -> None:
    def probe() -> bool:
        raise shell.Fatal("dead")

    with pytest.raises(shell.Fatal):
        shell.wait(probe, 60)

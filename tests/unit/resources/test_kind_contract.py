"""The whole life of every kind that in-process doubles can hold."""

from __future__ import annotations

import pytest

from refloat.resources.registry import plugins
from tests.fullstack import kind_cases
from tests.kind_contract import whole_life
from tests.unit.doubles.cases import CASES, DoubleCase
from tests.unit.doubles.world import World


@pytest.mark.parametrize("kind", CASES, ids=lambda kind: kind.plugin)
def test_whole_life(kind: type[DoubleCase], world: World) -> None:
    whole_life(kind(world))


def test_every_kind_that_there_is_goes_through_it() -> None:
    """Here, or on a real cloud."""
    assert {case.plugin for case in (*CASES, *kind_cases.CASES)} == set(plugins())

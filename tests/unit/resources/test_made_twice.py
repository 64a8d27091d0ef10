"""A process that was stopped while it asked for something, and wakes when another has made that too."""

from __future__ import annotations

from typing import Any

import pytest

from refloat.errors import CloudError, LeaseLost
from refloat.resources import context
from refloat.resources.creations import Creations
from tests.fullstack.hookrig import Run
from tests.unit.doubles.cases import CASES, DatabaseCase, DoubleCase, KeypairCase, ServerGroupCase
from tests.unit.doubles.world import World

NAMED = {KeypairCase}
"""There cannot be two of one name: the service refuses the second."""

MARKLESS = {DatabaseCase, ServerGroupCase}


Cases = pytest.mark.parametrize(
    "kind", [case for case in CASES if case.created], ids=lambda kind: kind.plugin
)


class Stopped:
    """A restore of what was lost, whose process is stopped at its first creation.

    :param after: the service has made it by then.
    :param ended: when it wakes, the other has done all, and handed it over.
    """

    def __init__(
        self, case: DoubleCase, monkeypatch: pytest.MonkeyPatch, *, after: bool, ended: bool
    ) -> None:
        resource = case.make()
        self.rig = case.rig()
        case.protect(self.rig, resource)
        self.before = case.living()
        case.lose()
        plan = self.rig.plan()
        self.rig.journal = type(self.rig.journal)()
        self.run = Run(self.rig, "restore", plan.graph, plan.planned)
        self.other = Run(self.rig, "restore", plan.graph, plan.planned, self.run.operation_id)
        self.ended, self.asked, create = ended, 0, context.create_once

        def create_once(*what: Any) -> str:
            self.asked += 1
            if self.asked > 1:
                return create(*what)
            made = create(*what) if after else ""
            self.sleep()
            return made or create(*what)

        monkeypatch.setattr(context, "create_once", create_once)

    def sleep(self) -> None:
        self.other.all()
        if self.ended:
            self.hand_over()
            self.rig.journal.kept.clear()

    def hand_over(self) -> None:
        assert Creations(self.rig.cloud, self.run.operation_id, self.rig.journal).hand_over() == []


@pytest.mark.parametrize("ended", [False, True], ids=["goes on", "has ended"])
@Cases
def test_what_was_made_twice_is_there_once(
    kind: type[DoubleCase], ended: bool, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = kind(world)
    stopped = Stopped(case, monkeypatch, after=False, ended=ended)
    if ended or kind in NAMED:
        with pytest.raises(CloudError if kind in NAMED else LeaseLost):
            stopped.run.all()
    else:
        stopped.run.all()
    if not ended:
        stopped.hand_over()
    if ended and kind in MARKLESS:
        # It may be what the other has found and handed over.
        assert len(case.living()) == len(stopped.before) + 1
    else:
        assert case.living() == stopped.before


@Cases
def test_what_the_other_has_found_and_handed_over_stays(
    kind: type[DoubleCase], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = kind(world)
    stopped = Stopped(case, monkeypatch, after=True, ended=True)
    with pytest.raises(LeaseLost):
        stopped.run.all()
    assert case.living() == stopped.before

"""Twenty nights of a project: its servers come and go, are shelved, fail and are restored.

Every night that can be protected is, each gap is told, plans follow what was restored, and what retention
leaves is found out by counting, not with the code under test.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from api_helpers import NOOP, Running, run_service
from test_schedules import scheduled, trigger

from refloat.errors import Gone
from refloat.graph import Resource
from refloat.resources.noop import TYPE, NoopProtectable
from refloat.schedule.firings import Firings
from refloat.schedule.runner import Runner
from tests.unit.support.weather import Weather

NIGHTS = 20
MAX = 4
CHECKPOINTS = f"providers/{NOOP}/checkpoints"


class Project:
    """What is in the project, and what happens to it.

    :param named: the servers that the plan names.
    :param tagged: those that carry its tag.
    :param restored: what stands for originals that are gone, by new id.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
        self.chance = random.Random(seed)
        self.named = ["tree-1", "tree-2", "tree-3", "tree-4"]
        self.next = 5
        self.restored: dict[str, str] = {}
        show, project = NoopProtectable.show, self

        def shown(kind: NoopProtectable, identity: str) -> Resource:
            if identity not in project.restored:
                return show(kind, identity)
            if identity in project.weather.gone:
                raise Gone(f"could not read {identity}", reason="no such thing", request_id="req-1")
            return Resource(TYPE, identity, project.restored[identity])

        monkeypatch.setattr(NoopProtectable, "show", shown)
        self.weather = Weather(monkeypatch)
        self.weather.carried = [self._new() for _ in range(3)]

    def day(self) -> None:
        """What people and machines do to it until the next night."""
        chance, weather = self.chance, self.weather
        weather.silent.clear()
        for identity in list(weather.unfit):
            if chance.random() < 0.7:
                del weather.unfit[identity]
        if chance.random() < 0.5:
            weather.carried.append(self._new())
        if chance.random() < 0.25 and len(weather.carried) > 2:
            gone = weather.carried.pop(0)
            weather.gone.add(gone)
            weather.unfit.pop(gone, None)
        if chance.random() < 0.2 and self.fit(self.named):
            weather.gone.add(chance.choice(self.fit(self.named)))
        if chance.random() < 0.25:
            states = ("its status is 'shelved_offloaded'", "its status is 'error'")
            weather.unfit[chance.choice(weather.carried)] = chance.choice(states)
        if chance.random() < 0.15:
            weather.silent = {chance.choice(self.named)}

    def fit(self, some: list[str]) -> list[str]:
        weather = self.weather
        return [each for each in some if each not in weather.gone and each not in weather.unfit]

    def _new(self) -> str:
        self.next += 1
        return f"tree-{self.next}"


class Nights:
    """The service, at a time that the test sets, with one schedule."""

    def __init__(self, service: Running, project: Project) -> None:
        self.project, self.member = project, service.user()
        self.now = datetime(2031, 5, 1, 12)
        service.work()
        service.runners.pop().close()  # which looks at the machine's clock
        deployment = service.deployment
        deployment.schedules._clock = deployment.schedules.retention._clock = self.clock
        deployment.submitter.clock = self.clock
        firings = Firings(deployment.database, deployment.submitter, clock=self.clock)
        self.runner = Runner(
            *(deployment.database, deployment.schedules, firings, deployment.authority), clock=self.clock
        )
        named = [{"type": TYPE, "id": each, "name": each.replace("-", ":")} for each in project.named]
        tagged = {"type": TYPE, "select": "tag:nightly"}
        self.plan = self.member.plan(resources=[*named, tagged])
        nightly = trigger(self.member, pattern="30 2 * * *", format="crontab")
        self.schedule = scheduled(self.member, self.plan, nightly["id"], "retention_protect", max_backups=MAX)

    def clock(self) -> datetime:
        return self.now

    def pass_one(self) -> Any:
        """The next night: its checkpoint, when all that it does is done."""
        self.now = self.now.replace(hour=2, minute=31) + timedelta(days=1)
        before = {each["id"] for each in self.checkpoints()}
        self.settle()
        (made,) = [each for each in self.checkpoints() if each["id"] not in before]
        return made

    def settle(self) -> None:
        """Look until nothing is to be done."""
        quiet = 0
        while quiet < 2:
            self.runner.look()
            listed = self.member("GET", "operations").body["operations"]
            open_ones = [each for each in listed if each["ended_at"] is None]
            for each in open_ones:
                self.member.until(f"operations/{each['id']}", lambda found: found["ended_at"] is not None)
            quiet = 0 if open_ones else quiet + 1

    def checkpoints(self) -> list[Any]:
        return self.member("GET", CHECKPOINTS).body["checkpoints"]  # type: ignore[no-any-return]

    def restore(self, checkpoint_id: str, wanted: str) -> str:
        """Bring a server back that is gone: its new id. The plan follows."""
        body = {
            "provider_id": NOOP,
            "checkpoint_id": checkpoint_id,
            "parameters": {},
            "only": [f"{TYPE}#{wanted}"],
        }
        answer = self.member("POST", "restores", {"restore": body})
        assert answer.status == 200, answer.body
        found = self.member.until(
            f"operations/{answer.body['restore']['id']}", lambda found: found["status"] == "succeeded"
        )
        (new,) = [each["new_id"] for each in found["result"]["resources"] if each["source_id"] == wanted]
        return str(new)


def roots(items: list[Any]) -> set[str]:
    return {each["id"] for each in items if each["id"].count("-") != 2}


def left_by_counting(nights: list[tuple[str, bool]]) -> set[str]:
    """What is left: of whole checkpoints the last four; of partial ones those among the last four of all.

    :param nights: checkpoints that came to be, the oldest first, and whether they are whole.
    """
    whole = [identity for identity, is_whole in nights if is_whole][-MAX:]
    return {*whole, *(identity for identity, _ in nights[-MAX:])}


@pytest.mark.parametrize("seed", [1, 3])
def test_twenty_nights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    service = run_service(tmp_path)
    try:
        project = Project(monkeypatch, seed)
        nights = Nights(service, project)
        weather, history, restores = project.weather, [], 0
        holds: dict[str, list[str]] = {}  # by checkpoint, the servers that it has
        for _ in range(NIGHTS):
            project.day()
            made = nights.pass_one()
            if weather.silent:  # nobody knows what is there
                assert (made["status"], "out of order" in str(made)) == ("error", True)
                continue
            assert made["status"] == "available", made
            expected = {*project.fit(project.named), *project.fit(weather.carried)}
            shown = nights.member("GET", f"{CHECKPOINTS}/{made['id']}").body["checkpoint"]
            lacks = {each["id"]: each["reason"] for each in shown.get("lacks") or ()}
            missed = {*project.named, *weather.carried} - expected
            assert roots([{"id": each} for each in lacks]) == missed
            holds[made["id"]] = sorted(expected)
            history.append((made["id"], not lacks))
            there = {each["id"] for each in nights.checkpoints() if each["status"] == "available"}
            assert there == left_by_counting(history)
            gone = [each for each in project.named if each in weather.gone]
            kept = [identity for identity in reversed(list(holds)) if identity in there]
            if gone and project.chance.random() < 0.8:
                lost = gone[0]
                source = next((identity for identity in kept if lost in holds[identity]), None)
                if source is None:
                    continue
                new = nights.restore(source, lost)
                project.restored[new] = lost
                project.named[project.named.index(lost)] = new
                restores += 1
        assert restores
        assert any(is_whole for _, is_whole in history)
        assert not all(is_whole for _, is_whole in history)
        entries = nights.member("GET", f"plans/{nights.plan['id']}").body["plan"]["resources"]
        assert [each["id"] for each in entries if "id" in each] == project.named
    finally:
        service.close()

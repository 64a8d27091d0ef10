"""One unfit resource does not stop the others: partial checkpoints, exclusions; here and with a service.

first-user 1.4, real-life kind 6 (BC-01b, BC-31, X5).
"""

from __future__ import annotations

from typing import Any

import pytest
from api_helpers import NOOP, Running

from refloat.cloud.authority import SessionCloud
from refloat.resources.noop import TYPE
from tests.unit.support.cli_helpers import Command
from tests.unit.support.weather import Weather


@pytest.fixture
def weather(monkeypatch: pytest.MonkeyPatch) -> Weather:
    return Weather(monkeypatch)


def made(refloat: Command, *more: str) -> None:
    named = ("--resource", "noop=tree:1", "--resource", "noop=tree:2", "--resource", "noop=tree:3")
    ran = refloat("plan", "create", "shop", "--provider", "noop", *named, *more)
    assert ran.status == 0, ran.err


def available(refloat: Command) -> list[str]:
    found = refloat("checkpoint", "list", "-f", "json").json
    return [row["id"] for row in found if row["status"] == "available"]


def names(items: Any) -> list[str]:
    return [item["id"] for item in items]


def test_what_is_unfit_does_not_stop_the_others_and_is_told(refloat: Command, weather: Weather) -> None:
    made(refloat)
    whole = refloat("protect", "shop", "-f", "json")
    assert "lacks" not in whole.json
    weather.gone, weather.unfit = {"tree-1"}, {"tree-3-2": "its status is 'error'"}
    ran = refloat("protect", "shop", "-f", "json")
    assert ran.status == 0
    assert ran.json["status"] == "available"
    assert names(ran.json["resources"]) == ["tree-2", "tree-2-1"]
    lacks = {item["id"]: item["reason"] for item in ran.json["lacks"]}
    assert lacks["tree-1"] == "it is gone: no such thing"
    assert lacks["tree-3-2"] == "it cannot be protected: its status is 'error'"
    # What needs it is not whole without it.
    assert lacks["tree-3"].startswith(
        "it needs Refloat::Noop server-1 (tree-3-1): it needs Refloat::Noop disk-2"
    )
    warnings = [line for line in ran.err.splitlines() if "warning: the checkpoint is partial" in line]
    assert len(warnings) == len(lacks) == 4
    assert "refloat plan set shop --exclude TYPE=ID" in ran.err

    rows = {row["id"]: row["partial"] for row in refloat("checkpoint", "list", "-f", "json").json}
    assert rows == {whole.json["id"]: False, ran.json["id"]: True}
    shown = refloat("checkpoint", "show", ran.json["id"], "-f", "json").json
    assert {item["id"]: item["reason"] for item in shown["lacks"]} == lacks
    assert shown["status"] == "available"
    assert refloat("checkpoint", "show", whole.json["id"], "-f", "json").json["lacks"] == []
    assert (
        refloat("operation", "show", ran.json["operation_id"], "-f", "json").json["lacks"]
        == ran.json["lacks"]
    )


def test_a_plan_may_want_all_or_nothing_and_nothing_left_is_nothing(
    refloat: Command, weather: Weather
) -> None:
    made(refloat, "--unfit", "fail")
    weather.gone, weather.unfit = {"tree-1"}, {"tree-2": "its status is 'error'"}
    ran = refloat("protect", "shop")
    assert ran.status == 1
    # All that is unfit is named at once, with the way out.
    for words in ("tree:1 (tree-1): it is gone", "tree:2 (tree-2): it cannot", "--exclude", "--unfit skip"):
        assert words in ran.err, words
    assert available(refloat) == []
    assert refloat("plan", "set", "shop", "--unfit", "skip", "-f", "json").json["unfit"] == "skip"
    weather.unfit["tree-3"] = "its status is 'build'"
    ran = refloat("protect", "shop")
    assert (ran.status, "and nothing else is left of it; nothing was stored" in ran.err) == (1, True)
    assert available(refloat) == []
    assert refloat("plan", "set", "shop", "--unfit", "perhaps").status == 2


def test_a_service_that_does_not_answer_proves_nothing(refloat: Command, weather: Weather) -> None:
    made(refloat)
    weather.silent = {"tree-2"}
    ran = refloat("protect", "shop")
    assert (ran.status, "out of order" in ran.err) == (1, True)
    assert available(refloat) == []


def test_plans_exclude(refloat: Command, weather: Weather) -> None:
    made(refloat, "--exclude", "noop=tree:3")
    assert refloat("plan", "show", "shop", "-f", "json").json["exclude"] == [
        {"type": TYPE, "id": "tree-3", "name": "tree:3"}
    ]
    weather.gone = {"tree-2"}
    # By name or id, although it is gone; what was left out before still is.
    assert refloat("plan", "set", "shop", "--exclude", "noop=tree:2").status == 0
    assert refloat("plan", "set", "shop", "--exclude", "noop=tree-2").status == 0
    ran = refloat("protect", "shop", "-f", "json")
    assert names(ran.json["resources"]) == ["tree-1"]
    assert "lacks" not in ran.json
    assert names(refloat("plan", "show", "shop", "-f", "json").json["exclude"]) == ["tree-3", "tree-2"]
    changed = refloat("plan", "set", "shop", "--no-exclude", "--exclude", "noop=tree:2", "-f", "json")
    assert names(changed.json["exclude"]) == ["tree-2"]
    assert refloat("plan", "set", "shop", "--no-exclude", "-f", "json").json["exclude"] == []
    assert refloat("plan", "set", "shop", "--exclude", "nonsense=x").status == 2


def test_what_is_not_found_again_is_told_and_the_loss_of_most_is_no_whole_checkpoint(
    refloat: Command, weather: Weather
) -> None:
    """real-life X14: a project emptied by mistake, a tag that nothing carries any more."""
    weather.carried = ["tree-3", "tree-9"]
    assert refloat("plan", "create", "shop", "--provider", "noop", "--resource", "noop=tag:app").status == 0
    assert refloat("protect", "shop").status == 0
    weather.carried = ["tree-9"]
    fewer = refloat("protect", "shop", "-f", "json")
    assert names(fewer.json["missed"]) == ["tree-3", "tree-3-1", "tree-3-2"]
    assert "lacks" not in fewer.json
    assert "tree:3 (tree-3): it is not found any more: checkpoint" in fewer.err
    weather.carried = ["tree-3"]  # of which two parts are called as two that are gone
    for _ in range(2):
        most = refloat("protect", "shop", "-f", "json")
        assert (most.status, len(most.json["lacks"])) == (0, 7)
        assert f"checkpoint {fewer.json['id']}" in most.json["lacks"][0]["reason"]
    weather.unfit = {"tree-3-2": "its status is 'error'"}
    weather.carried = ["tree-3", "tree-2"]
    now = refloat("plan", "show", "shop", "--now", "-f", "json").json
    assert names(now["finds"]) == names(now["new"]) == ["tree-2", "tree-2-1"]
    assert {"tree-3", "tree-3-1", "tree-3-2"} == set(names(now["unfit"]))
    assert "tree-9" in names(now["gone"])
    assert now["excluded"] == []
    assert "not found any more" in refloat("plan", "show", "shop", "--now").out
    weather.carried, weather.unfit = [], {}
    nothing = refloat("protect", "shop")
    assert nothing.status == 1
    assert "nothing else is left of it" in nothing.err
    # Whoever changes the plan says that it is as it should be.
    assert refloat("plan", "set", "shop", "--description", "smaller").status == 0
    weather.carried = ["tree-3"]
    assert not {"lacks", "missed"} & set(refloat("protect", "shop", "-f", "json").json)


def test_plans_follow_what_a_restore_has_made(refloat: Command, weather: Weather) -> None:
    """first-user 1.3: the night after the worst day is protected like the night before."""
    made(refloat, "--exclude", "noop=tree:4")
    assert refloat("plan", "create", "other", "--provider", "noop", "--resource", "noop=tree:2").status == 0
    checkpoint = refloat("protect", "shop", "-f", "json").json["id"]
    weather.gone, weather.silent = {"tree-1"}, {"tree-3"}
    # While its original is there, what is restored is a second one.
    ran = refloat("restore", checkpoint, "--parameter", "noop:restore_name=new {name}", "-f", "json")
    assert ran.status == 0, ran.err
    new = {item["source_id"]: item["new_id"] for item in ran.json["resources"]}
    entries = refloat("plan", "show", "shop", "-f", "json").json["resources"]
    assert entries == [
        {"type": TYPE, "id": new["tree-1"], "name": "new tree:1"},
        {"type": TYPE, "id": "tree-2", "name": "tree:2"},
        {"type": TYPE, "id": "tree-3", "name": "tree:3"},
    ]
    assert f"plan shop now names noop new tree:1 ({new['tree-1']}) instead of tree-1" in ran.err
    assert "plan shop still names tree-3" in ran.err
    assert "not known whether the original is gone" in ran.err
    assert names(refloat("plan", "show", "other", "-f", "json").json["resources"]) == ["tree-2"]
    told = {item["source_id"]: item["plan_name"] for item in ran.json["plans"]}
    assert told == {"tree-1": "shop", "tree-3": "shop"}
    assert refloat("operation", "show", ran.json["id"], "-f", "json").json["plans"] == ran.json["plans"]
    # Once more: nobody names the first one any more, so this one is a twin.
    again = refloat("restore", checkpoint, "--only", "noop=tree-1", "-f", "json")
    assert "plans" not in again.json
    assert refloat("plan", "show", "shop", "-f", "json").json["resources"] == entries


def test_the_api(working: Running, weather: Weather) -> None:
    user = working.user()
    left_out = [{"type": TYPE, "id": "tree-7", "name": "tree:7"}]
    plan = user.plan(unfit="fail", exclude=left_out)
    assert (plan["unfit"], plan["exclude"]) == ("fail", left_out)
    path = f"plans/{plan['id']}"
    assert user("PUT", path, {"plan": {"unfit": "maybe"}}).status == 400
    assert (
        user("PUT", path, {"plan": {"exclude": [{"type": "OS::No::Such", "id": "x", "name": "x"}]}}).status
        == 400
    )
    more = [*plan["resources"], {"type": TYPE, "id": "tree-2", "name": "tree:2"}]
    changed = user("PUT", path, {"plan": {"unfit": "skip", "exclude": [], "resources": more}}).body["plan"]
    assert (changed["unfit"], changed["exclude"]) == ("skip", [])
    weather.gone = {"tree-2"}
    checkpoint = user.protected(changed)
    (lack,) = checkpoint["lacks"]
    assert (checkpoint["status"], lack["id"], lack["reason"]) == (
        "available",
        "tree-2",
        "it is gone: no such thing",
    )
    (listed,) = user("GET", f"providers/{NOOP}/checkpoints").body["checkpoints"]
    assert listed["lacks"] == [lack]


def test_another_place_is_not_looked_at(working: Running, weather: Weather, monkeypatch: Any) -> None:
    """A restore into another project or cloud says nothing of what is here."""
    user = working.user()
    plan = user.plan()
    checkpoint = user.protected(plan)
    weather.gone = {"tree-5"}
    monkeypatch.setattr(working.authority, "cloud", lambda _granted: SessionCloud(None, "f" * 32))
    body = {"provider_id": NOOP, "checkpoint_id": checkpoint["id"], "parameters": {}}
    restore = user("POST", "restores", {"restore": body}).body["restore"]
    done = user.until(f"operations/{restore['id']}", lambda found: found["status"] == "succeeded")
    assert not {"plans", "unknown"} & set(done["result"])
    assert user("GET", f"plans/{plan['id']}").body["plan"]["resources"] == plan["resources"]

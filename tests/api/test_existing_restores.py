"""Restores of what is there already: asked, kept, made beside; never the same twice at once.

Findings: 2.3 (twins without asking; three servers of one name).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from api_helpers import NOOP, Running, User

from refloat.errors import CloudError
from refloat.operations import restoreplan
from refloat.resources.base import PlanContext, Planned, Restored, hooks, restored
from refloat.resources.noop import NoopPlugin
from tests.unit.support.cli_helpers import Command


@pytest.fixture(autouse=True)
def made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made-up resources are like servers: a restore makes others of them."""
    monkeypatch.setattr(NoopPlugin, "doubles", True)


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The ids of made-up originals that are there; all others are gone."""
    ids: set[str] = set()

    def living(nodes: Collection[Any], *_how: Any) -> Any:
        return {node.key: SimpleNamespace(name=node.name) if node.id in ids else None for node in nodes}

    monkeypatch.setattr(restoreplan, "living", living)
    return ids


def restore(user: User, checkpoint: Any, **more: Any) -> Any:
    body = {"provider_id": NOOP, "checkpoint_id": checkpoint["id"], "parameters": {}, **more}
    return user("POST", "restores", {"restore": body})


def test_the_second_restore_of_the_same_thing_is_refused(service: Running) -> None:
    """By the name of the first, unless it makes others beside; also of another checkpoint of the plan."""
    user = service.user()
    worker = service.work()
    plan = user.plan()
    first, second = user.protected(plan), user.protected(plan)
    worker.close()
    service.workers.remove(worker)
    begun = restore(user, first, only=["Refloat::Noop#tree-5"])
    assert begun.status == 200, begun.body
    for checkpoint in (first, second):
        again = restore(user, checkpoint)
        assert again.status == 409, again.body
        assert f"is being restored already, by operation {begun.body['restore']['id']}" in again.message
    beside = restore(user, second, existing="beside")
    assert beside.status == 200, beside.body
    for word in ("skip", "repair"):
        assert restore(user, second, existing=word).status == 409
    service.work()
    user.until(f"restores/{begun.body['restore']['id']}", lambda found: found["status"] == "success")
    user.until(f"restores/{beside.body['restore']['id']}", lambda found: found["status"] == "success")
    assert restore(user, second).status == 200


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"existing": "overwrite"}, "existing"),
        ({"existing": "skip", "beside_name": "x"}, "need existing=beside"),
        ({"existing": "beside", "beside_name": "{nam}"}, "stands for nothing"),
    ],
)
def test_what_cannot_be_is_refused(working: Running, wrong: Any, message: str) -> None:
    user = working.user()
    answer = restore(user, user.protected(), **wrong)
    assert answer.status == 400, answer.body
    assert message in answer.message


def test_what_is_kept_is_told(working: Running, there: set[str]) -> None:
    user = working.user()
    checkpoint = user.protected()
    there |= {"tree-5", "tree-5-1"}
    begun = restore(user, checkpoint, existing="skip").body["restore"]
    user.until(f"restores/{begun['id']}", lambda found: found["status"] == "success")
    shown = user("GET", f"operations/{begun['id']}").body["operation"]
    status = {line["id"]: line["status"] for line in shown["resources"]}
    assert {name for name, word in status.items() if word == "kept"} == there
    assert set(status.values()) == {"kept", "created"}
    assert {key.partition("#")[2] for key in shown["result"]["gone"]} == set(status) - there
    karbor = restore(user, checkpoint).body["restore"]
    user.until(f"restores/{karbor['id']}", lambda found: found["status"] == "success")
    made = user("GET", f"operations/{karbor['id']}").body["operation"]["resources"]
    assert {line["status"] for line in made} == {"created"}  # who says nothing gets what Karbor did


def protected(refloat: Command) -> str:
    made = refloat("plan", "create", "app", "--resource", "noop=tree:5", "--provider", "noop")
    assert made.status == 0, made.err
    ran = refloat("protect", "app", "-f", "json")
    assert ran.status == 0, ran.err
    return str(ran.json["id"])


def test_the_command_keeps_what_is_there(refloat: Command, there: set[str]) -> None:
    checkpoint = protected(refloat)
    there |= {"tree-5"}
    dry = refloat("restore", checkpoint, "--dry-run", "-f", "json").json
    assert [item["action"] for item in dry["resources"]].count("keep") == 1
    assert [item["living"] for item in dry["resources"]].count(False) == 4
    ran = refloat("restore", checkpoint, "-f", "json")
    lines = {line["source_id"]: line for line in ran.json["resources"]}
    assert (lines["tree-5"]["status"], lines["tree-5"]["new_id"]) == ("kept", "tree-5")
    assert [line["status"] for line in lines.values()].count("created") == 4
    twins = refloat(
        "restore", checkpoint, "--existing", "beside", "--beside-name", "{name}-2", "-f", "json"
    ).json
    assert {line["name"] for line in twins["resources"] if line["source_id"] == "tree-5"} == {"tree:5-2"}
    named = refloat("restore", checkpoint, "--existing", "beside", "-f", "json").json
    (name,) = [line["name"] for line in named["resources"] if line["source_id"] == "tree-5"]
    date = refloat("checkpoint", "show", checkpoint, "-f", "json").json["created_at"][:10]
    assert name == f"tree:5 (as of {date})"
    ignored = refloat("restore", checkpoint, "--existing", "ignore", "-f", "json").json
    assert {line["status"] for line in ignored["resources"]} == {"created"}


@pytest.fixture
def replacing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Data of made-up resources can be put back in place."""
    anew = NoopPlugin.plan_restore

    def plan_restore(plugin: NoopPlugin, context: PlanContext) -> Planned:
        planned = anew(plugin, context)
        if context.existing(context.resource.key) != "replace":
            return planned
        return replace(planned, action="replace", new_id=context.resource.id)

    monkeypatch.setattr(NoopPlugin, "plan_restore", plan_restore)
    monkeypatch.setattr(NoopPlugin, "replaces", True)


@pytest.mark.usefixtures("replacing")
def test_what_is_replaced_is_protected_before(refloat: Command, there: set[str]) -> None:
    """The safety checkpoint is told in the plan and in the result, and is one like any other."""
    checkpoint = protected(refloat)
    there |= {"tree-5", "tree-5-1"}
    replacing = ("restore", checkpoint, "--existing", "replace", "-f", "json")
    dry = refloat(*replacing, "--dry-run").json
    assert [item["action"] for item in dry["resources"]].count("replace") == 2
    assert dry["safety"] is True
    assert len(refloat("checkpoint", "list", "-f", "json").json) == 1
    ran = refloat(*replacing)
    assert ran.status == 0, ran.err
    before = {item["id"]: item["name"] for item in refloat("checkpoint", "list", "-f", "json").json}
    del before[checkpoint]
    assert list(before.values()) == ["before the replacement of tree:5"]
    assert ran.json["safety_checkpoint_id"] in before
    without = refloat(*replacing, "--no-safety")
    assert without.status == 0, without.err
    assert len(refloat("checkpoint", "list", "-f", "json").json) == 2
    wrong = refloat("restore", checkpoint, "--no-safety")
    assert (wrong.status, "needs existing=replace" in wrong.err) == (2, True)


@pytest.mark.usefixtures("replacing")
def test_without_its_safety_checkpoint_nothing_is_replaced(
    refloat: Command, there: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = protected(refloat)
    there |= {"tree-5"}

    def fails(_context: object) -> Any:
        raise CloudError("could not read it", reason="503")

    monkeypatch.setattr(NoopPlugin, "protect", hooks(on_main=fails))
    ran = refloat("restore", checkpoint, "--existing", "replace", "-f", "json")
    assert ran.status == 1
    assert "the safety checkpoint could not be made, and nothing was replaced" in ran.err
    assert "503" in ran.err
    assert "--no-safety" in ran.err


@pytest.mark.usefixtures("replacing")
@pytest.mark.parametrize(("answer", "status"), [("yes", 0), ("", 1)])
def test_replacing_is_asked_on_a_terminal_though_it_was_said(
    refloat: Command, there: set[str], answer: str, status: int
) -> None:
    checkpoint = protected(refloat)
    there |= {"tree-5"}
    ran = refloat.on_terminal(answer, "restore", checkpoint, "--existing", "replace", "-f", "json")
    assert ran.status == status, ran.err
    assert "Replace the data of what is there" in ran.err
    assert "A checkpoint of what is replaced is made before" in ran.err


def test_on_a_terminal_it_asks(refloat: Command, there: set[str]) -> None:
    checkpoint = protected(refloat)
    there |= {"tree-5", "tree-5-1"}
    restores = 0
    for answer, status in (("", 1), ("no", 1), ("yes", 0), ("repair", 0), ("beside", 0)):
        ran = refloat.on_terminal(answer, "restore", checkpoint, "-f", "json")
        assert ran.status == status, (answer, ran.err)
        assert "2 to keep as they are" in ran.err, answer
        assert "Bring back only what is gone" in ran.err, answer
        restores += status == 0
        made = refloat("operation", "list", "-f", "json").json
        assert [row["kind"] for row in made].count("restore") == restores, answer
        if status == 0:
            kept = [line["status"] for line in ran.json["resources"]].count("kept")
            assert kept == (0 if answer == "beside" else 2), answer
            unasked = refloat.on_terminal("", "restore", checkpoint, "--yes", "-f", "json")
            assert (unasked.status, "Bring back" in unasked.err) == (0, False)
            restores += 1
        else:
            assert "nothing was restored" in ran.err, answer


def made_by(ran: Any) -> dict[str, str]:
    """What a restore by the command has made, by what it was made of."""
    assert ran.status == 0, ran.err
    return {
        line["source_id"]: line["new_id"] for line in ran.json["resources"] if line["status"] == "created"
    }


def test_what_a_restore_has_made_is_what_is_there_for_the_next(refloat: Command, there: set[str]) -> None:
    """The same checkpoint once more: nothing is made twice, and what was lost since is made for both."""
    checkpoint = protected(refloat)
    again = ("restore", checkpoint, "-f", "json")
    first = made_by(refloat(*again))
    assert len(first) == 5
    there |= set(first.values())
    dry = {line["source_id"]: line for line in refloat(*again, "--dry-run").json["resources"]}
    assert {key: (line["action"], line["new_id"]) for key, line in dry.items()} == {
        old: ("keep", new) for old, new in first.items()
    }
    assert all(line["living"] and "it was restored as " in line["reason"] for line in dry.values())
    kept = refloat(*again)
    assert made_by(kept) == {}
    assert {line["source_id"]: line["new_id"] for line in kept.json["resources"]} == first
    twins = made_by(refloat(*again, "--existing", "beside"))
    assert twins.keys() == first.keys()  # and these are in nobody's place

    there.discard(first["tree-5-2"])
    second = made_by(refloat(*again))
    assert set(second) == {"tree-5-2"}
    there |= set(second.values())
    assert made_by(refloat(*again)) == {}
    there -= {*first.values(), *second.values()}
    assert len(made_by(refloat(*again))) == 5  # all of it is gone: as if there had been nothing


@pytest.fixture
def larger(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is restored of tree:5 are parts of tree:6, which can be protected in turn."""

    def made(context: Any) -> Any:
        key = context.resource.key
        new = key.id.replace("tree-5", "tree-6")
        return restored(Restored(key.type, key.id, new, context.planned.name))

    monkeypatch.setattr(NoopPlugin, "restore", hooks(on_complete=made))


@pytest.mark.usefixtures("replacing", "larger")
def test_what_was_restored_is_what_is_replaced(refloat: Command, there: set[str]) -> None:
    """And what is protected before."""
    checkpoint = protected(refloat)
    assert made_by(refloat("restore", checkpoint, "-f", "json"))["tree-5"] == "tree-6"
    there.add("tree-6")
    replacing = ("restore", checkpoint, "--existing", "replace", "-f", "json")
    dry = {line["source_id"]: line for line in refloat(*replacing, "--dry-run").json["resources"]}
    assert {name for name, line in dry.items() if line["action"] == "replace"} == {"tree-5"}
    assert dry["tree-5"]["new_id"] == "tree-6"
    ran = refloat(*replacing)
    assert ran.status == 0, ran.err
    safe = refloat("checkpoint", "show", ran.json["safety_checkpoint_id"], "-f", "json").json
    assert "tree-6" in {each["id"] for each in safe["resources"]}
    assert [line["new_id"] for line in ran.json["resources"] if line["source_id"] == "tree-5"] == ["tree-6"]


def test_a_service_knows_what_it_has_restored_in_each_project(working: Running, there: set[str]) -> None:
    """Also for the restore plans that are kept, and for nobody else's project."""
    user = working.user()
    checkpoint = user.protected()

    def done(**more: Any) -> Any:
        begun = restore(user, checkpoint, **more).body["restore"]
        user.until(f"restores/{begun['id']}", lambda found: found["status"] == "success")
        return user("GET", f"operations/{begun['id']}").body["operation"]["result"]["resources"]

    first = {line["source_id"]: line["new_id"] for line in done(existing="skip")}
    there |= set(first.values())
    lines = done(existing="skip")
    assert {line["source_id"]: (line["status"], line["new_id"]) for line in lines} == {
        old: ("kept", new) for old, new in first.items()
    }
    body = {"provider_id": NOOP, "checkpoint_id": checkpoint["id"], "existing": "skip"}
    plan = user("POST", "restore_plans", {"restore_plan": body}).body["restore_plan"]
    ready = user.until(f"restore_plans/{plan['id']}", lambda found: found["status"] == "ready")
    assert {line["action"] for line in ready["content"]["resources"]} == {"keep"}
    there.discard(first["tree-5-3"])
    begun = user("POST", "restores", {"restore": {"restore_plan_id": plan["id"]}}).body["restore"]
    stale = user.until(f"restore_plans/{plan['id']}", lambda found: found["status"] == "stale")
    assert "keep was planned, and now it is create" in stale["reason"], (begun, stale)


@pytest.mark.usefixtures("larger")
def test_an_original_and_its_successor_are_not_restored_at_once(service: Running, there: set[str]) -> None:
    """From checkpoints of before and of after a restore: they are the same thing."""
    user = service.user()
    worker = service.work()
    plan = user.plan()
    before = user.protected(plan)
    begun = restore(user, before).body["restore"]
    user.until(f"restores/{begun['id']}", lambda found: found["status"] == "success")
    after = user.protected(plan)
    assert after["id"] != before["id"]
    assert user("GET", f"plans/{plan['id']}").body["plan"]["resources"][0]["id"] == "tree-6"
    there |= {"tree-6"}
    worker.close()
    service.workers.remove(worker)
    first = restore(user, after, only=["Refloat::Noop#tree-6-1"], existing="skip")
    assert first.status == 200, first.body
    second = restore(user, before, existing="skip")
    assert second.status == 409, second.body
    assert f"is being restored already, by operation {first.body['restore']['id']}" in second.message

"""Restore plans that are kept: made, changed, approved by somebody else, run, stale; on both databases.

Findings: 2.1, 2.2 (a screen of constants, the verdict last), 2.4 (nothing of time, amount, age and
proof), kind 4 of real life: plan and run decide the same, or nothing is done.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from api_helpers import NOOP, OTHER, Running, User, run_service

from refloat.control import restore_plans as kept_plans
from refloat.operations import restoreplan
from refloat.resources.noop import NoopPlugin
from tests.unit.support.cli_helpers import Command


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def working(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Running]:
    url = f"sqlite:///{tmp_path}/refloat.sqlite"
    if request.param == "postgresql":
        create: Callable[[], str] = request.getfixturevalue("postgresql")
        url = create()
    running = run_service(tmp_path, database__connection=url)
    running.work()
    yield running
    running.close()


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The ids of made-up originals that are there; all others are gone."""
    ids: set[str] = set()

    def living(nodes: Collection[Any], *_how: Any) -> Any:
        return {node.key: SimpleNamespace(name=node.name) if node.id in ids else None for node in nodes}

    monkeypatch.setattr(restoreplan, "living", living)
    monkeypatch.setattr(NoopPlugin, "doubles", True)
    return ids


def make(user: User, checkpoint: Any, **more: Any) -> Any:
    which = {"checkpoint_id": checkpoint["id"]} if checkpoint else {}
    body = {"provider_id": NOOP, "existing": "skip", **which, **more}
    answer = user("POST", "restore_plans", {"restore_plan": body})
    assert answer.status == 200, answer.body
    assert answer.body["restore_plan"]["status"] in ("planning", "ready")
    return ready(user, answer.body["restore_plan"]["id"])


def ready(user: User, identity: str) -> Any:
    return user.until(f"restore_plans/{identity}", lambda found: found["status"] != "planning")


def run(user: User, plan: Any) -> Any:
    return user("POST", "restores", {"restore": {"restore_plan_id": plan["id"]}})


def test_from_the_first_look_to_the_end(working: Running, there: set[str]) -> None:
    user = working.user()
    checkpoint = user.protected()
    there |= {"tree-5"}
    plan = make(user, checkpoint, name="after the flood", leave_out=["Refloat::Noop#tree-5-4"])
    content = plan["content"]
    assert (plan["status"], plan["name"], content["possible"]) == ("ready", "after the flood", True)
    actions = {item["source_id"]: item["action"] for item in content["resources"]}
    assert actions.pop("tree-5") == "keep"
    assert set(actions.values()) == {"create"}
    assert "tree-5-4" not in actions
    assert content["checkpoint"]["id"] == checkpoint["id"]
    assert (content["checkpoint"]["plan"], content["checkpoint"]["verified"]) == ("app", "never")
    assert content["effort"] == {"resources": len(actions), "bytes": 0}
    assert content["seconds"] is None  # nothing was restored here yet
    (listed,) = user("GET", "restore_plans").body["restore_plans"]
    assert (listed["id"], "content" in listed) == (plan["id"], False)

    begun = run(user, plan)
    assert begun.status == 200, begun.body
    user.until(f"restores/{begun.body['restore']['id']}", lambda found: found["status"] == "success")
    done = ready(user, plan["id"])
    assert (done["status"], done["operation_id"]) == ("restored", begun.body["restore"]["id"])
    made = user("GET", f"operations/{done['operation_id']}").body["operation"]["resources"]
    became = {line["id"]: line["status"] for line in made}
    words = {"create": "created", "keep": "kept"}
    assert became == {item["source_id"]: words[item["action"]] for item in content["resources"]}

    again = run(user, plan)
    assert (again.status, "it is restored" in again.message) == (409, True)
    measured = make(user, checkpoint)
    assert isinstance(measured["content"]["seconds"], int)
    assert user("DELETE", f"restore_plans/{plan['id']}").status == 200
    assert user("GET", f"restore_plans/{plan['id']}").status == 404


def test_what_has_changed_is_said_and_nothing_is_done(working: Running, there: set[str]) -> None:
    """Kind 4: what was planned is what happens, or nothing."""
    user = working.user()
    plan = make(user, user.protected())
    there |= {"tree-5"}
    begun = run(user, plan).body["restore"]
    failed = user.until(f"restores/{begun['id']}", lambda found: found["status"] == "fail")
    assert "is not as it was when the restore plan was made, and nothing was changed" in failed["error_info"]
    assert "tree:5: create was planned, and now it is keep (it is still there)" in failed["error_info"]
    stale = ready(user, plan["id"])
    assert (stale["status"], "and now it is keep" in stale["reason"]) == ("stale", True)
    assert run(user, plan).status == 409
    # It is looked at again, as the cloud is now.
    changed = user("PATCH", f"restore_plans/{plan['id']}", {"restore_plan": {}})
    assert changed.status == 200, changed.body
    assert ready(user, plan["id"])["content"]["resources"] != plan["content"]["resources"]
    begun = run(user, plan).body["restore"]
    user.until(f"restores/{begun['id']}", lambda found: found["status"] == "success")


def test_three_users(working: Running, there: set[str]) -> None:
    """One makes it, another approves it, a third runs it."""
    maker, approver, runner = (
        User(working.application, name=name) for name in ("maker", "approver", "runner")
    )
    plan = make(maker, maker.protected(), approval=True)
    refused = run(runner, plan)
    assert (refused.status, "is not approved" in refused.message) == (409, True)
    assert maker("POST", f"restore_plans/{plan['id']}/approve").status == 409
    approved = approver("POST", f"restore_plans/{plan['id']}/approve")
    assert approved.status == 200, approved.body
    assert approved.body["restore_plan"]["approved_by"] == "approver"
    # Whoever changes it takes the approval away, and may not approve it himself.
    approver("PATCH", f"restore_plans/{plan['id']}", {"restore_plan": {"existing": "ignore"}})
    changed = ready(maker, plan["id"])
    assert (changed["approved_by"], changed["user_id"]) == (None, "approver")
    assert run(runner, plan).status == 409
    assert approver("POST", f"restore_plans/{plan['id']}/approve").status == 409
    assert maker("POST", f"restore_plans/{plan['id']}/approve").status == 200
    begun = run(runner, plan)
    assert begun.status == 200, begun.body
    runner.until(f"restores/{begun.body['restore']['id']}", lambda found: found["status"] == "success")


def test_of_a_plan_at_a_time(working: Running, there: set[str]) -> None:
    user = working.user()
    plan = user.plan()
    first, second = user.protected(plan), user.protected(plan)
    assert make(user, None, plan_id=plan["id"])["checkpoint_id"] == second["id"]
    before = {"plan_id": plan["id"], "provider_id": NOOP, "at": "2001-01-01T00:00"}
    answer = user("POST", "restore_plans", {"restore_plan": before})
    assert (answer.status, "no available checkpoint" in answer.message) == (404, True)
    assert first["id"] != second["id"]
    wrong = user("POST", "restore_plans", {"restore_plan": {**before, "at": "yesterday"}})
    assert wrong.status == 400
    both = user("POST", "restore_plans", {"restore_plan": {**before, "checkpoint_id": first["id"]}})
    assert both.status == 400


def test_others_do_not_see_it(working: Running, there: set[str]) -> None:
    user = working.user()
    plan = make(user, user.protected())
    stranger = User(working.application, project=OTHER, name="stranger")
    for method, path, body in (
        ("GET", f"restore_plans/{plan['id']}", None),
        ("PATCH", f"restore_plans/{plan['id']}", {"restore_plan": {}}),
        ("POST", f"restore_plans/{plan['id']}/approve", None),
        ("DELETE", f"restore_plans/{plan['id']}", None),
        ("POST", "restores", {"restore": {"restore_plan_id": plan["id"]}}),
    ):
        assert stranger(method, path, body).status == 404, (method, path)
    assert stranger("GET", "restore_plans").body["restore_plans"] == []


POLICIES: dict[str, Callable[[User, str], Any]] = {
    "create": lambda user, _id: user(
        "POST", "restore_plans", {"restore_plan": {"provider_id": NOOP, "checkpoint_id": NOOP}}
    ),
    "get": lambda user, identity: user("GET", f"restore_plans/{identity}"),
    "update": lambda user, identity: user("PATCH", f"restore_plans/{identity}", {"restore_plan": {}}),
    "approve": lambda user, identity: user("POST", f"restore_plans/{identity}/approve"),
    "delete": lambda user, identity: user("DELETE", f"restore_plans/{identity}"),
    "run": lambda user, identity: user("POST", "restores", {"restore": {"restore_plan_id": identity}}),
}


@pytest.mark.parametrize("refused", POLICIES)
def test_each_has_a_rule_of_its_own(tmp_path: Path, refused: str) -> None:
    rules = tmp_path / "policy.yaml"
    rules.write_text(json.dumps({f"restore_plan:{refused}": "role:admin"}))
    (tmp_path / "refloat.conf").write_text(f"[oslo_policy]\npolicy_file = {rules}\n")
    running = run_service(tmp_path, files=[tmp_path / "refloat.conf"])
    try:
        user = running.user()
        for name, ask in POLICIES.items():
            answer = ask(user, NOOP)
            assert (answer.status == 403) == (name == refused), (name, answer.body)
    finally:
        running.close()


def protected(refloat: Command) -> str:
    made = refloat("plan", "create", "app", "--resource", "noop=tree:5", "--provider", "noop")
    assert made.status == 0, made.err
    return str(refloat("protect", "app", "-f", "json").json["id"])


def test_the_command(refloat: Command, there: set[str]) -> None:
    """2.1, 2.2: the verdict comes first and on stdout, then what is different, then a table."""
    checkpoint = protected(refloat)
    there |= {"tree-5"}
    made = refloat("restore", "plan", "create", "app", "--at", "latest", "--name", "flood", "-f", "json")
    assert made.status == 0, made.err
    told = made.json
    assert (told["status"], told["checkpoint_id"], told["possible"]) == ("ready", checkpoint, True)
    assert told["choices"]["existing"] == "skip"
    text = refloat("restore", "plan", "show", "flood").out.splitlines()
    assert text[0] == f"The restore plan flood ({told['id']}) is ready."
    assert text[1] == "It is possible: 4 to create, 0 to re-use, 1 to keep as they are."
    assert text[2].startswith(f"The checkpoint {checkpoint[:8]} of app is of ")
    assert text[2].endswith("less than an hour old, never verified.")
    assert "keep    noop tree:5 (tree-5) - it is still there" in text
    (row,) = refloat("restore", "plan", "list", "-f", "json").json
    assert (row["name"], row["status"]) == ("flood", "ready")

    there |= {"tree-5-1"}
    stale = refloat("restore", "plan", "run", "flood", "-f", "json")
    assert stale.status == 1
    assert "noop server-1: create was planned" in stale.err.replace("Refloat::Noop", "noop")
    assert refloat("restore", "plan", "show", "flood", "-f", "json").json["status"] == "stale"
    changed = refloat("restore", "plan", "set", "flood", "--leave-out", "noop=tree-5-4", "-f", "json").json
    assert (changed["status"], len(changed["resources"])) == ("ready", 4)
    ran = refloat("restore", "plan", "run", "flood", "-f", "json")
    assert ran.status == 0, ran.err
    assert [line["status"] for line in ran.json["resources"]].count("kept") == 2
    assert refloat("restore", "plan", "show", "flood", "-f", "json").json["status"] == "restored"
    again = refloat("restore", "plan", "run", "flood")
    assert (again.status, "it is restored" in again.err) == (1, True)
    assert refloat("restore", "plan", "delete", "flood").status == 0
    assert refloat("restore", "plan", "list", "-f", "json").json == []


WRONG: dict[str, tuple[tuple[str, ...], Any, str]] = {
    "a mapping of what the checkpoint does not name": (
        ("--map", "flavor:small=large"),
        {"mappings": {"flavor": {"small": "large"}}},
        "small",
    ),
    "a name for what it does not hold": (
        ("--map", "name:nosuch=x"),
        {"mappings": {"name": {"nosuch": "x"}}},
        "nosuch",
    ),
    "leaving out what it does not hold": (
        ("--leave-out", "noop=nosuch"),
        {"leave_out": ["Refloat::Noop#nosuch"]},
        "holds no Refloat::Noop 'nosuch'",
    ),
    "only what it does not hold": (
        ("--only", "noop=nosuch"),
        {"only": ["Refloat::Noop#nosuch"]},
        "holds no Refloat::Noop 'nosuch'",
    ),
    "all of it left out": (
        ("--leave-out", "noop=tree-5"),
        {"leave_out": ["Refloat::Noop#tree-5"]},
        "left out",
    ),
    "a setting of what it does not hold": (
        ("--parameter", "noop=nosuch:restore_name=x"),
        {"parameters": {"Refloat::Noop#nosuch": {"restore_name": "x"}}},
        "nosuch",
    ),
    "a setting that there is not": (
        ("--parameter", "noop:colour=red"),
        {"parameters": {"Refloat::Noop": {"colour": "red"}}},
        "colour",
    ),
    "a word that says nothing of what is there": (
        ("--existing", "overwrite"),
        {"existing": "overwrite"},
        "overwrite",
    ),
    "a name beside where nothing is made beside": (("--beside-name", "x"), {"beside_name": "x"}, "beside"),
    "no safety where nothing is replaced": (("--no-safety",), {"no_safety": True}, "existing=replace"),
}


def test_a_wrong_choice_changes_nothing(refloat: Command, there: set[str]) -> None:
    """It is told, and the restore plan that is kept can be run as it was, here and with the service."""
    protected(refloat)
    there |= {"tree-5"}
    create = ("restore", "plan", "create", "app", "--name", "flood", "--leave-out", "noop=tree-5-4")
    assert refloat(*create).status == 0
    show = ("restore", "plan", "show", "flood", "-f", "json")
    before = refloat(*show).json
    for what, (options, _body, said) in WRONG.items():
        changed = refloat("restore", "plan", "set", "flood", *options)
        assert changed.status != 0, what
        assert said in changed.err or "--existing" in options, (what, changed.err)  # argparse tells that
        after = refloat(*show).json
        reason = after.pop("reason")
        assert after == {name: value for name, value in before.items() if name != "reason"}, what
        assert not reason or reason.startswith("it was not changed: ")
        made = refloat("restore", "plan", "create", "app", "--name", "other", *options)
        assert made.status != 0, what
    assert [row["name"] for row in refloat("restore", "plan", "list", "-f", "json").json] == ["flood"]
    renamed = refloat("restore", "plan", "set", "flood", "--name", "rain", "-f", "json").json
    assert (renamed["name"], renamed["reason"], renamed["choices"]) == ("rain", "", before["choices"])
    assert refloat("restore", "plan", "run", "rain").status == 0


def test_a_wrong_choice_changes_nothing_over_rest(working: Running, there: set[str]) -> None:
    """Nor who has approved it. What has to be looked up first is told by the operation and as the reason."""
    user, other = (User(working.application, name=name) for name in ("maker", "approver"))
    plan = make(user, user.protected(), approval=True)
    plan = other("POST", f"restore_plans/{plan['id']}/approve").body["restore_plan"]
    for what, (_options, body, said) in WRONG.items():
        answer = user("PATCH", f"restore_plans/{plan['id']}", {"restore_plan": {"name": "new", **body}})
        after = ready(user, plan["id"])
        told = {name: after.pop(name) for name in ("reason", "operation_id")}
        assert after == {name: value for name, value in plan.items() if name not in told}, what
        if answer.status == 200:
            assert told["reason"].startswith("it was not changed: "), what
            assert said in told["reason"], what
            failed = user("GET", f"operations/{told['operation_id']}").body["operation"]
            assert (failed["status"], said in failed["error"]["message"]) == ("failed", True), what
        else:
            assert (answer.status in (400, 404), said in answer.message) == (True, True), (what, answer.body)
    assert run(other, plan).status == 200


def test_one_that_needs_somebody_else(refloat: Command, there: set[str]) -> None:
    protected(refloat)
    made = refloat("restore", "plan", "create", "app", "--approval", "--name", "flood")
    assert "somebody else has to approve it" in made.out
    assert "is approved by somebody else than who made" in refloat("restore", "plan", "approve", "flood").err
    refused = refloat("restore", "plan", "run", "flood")
    assert (refused.status, "is not approved" in refused.err) == (1, True)
    assert refloat("restore", "plan", "set", "flood", "--no-approval").status == 0
    assert refloat("restore", "plan", "run", "flood").status == 0


def test_a_project_has_so_many_at_most(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """H5: what a tenant may have others keep is bounded."""
    monkeypatch.setattr(kept_plans, "MOST", 2)
    worker, user = service.work(), service.user()
    checkpoint = user.protected()
    made = [make(user, checkpoint) for _number in range(2)]
    body = {"provider_id": NOOP, "checkpoint_id": checkpoint["id"]}
    refused = user("POST", "restore_plans", {"restore_plan": body})
    assert (refused.status, "may not have more" in refused.message) == (413, True)
    assert user("DELETE", f"restore_plans/{made[0]['id']}").status == 200
    make(user, checkpoint)
    assert worker


def test_who_may_not_restore_may_run_what_others_made(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(json.dumps({"restore:create": "role:manager"}))
    (tmp_path / "refloat.conf").write_text(f"[oslo_policy]\npolicy_file = {tmp_path}/policy.yaml\n")
    running = run_service(tmp_path, files=[tmp_path / "refloat.conf"])
    try:
        running.work()
        user = running.user()
        checkpoint = user.protected()
        body = {"provider_id": NOOP, "checkpoint_id": checkpoint["id"], "parameters": {}}
        refused = user("POST", "restores", {"restore": body})
        assert (refused.status, "restore:create" in refused.message) == (403, True)
        assert run(user, make(user, checkpoint)).status == 200
    finally:
        running.close()

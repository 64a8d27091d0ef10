"""Mappings over REST, with the command, and in restore plans that are kept: the same everywhere.

Finding: part 3 of a restore on the worst day: names of what is restored, and what takes the place of what.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from api_helpers import NOOP, Running, User

from tests.unit.support.cli_helpers import Command

ROOT_NAME = "tree:5"


def restore(user: User, checkpoint: Any, **more: Any) -> Any:
    body = {"provider_id": NOOP, "checkpoint_id": checkpoint["id"], "parameters": {}, **more}
    return user("POST", "restores", {"restore": body})


def names_of(lines: Any) -> dict[str, str]:
    return {line.get("source_id") or line["id"]: line["name"] for line in lines}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"colour": {"a": "b"}}, "colour"),
        ({"flavor": {"a": ""}}, "flavor"),
        ({"flavor": ["a"]}, "flavor"),
        ({"address": {"10.0.0.1": "here"}}, "'here' is no address"),
        ({"address": {"10.0.0.1": "fe80::1"}}, "not addresses of the same kind"),
        ({"name": {"a": " "}}, "is no name"),
    ],
)
def test_what_cannot_be_is_refused_everywhere(working: Running, wrong: Any, message: str) -> None:
    user = working.user()
    checkpoint = user.protected()
    which = {"provider_id": NOOP, "checkpoint_id": checkpoint["id"]}
    dry = {"type": "restore", "dry_run": True, "parameters": {}, **which, "mappings": wrong}
    for answer in (
        restore(user, checkpoint, mappings=wrong),
        user("POST", "restore_plans", {"restore_plan": {**which, "mappings": wrong}}),
        user("POST", "operations", {"operation": dry}),
    ):
        assert answer.status == 400, answer.body
        assert message in answer.message
    assert user("GET", "restores").body["restores"] == []
    assert user("GET", "restore_plans").body["restore_plans"] == []


def test_a_name_reaches_what_is_restored_and_what_fits_nothing_changes_nothing(working: Running) -> None:
    user = working.user()
    checkpoint = user.protected()
    begun = restore(user, checkpoint, mappings={"name": {"server-1": "web-2"}}).body["restore"]
    user.until(f"restores/{begun['id']}", lambda found: found["status"] == "success")
    made = user("GET", f"operations/{begun['id']}").body["operation"]["resources"]
    named = names_of(made)
    assert named["tree-5-1"] == "web-2"
    assert "web-2" not in {name for key, name in named.items() if key != "tree-5-1"}
    for wrong, said in (
        ({"name": {"nobody": "x"}}, "nothing in the checkpoint is called 'nobody' as name"),
        ({"flavor": {"small": "large"}}, "nothing in the checkpoint is called 'small' as flavor"),
    ):
        begun = restore(user, checkpoint, mappings=wrong).body["restore"]
        failed = user.until(f"restores/{begun['id']}", lambda found: found["status"] == "fail")
        assert said in failed["error_info"]
        assert user("GET", f"operations/{begun['id']}").body["operation"]["resources"] in ([], None)


def test_restore_plans_keep_what_mappings_mean(working: Running) -> None:
    user = working.user()
    checkpoint = user.protected()
    body = {
        "provider_id": NOOP,
        "checkpoint_id": checkpoint["id"],
        "mappings": {"name": {"server-1": "web-2"}},
    }
    made = user("POST", "restore_plans", {"restore_plan": body}).body["restore_plan"]

    def ready() -> Any:
        return user.until(f"restore_plans/{made['id']}", lambda found: found["status"] != "planning")

    plan = ready()
    key = "Refloat::Noop#tree-5-1"
    assert plan["choices"]["mappings"] == body["mappings"]
    told = {"kind": "name", "old": key, "old_name": "server-1", "new": "web-2", "new_name": "web-2"}
    assert plan["content"]["mappings"] == [told]
    path = f"restore_plans/{made['id']}"
    changed = user("PATCH", path, {"restore_plan": {"mappings": {"name": {"tree-5-1": "web-3"}}}})
    assert changed.status == 200, changed.body
    plan = ready()
    (attribute,) = (
        outcome
        for item in plan["content"]["resources"]
        if item["source_id"] == "tree-5-1"
        for outcome in item["attributes"]
        if outcome["name"] == "name"
    )
    assert (attribute["source"], attribute["restored"], attribute["fidelity"]) == (
        "server-1",
        "web-3",
        "mapped",
    )
    begun = user("POST", "restores", {"restore": {"restore_plan_id": made["id"]}}).body["restore"]
    user.until(f"restores/{begun['id']}", lambda found: found["status"] == "success")
    lines = user("GET", f"operations/{begun['id']}").body["operation"]["resources"]
    assert names_of(lines)["tree-5-1"] == "web-3"


def test_the_command(refloat: Command, tmp_path: Path) -> None:
    """A plan's mappings grow one by one; a file, and what is wrong with it, by its line."""
    made = refloat("plan", "create", "app", "--resource", "noop=tree:5", "--provider", "noop")
    assert made.status == 0, made.err
    checkpoint = str(refloat("protect", "app", "-f", "json").json["id"])
    path = tmp_path / "map.yaml"
    path.write_text("name:\n  server-1: from-file\ncolour:\n  a: b\n")
    wrong = refloat("restore", checkpoint, "--map-file", str(path))
    assert (wrong.status, f"{path}, line 3: 'colour' cannot be mapped" in wrong.err) == (2, True)
    path.write_text("name:\n  server-1: from-file\n")
    create = ("restore", "plan", "create", checkpoint, "--name", "flood", "-f", "json")
    plan = refloat(*create, "--map-file", str(path)).json
    assert names_of(plan["resources"])["tree-5-1"] == "from-file"
    grown = refloat("restore", "plan", "set", "flood", "--map", "name:tree-5=root-2", "-f", "json").json
    assert names_of(grown["resources"]) | {"tree-5": "root-2", "tree-5-1": "from-file"} == names_of(
        grown["resources"]
    )
    assert grown["choices"]["mappings"] == {"name": {"server-1": "from-file", "tree-5": "root-2"}}
    given = ("--map", "name:server-1=web-2", "--map-file", str(path))
    dry = refloat("restore", checkpoint, "--dry-run", *given, "-f", "json").json
    assert names_of(dry["resources"])["tree-5-1"] == "web-2"
    text = refloat("restore", checkpoint, "--dry-run", *given).out
    assert "server-1 (tree-5-1) as web-2" in text
    for bad, said in (
        ("flavor", "is not of the form KIND:OLD=NEW"),
        ("colour:a=b", "'colour' cannot be mapped. What can: flavor, network"),
        ("name:nobody=x", "nothing in the checkpoint is called 'nobody'"),
    ):
        refused = refloat("restore", checkpoint, "--map", bad)
        assert (refused.status, said in refused.err) == (2, True), refused.err

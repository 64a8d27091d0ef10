"""``openstack data protection ...`` against the service."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from api_helpers import DEMO, NOOP
from served import Served, serve

from refloat.records.quotas import DEFAULTS
from tests.unit.support.cli_helpers import Ran

TREE = "tree-3=Refloat::Noop=tree:3"


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    for name in list(os.environ):
        if name.startswith(("OS_", "REFLOAT_")):
            monkeypatch.delenv(name)
    with serve(tmp_path) as user:
        for name, value in user.command.environ.items():
            monkeypatch.setenv(name, value)
        yield user


def osc(*argv: str) -> Ran:
    """Run the client in this process."""
    from openstackclient.shell import OpenStackShell

    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        shell = OpenStackShell()
        try:
            status = shell.run(["data", "protection", *argv])
        except SystemExit as exc:
            status = int(exc.code or 0)
    return Ran(status, out.getvalue(), err.getvalue())


def ok(*argv: str) -> Any:
    """What a command prints as JSON."""
    ran = osc(*argv, "-f", "json")
    assert ran.status == 0, (argv, ran.err, ran.out)
    return ran.json


def plan(name: str = "app") -> Any:
    return ok("plan", "create", name, NOOP, TREE, "--description", "words", "--objective", "26")


def checkpoint(served: Served) -> str:
    """The id of a finished one."""
    made = ok("checkpoint", "create", NOOP, plan()["id"], "--extra_info", "why=because", "who=me")
    path = f"providers/{NOOP}/checkpoints/{made['id']}"
    served_user(served).until(path, lambda found: found["status"] == "available")
    return str(made["id"])


def served_user(served: Served) -> Any:
    return served.running.user(headers={"X-Auth-Token": "secret-token"})


def test_plans(served: Served) -> None:
    made = plan()
    assert made["resources"] == [{"id": "tree-3", "type": "Refloat::Noop", "name": "tree:3"}]
    listed = ok("plan", "list", "--name", "app")
    wanted = {"Id": made["id"], "Name": "app", "Description": "words"}
    assert listed == [{**wanted, "Provider id": NOOP, "Status": "suspended"}]
    assert ok("plan", "list", "--name", "other") == []
    assert ok("plan", "show", "app") == ok("plan", "show", made["id"]) == made
    changed = ok("plan", "update", "app", "--name", "shop", "--resources", "tree-2=Refloat::Noop=x")
    assert (changed["name"], changed["resources"][0]["id"], changed["description"]) == (
        "shop",
        "tree-2",
        "words",
    )
    assert (made["objective"], changed["objective"]) == (26, 26)
    assert ok("plan", "update", "shop", "--objective", "0")["objective"] is None
    failed = osc("plan", "delete", "shop", "nobody")
    assert failed.status == 1
    assert "nobody" in failed.err
    assert "1 of 2 failed" in failed.err
    assert ok("plan", "list") == []
    bad = osc("plan", "create", "x", NOOP, "nonsense")
    assert (bad.status, "is not of the form id=type=name" in bad.err) == (1, True)


def test_pages(served: Served) -> None:
    for number in range(5):
        plan(f"p{number}")
    first = ok("plan", "list", "--limit", "2", "--sort", "name:asc")
    assert [row["Name"] for row in first] == ["p0", "p1"]
    rest = ok("plan", "list", "--limit", "9", "--sort", "name:asc", "--marker", first[-1]["Id"])
    assert [row["Name"] for row in rest] == ["p2", "p3", "p4"]


def test_what_can_be_protected(served: Served) -> None:
    assert {"Protectable type": "Refloat::Noop"} in ok("protectable", "list")
    shown = ok("protectable", "show", "OS::Cinder::Volume")
    assert (shown["name"], shown["dependent_types"]) == ("OS::Cinder::Volume", [])
    assert ok("protectable", "instance", "list", "Refloat::Noop", "--parameters", "name=x") == []
    one = ok("protectable", "instance", "show", "Refloat::Noop", "tree-3")
    assert [below["id"] for below in one["dependent_resources"]] == ["tree-3-1"]
    names = [row["Name"] for row in ok("provider", "list")]
    assert set(names) == {"default", "snapshot", "bank"}
    assert ok("provider", "show", "noop") == ok("provider", "show", NOOP)


def _mappings(served: Served, made: str) -> None:
    """They are added to those of a restore plan; what is none is refused before anything is sent."""
    wrong = osc("restore", "create", NOOP, made, "--map", "colour:a=b")
    assert (wrong.status, "'colour' cannot be mapped" in wrong.err) == (1, True)
    identity = ok("restore", "plan", "create", NOOP, made, "--map", "name:tree-3=again")["id"]
    for options, mapped in (
        (("--map", "name:tree-3-1=other"), {"name": {"tree-3": "again", "tree-3-1": "other"}}),
        (("--no-map",), None),
    ):
        served_user(served).until(f"restore_plans/{identity}", lambda found: found["status"] == "ready")
        changed = ok("restore", "plan", "set", identity, *options)
        assert changed["choices"].get("mappings") == mapped
    served_user(served).until(f"restore_plans/{identity}", lambda found: found["status"] == "ready")


def test_checkpoints_restores_verifications(served: Served) -> None:
    made = checkpoint(served)
    (row,) = ok("checkpoint", "list", NOOP)
    assert (row["Id"], row["Status"], row["Project id"]) == (made, "available", DEMO)
    assert row["Extra info"] == {"created_by": "manual", "why": "because", "who": "me"}
    assert row["Protection plan"]["name"] == "app"
    shown = ok("checkpoint", "show", NOOP, made)
    assert len(shown["resource_graph"][0]) == 3
    assert "Name: app" in osc("checkpoint", "list", NOOP).out
    assert ok("checkpoint", "list", NOOP, "--start_date", "2000-01-01", "--end_date", "2000-01-02") == []

    settings = ("--parameters", "resource_type=Refloat::Noop,restore_name=new {name}")
    restore = ok("restore", "create", NOOP, made, *settings)
    assert restore["parameters"] == {"Refloat::Noop": {"restore_name": "new {name}"}}
    verification = ok("verification", "create", NOOP, made, "--parameters-json", "{}")
    for kind, run in (("restore", restore), ("verification", verification)):
        served_user(served).until(f"{kind}s/{run['id']}", lambda found: found["status"] == "success")
        assert ok(kind, "show", run["id"])["status"] == "success"
        (row,) = ok(kind, "list", "--status", "success")
        assert row["Checkpoint id"] == made
    logs = {row["Operation Type"]: row["Status"] for row in ok("operationlog", "list")}
    assert logs == {"protect": "available", "restore": "success", "verify": "success"}
    assert ok("operationlog", "show", restore["id"])["restore_id"] == restore["id"]
    missing = osc("restore", "create", NOOP, made, "--restore_target", "x")
    assert (missing.status, "Must specify username" in missing.err) == (1, True)
    _mappings(served, made)

    assert osc("checkpoint", "reset", "state", NOOP, made).status == 0
    assert ok("checkpoint", "show", NOOP, made)["status"] == "error"
    assert osc("checkpoint", "reset", "state", NOOP, made, "--available").status == 0
    assert osc("checkpoint", "delete", NOOP, made).status == 0
    path = f"providers/{NOOP}/checkpoints/{made}"
    served_user(served).until(path, lambda found: found["status"] == "deleted")
    assert ok("checkpoint", "list", NOOP) == []


def test_quotas_and_workers(served: Served) -> None:
    limits = {**DEFAULTS, "id": DEMO}
    assert ok("quotas", "show") == ok("quotas", "default") == limits
    assert ok("quotas", "show", "--detail")["plans"] == {"limit": 50, "in_use": 0, "reserved": 0}
    refused = osc("quotas", "update", DEMO, "--plans", "7")
    assert (refused.status, "Policy doesn't allow quota:update" in refused.err) == (1, True)
    served.who.roles = "admin,member,reader"
    assert ok("quotas", "update", DEMO, "--plans", "7")["plans"] == 7
    assert osc("quotas", "delete", DEMO).status == 0
    assert ok("quotas", "show")["plans"] == 50
    assert ok("quotaclass", "update", "default", "--plans", "9")["plans"] == 9
    assert ok("quotaclass", "show", "default")["plans"] == 9
    (worker,) = ok("service", "list")
    disabled = ok("service", "disable", str(worker["Id"]), "--reason", "mending")
    assert (disabled["status"], disabled["disabled_reason"]) == ("disabled", "mending")
    assert ok("service", "enable", str(worker["Id"]))["status"] == "enabled"


def test_as_a_process(served: Served) -> None:
    openstack = str(Path(sys.executable).with_name("openstack"))
    ran = subprocess.run(
        [openstack, "data", "protection", "provider", "list", "-f", "json"],
        env=served.command.environ,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert {row["Name"] for row in json.loads(ran.stdout)} >= {"default", "bank"}


def test_triggers_and_scheduled_operations(served: Served) -> None:
    trigger = ok("trigger", "create", "daily", "time", "format=crontab,pattern=0 3,4 * * 1,window=1200")
    assert trigger["properties"]["pattern"] == "0 3,4 * * 1"
    assert trigger["properties"]["window"] == 1200
    (row,) = ok("trigger", "list", "--name", "dai")
    assert (row["Id"], row["Name"], row["Type"]) == (trigger["id"], "daily", "time")
    assert ok("trigger", "show", "daily")["id"] == trigger["id"]
    assert ok("trigger", "update", "daily", "--name", "weekly")["name"] == "weekly"
    pattern = "BEGIN:VEVENT\\nRRULE:FREQ=WEEKLY;BYDAY=MO,TU;\\nEND:VEVENT"
    properties = f"format=calendar,pattern={pattern},start_time=2050-01-01 00:00:00"
    changed = ok("trigger", "update", "weekly", "--properties", properties)
    assert changed["properties"]["format"] == "calendar"

    definition = f"provider_id={NOOP},plan_id={plan()['id']}"
    made = ok("scheduledoperation", "create", "nightly", "protect", trigger["id"], definition)
    assert made["operation_definition"]["provider_id"] == NOOP
    (row,) = ok("scheduledoperation", "list")
    assert (row["Id"], row["Operation Type"], row["Trigger Id"]) == (made["id"], "protect", trigger["id"])
    assert ok("scheduledoperation", "show", "nightly")["id"] == made["id"]
    assert ok("scheduledoperation", "retention", "nightly") == []
    ran = ok("scheduledoperation", "run", "nightly")
    served_user(served).until(
        f"scheduled_operations/{ran['id']}", lambda found: found["last_runs"][0]["state"] == "succeeded"
    )
    (kept,) = ok("scheduledoperation", "retention", "nightly")
    assert (kept["Keep"], kept["Rule"]) == (True, "there are no rules")
    changed = ok("scheduledoperation", "update", "nightly", "--disable", "--name", "x")
    assert (changed["name"], changed["enabled"]) == ("x", False)
    used = osc("trigger", "delete", "weekly")
    assert used.status == 1
    assert osc("scheduledoperation", "delete", "x").status == 0
    assert osc("trigger", "delete", "weekly").status == 0
    assert ok("trigger", "list") == ok("scheduledoperation", "list") == []


def test_a_hold(served: Served) -> None:
    made = checkpoint(served)
    assert ok("checkpoint", "hold", "set", NOOP, made, "court")["reason"] == "court"
    assert ok("checkpoint", "hold", "show", NOOP, made)["user_id"] == "tester"
    assert osc("checkpoint", "delete", NOOP, made).status == 1
    served.who.roles = "manager,member,reader"
    assert osc("checkpoint", "hold", "unset", NOOP, made).status == 0
    assert osc("checkpoint", "hold", "show", NOOP, made).status == 1


def test_every_command_of_the_plugin_has_help() -> None:
    from openstackclient.shell import OpenStackShell

    shell = OpenStackShell()
    for entry in entry_points(group="openstack.data_protection.v1"):
        command = entry.load()(shell, None, cmd_name=entry.name)
        words = entry.name.removeprefix("data_protection_").replace("_", " ")
        assert command.get_description(), words
        assert all(action.help for action in command.get_parser(words)._actions), words

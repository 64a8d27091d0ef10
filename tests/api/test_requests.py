"""What the command asks the service for: not more than it shows."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from api_helpers import DEMO, NOOP
from served import Served, serve

CHECKPOINTS = f"GET /v1/{DEMO}/providers/{NOOP}/checkpoints"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service with two things on a page, and a user with three checkpoints of two plans."""
    with (
        pytest.MonkeyPatch.context() as monkeypatch,
        serve(tmp_path_factory.mktemp("service"), api__max_limit=2) as found,
    ):
        for name in list(os.environ):
            if name.startswith(("OS_", "REFLOAT_")):
                monkeypatch.delenv(name)
        for name, value in {**found.command.environ, "REFLOAT_SERVICE": "catalog"}.items():
            monkeypatch.setenv(name, value)
        for plan in ("app", "other"):
            made = found.command("plan", "create", plan, "--resource", "noop=tree:2", "--provider", "noop")
            assert made.status == 0, made.err
        for plan in ("app", "app", "other"):
            ran = found.command("protect", plan)
            assert ran.status == 0, ran.err
        yield found


def asked(served: Served, *argv: str) -> list[str]:
    """The requests of a command."""
    served.requests.clear()
    ran = served.command(*argv)
    assert ran.status == 0, ran.err
    return list(served.requests)


def test_a_list_of_checkpoints_is_one_request_a_page(served: Served) -> None:
    rows = served.command("checkpoint", "list", "-f", "json").json
    assert len({row["operation_id"] for row in rows} - {""}) == 3
    requests = asked(served, "checkpoint", "list")
    assert len([line for line in requests if line.startswith(CHECKPOINTS)]) == 2
    assert not [line for line in requests if "/operations" in line]


def test_the_service_chooses_the_checkpoints_of_a_plan(served: Served) -> None:
    plan = served.command("plan", "show", "other", "-f", "json").json["id"]
    rows = served.command("checkpoint", "list", "-f", "json", "--plan", "other").json
    assert [row["plan"] for row in rows] == ["other"]
    assert served.command("checkpoint", "list", "-f", "json", "--plan", plan).json == rows
    requests = asked(served, "checkpoint", "list", "--plan", plan)
    (mine,) = [line for line in requests if line.startswith(CHECKPOINTS)]
    assert f"plan_id={plan}" in mine


def test_one_of_many_is_not_looked_for_in_a_list(served: Served) -> None:
    made = served.command("checkpoint", "list", "-f", "json").json[0]["id"]
    requests = asked(served, "checkpoint", "show", made)
    assert not [line for line in requests if line.startswith((f"{CHECKPOINTS}?", "GET /operations"))]
    plans = [line for line in asked(served, "plan", "show", "app") if "/plans" in line]
    assert len(plans) == 1
    assert "name=app" in plans[0]

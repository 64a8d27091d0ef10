"""Logs as JSON: every line says what it is about."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from api_helpers import DEMO, Running, run_service

from refloat.api import config
from refloat.control.program_context import InContext
from refloat.control.submit import Submitter
from refloat.log_context import about, known, note, set_up_logs
from refloat.resources.noop import NoopProtect

_LOG = logging.getLogger("refloat.test")


@pytest.fixture
def lines(tmp_path: Path) -> Iterator[Any]:
    """What a service that logs JSON has logged."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    root.handlers[:] = [logging.StreamHandler(stream)]
    root.setLevel(logging.INFO)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:] = before
    root.setLevel(level)


@pytest.fixture
def service(tmp_path: Path, lines: Any) -> Iterator[Running]:
    file = tmp_path / "refloat.conf"
    file.write_text("[DEFAULT]\nuse_json = true\n")
    set_up_logs(config.load([file]))
    running = run_service(tmp_path, files=[file])
    yield running
    running.close()


def test_a_line_tells_operation_request_project_and_resource(
    service: Running, lines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = NoopProtect.on_main

    def talk(self: Any, context: Any) -> Any:
        _LOG.info("working on %s", context.resource.name)
        return original(self, context)

    monkeypatch.setattr(NoopProtect, "on_main", talk)
    service.work()
    member = service.user()
    plan = member.plan(size=3)
    body = {"checkpoint": {"plan_id": plan["id"]}}
    asked = member("POST", f"providers/{plan['provider_id']}/checkpoints", body)
    member.until("operations", lambda found: found[0]["status"] == "succeeded")
    (operation,) = member("GET", "operations").body["operations"]
    found = [line for line in lines() if line["message"].startswith("working on")]
    assert len(found) == 3
    for line in found:
        assert line["context"] == {
            "request_id": asked.headers["x-openstack-request-id"],
            "operation_id": operation["id"],
            "project_id": DEMO,
            "resource": line["context"]["resource"],
        }
        assert line["levelname"] == "INFO"
    assert {line["context"]["resource"].partition("#")[0] for line in found} == {"Refloat::Noop"}
    assert len({line["context"]["resource"] for line in found}) == 3


def test_a_request_that_fails_is_logged_with_its_id(
    service: Running, lines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_given: Any, **_more: Any) -> None:
        raise ZeroDivisionError("the caller must not hear of this")

    monkeypatch.setattr(Submitter, "add", fail)
    member = service.user()
    body = {"checkpoint": {"plan_id": member.plan()["id"]}}
    answer = member("POST", "providers/8d0c3f0e-6f3b-4f0e-9a53-0d5d3c1a7b03/checkpoints", body)
    assert answer.status == 500
    (line,) = [line for line in lines() if line["levelname"] == "ERROR"]
    assert line["context"]["request_id"] == answer.headers["x-openstack-request-id"]
    assert line["context"]["project_id"] == DEMO
    assert "ZeroDivisionError" in line["traceback"]


def test_a_step_that_waits_says_what_it_is_about_in_every_piece() -> None:
    seen: list[dict[str, str]] = []

    class Program:
        def step(self, _prepared: Any, _run: Any) -> Any:
            def body() -> Any:
                seen.append(dict(known()))
                try:
                    yield "a wait"
                except ValueError:
                    seen.append(dict(known()))
                came = yield "another"
                seen.append(dict(known()))
                return came

            return body()

    class Run:
        step = "on_main OS::Nova::Server#1"

    body = InContext(Program(), operation_id="o").step(None, Run())  # type: ignore[arg-type]
    assert next(body) == "a wait"
    assert body.throw(ValueError()) == "another"
    assert known() == {}
    with pytest.raises(StopIteration) as end:
        body.send(7)
    assert end.value.value == 7
    assert seen == [{"operation_id": "o", "resource": "OS::Nova::Server#1"}] * 3


def test_what_is_noted_ends_with_what_it_is_noted_in() -> None:
    with about(request_id="r", project_id=""):
        note(project_id="p")
        with about(operation_id="o"):
            assert known() == {"request_id": "r", "project_id": "p", "operation_id": "o"}
        assert known() == {"request_id": "r", "project_id": "p"}
    note(project_id="q")
    assert known() == {}

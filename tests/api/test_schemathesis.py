"""Schemathesis on the served document: no 5xx, and no reply that the document does not tell of."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import schemathesis
from api_helpers import DEMO, NOOP, Running, run_service
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 15
ALWAYS = {"project_id", "type_name"}
"""Nothing made up is tried in their place: it is refused at once, or there is no cloud to ask."""
HEADERS = {
    "X-Project-Id": DEMO,
    "X-User-Id": "tester",
    "X-Roles": "admin,manager,member,reader",
    "X-Project-Name": "admin",
    "X-Project-Domain-Name": "Default",
}


RESOURCE = {"type": "Refloat::Noop", "id": "tree-2", "name": "tree:2"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One service for all routes: what one has made, another finds."""
    running = run_service(tmp_path_factory.mktemp("service"))
    running.work()
    yield running
    running.close()


@pytest.fixture(scope="module")
def known(service: Running) -> dict[str, str]:
    """Something that is there for the parameters of paths."""
    member = service.user()
    plan = member.plan()
    checkpoint = member.protected(plan)
    run = {"provider_id": NOOP, "checkpoint_id": checkpoint["id"], "parameters": {}}
    restore = member("POST", "restores", {"restore": run}).body["restore"]["id"]
    member.until(f"restores/{restore}", lambda found: found["status"] == "success")
    properties = {"format": "crontab", "pattern": "0 3 * * *"}
    body: Any = {"trigger_info": {"name": "daily", "type": "time", "properties": properties}}
    trigger = member("POST", "triggers", body).body["trigger_info"]["id"]
    definition = {"provider_id": NOOP, "plan_id": plan["id"]}
    body = {
        "name": "x",
        "operation_type": "protect",
        "trigger_id": trigger,
        "operation_definition": definition,
    }
    answer = member("POST", "scheduled_operations", {"scheduled_operation": body})
    scheduled = answer.body["scheduled_operation"]["id"]
    return {
        "project_id": DEMO,
        "provider_id": NOOP,
        "plan_id": plan["id"],
        "checkpoint_id": checkpoint["id"],
        "restore_id": restore,
        "operation_id": restore,
        "operation_log_id": restore,
        # Of the other types there is no cloud to ask.
        "type_name": "Refloat::Noop",
        "instance_id": "tree-3",
        "service_id": "1",
        "trigger_id": trigger,
        "scheduled_operation_id": scheduled,
    }


@cache
def routes() -> dict[str, Any]:
    from refloat.api.openapi import make_document
    from refloat.api.routes import ROUTES

    schema = schemathesis.openapi.from_dict(make_document(ROUTES))
    return {
        f"{found.ok().method.upper()} {found.ok().path}": found.ok() for found in schema.get_all_operations()
    }


def fill(body: Any, known: dict[str, str]) -> None:
    """Put what is there into a body, in the places where ids of such things are."""
    for item in body if isinstance(body, list) else [body]:
        if not isinstance(item, dict):
            continue
        for key, value in item.items():
            if isinstance(value, str) and key in known:
                item[key] = known[key]
            elif key == "resources" and isinstance(value, list):
                item[key] = [dict(RESOURCE) if isinstance(entry, dict) else entry for entry in value]
            else:
                fill(value, known)


# What takes things away comes last.
@pytest.mark.parametrize("name", sorted(routes(), key=lambda name: name.startswith("DELETE")))
def test_route(service: Running, known: dict[str, str], name: str) -> None:
    route = routes()[name]
    route.schema.app = route.app = service.application
    right = route.as_strategy(generation_mode=GenerationMode.POSITIVE)
    cases = right
    if route.body or route.query:
        cases = right | route.as_strategy(generation_mode=GenerationMode.NEGATIVE)

    @given(case=cases, nowhere=st.sampled_from([False, False, True]))
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def check(case: Any, nowhere: bool) -> None:
        for parameter in list(case.path_parameters or ()):
            if parameter in known and (parameter in ALWAYS or not nowhere):
                case.path_parameters[parameter] = known[parameter]
        if not nowhere:
            fill(case.body, known)
        case.call_and_validate(headers=HEADERS, checks=CHECKS)

    check()

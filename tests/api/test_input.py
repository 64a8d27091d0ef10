"""Bad input, the document, quotas and services over the wire."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import uuid
from pathlib import Path
from typing import Any

import pytest
from api_helpers import DEMO, NOOP, NOWHERE, OTHER, Running, User, overrides
from jsonschema import Draft202012Validator

from refloat.api.routes import ROUTES
from refloat.records.quotas import DEFAULTS

ADMIN = "admin,manager,member,reader"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe{}", "UTF-8"),
        (b'{"plan": NaN}', "NaN"),
        (b"[" * 100_000, ""),
        (b'{"plan": "\\ud800"}', "characters"),
        (b'{"a\\u0000": 1}', "characters"),
        (b"null", "object"),
        (b"1" * 5000, ""),
        (b'{"plan": ' + b"1" * 400 + b"}", "is wrong"),
        (b'{"plan": 1e999}', "too large"),
        (b'{"plan": [-1e400]}', "too large"),
        (b"[" * 33 + b"]" * 33, "nested too deeply"),
        (b'{"plan":' * 950 + b"1" + b"}" * 950, "nested too deeply"),
    ],
)
def test_bodies_that_are_none(member: User, body: bytes, words: str) -> None:
    for method, path in (("POST", "plans"), ("PUT", f"plans/{uuid.uuid4()}"), ("POST", "restores")):
        answer = member(method, path, body)
        assert answer.status == 400
        assert words in answer.message


def _patterns(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["pattern"]] if isinstance(value.get("pattern"), str) else []
        own += value["patternProperties"] if isinstance(value.get("patternProperties"), dict) else []
        return own + [found for each in value.values() for found in _patterns(each)]
    return [found for each in value for found in _patterns(each)] if isinstance(value, list) else []


def test_l1_no_pattern_lets_a_last_newline_through(member: User) -> None:
    """L1, and its cousins: whatever has a pattern in any route's schema."""
    patterns = {p for route in ROUTES for each in (route.body, route.query) for p in _patterns(each)}
    assert len(patterns) >= 5
    assert not [p for p in patterns if p.endswith("$")]
    resources = [{"type": "Refloat::Noop", "id": "tree-1", "name": "x"}]
    plan = {"name": "x", "provider_id": NOOP, "resources": resources, "parameters": {}}
    for wrong in (
        {"name": "x\n"},
        {"description": "x\n"},
        {"provider_id": f"{NOOP}\n"},
        {"parameters": {"Refloat::Noop\n": {}}},
        {"parameters": {"Refloat::Noop": {"a\n": 1}}},
    ):
        assert member("POST", "plans", {"plan": plan | wrong}).status == 400


def test_a_body_that_is_too_large(member: User) -> None:
    huge = json.dumps({"plan": {"name": "x" * 2_000_000}}).encode()
    assert member("POST", "plans", huge).status == 413
    # Also when it does not say so beforehand.
    answer = member("POST", "plans", huge, headers={"Content-Length": "", "Transfer-Encoding": "chunked"})
    assert answer.status in (400, 413)


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_that_is_not_said_to_be_json(member: User, media: str) -> None:
    answer = member("POST", "plans", b"{}", headers={"Content-Type": media})
    assert answer.status == 415


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", f"/v1/{DEMO}", 404),
        ("GET", "plans/detail", 400),
        ("PATCH", "plans", 405),
        ("POST", "os-services", 405),
        ("GET", "plans/x/y", 404),
        ("GET", f"plans/{NOWHERE}", 404),
        ("GET", f"restores/{NOWHERE}", 404),
        ("GET", f"verifications/{NOWHERE}", 404),
        ("GET", f"operation_logs/{NOWHERE}", 404),
        ("GET", "restores/%00", 400),
        ("GET", f"providers/{NOOP}/checkpoints/{NOWHERE}", 404),
        ("GET", "restores/x", 400),
        ("GET", f"plans/{NOWHERE}%0A", 400),
        ("GET", f"providers/{NOOP}%0A", 400),
        ("GET", f"providers/{NOOP}/checkpoints?start_date=2026-01-01%0A", 400),
        ("GET", "protectables/%ff", 400),
        ("GET", "protectables/Refloat::Noop/instances/%F0%9F%92%A9", 404),
    ],
)
def test_paths_that_lead_nowhere(member: User, method: str, path: str, status: int) -> None:
    answer = member(method, path, {} if method in ("POST", "PATCH") else None)
    assert answer.status == status


def test_the_request_id_is_told_twice(member: User) -> None:
    headers = {name.lower(): value for name, value in member("GET", "plans").headers.items()}
    assert headers["x-openstack-request-id"].startswith("req-")
    assert headers["x-compute-request-id"] == headers["x-openstack-request-id"]


def test_the_health_check_needs_no_token(service: Running) -> None:
    from falcon import testing

    assert testing.simulate_get(service.application, "/healthcheck").status_code == 200


def test_what_nobody_foresaw_tells_clients_nothing(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_project: Any) -> Any:
        raise RuntimeError("a secret")

    monkeypatch.setattr(service.deployment, "plans", fail)
    answer = service.user()("GET", "plans")
    assert answer.status == 500
    assert "secret" not in answer.message


def test_a_database_that_is_away(service: Running, tmp_path: Path) -> None:
    service.deployment.database.close()
    (tmp_path / "refloat.sqlite").unlink()
    (tmp_path / "refloat.sqlite").mkdir()
    answer = service.user()("GET", "plans")
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) > 0
    (tmp_path / "refloat.sqlite").rmdir()


# The document


def _schemas(value: Any) -> list[Any]:
    if isinstance(value, dict):
        here = [value["schema"]] if isinstance(value.get("schema"), dict) else []
        return here + [schema for item in value.values() for schema in _schemas(item)]
    return [schema for item in value for schema in _schemas(item)] if isinstance(value, list) else []


def test_the_document_tells_of_every_route(service: Running) -> None:
    document = service.user(roles="")("GET", "/v1/openapi.json").body
    told = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert told == {(route.method, route.path) for route in ROUTES}
    ids = [
        operation["operationId"] for methods in document["paths"].values() for operation in methods.values()
    ]
    assert len(ids) == len(set(ids))
    for path, methods in document["paths"].items():
        for operation in methods.values():
            named = {item["name"] for item in operation["parameters"] if item["in"] == "path"}
            assert named == set(re.findall(r"{(\w+)}", path))
            assert operation["summary"]
    schemas = _schemas(document["paths"])
    assert len(schemas) > 100
    for schema in schemas:
        Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (
            ("oslo-config-generator", "--namespace", "refloat"),
            ["[trustee]", "#trust_roles =", "#connection ="],
        ),
        (("oslopolicy-sample-generator", "--namespace", "refloat"), ['"plan:create"', "POST  /v1/"]),
    ],
)
def test_samples_are_generated(command: tuple[str, ...], words: list[str]) -> None:
    program = Path(sys.executable).parent / command[0]
    done = subprocess.run([program, *command[1:]], capture_output=True, text=True, timeout=120, check=True)
    for word in words:
        assert word in done.stdout


# Quotas


def test_quotas_of_a_project(service: Running) -> None:
    admin, member = service.user(roles=ADMIN), service.user()
    assert member("GET", f"quotas/{DEMO}").body == {"quota": {**DEFAULTS, "id": DEMO}}
    assert member("GET", f"quotas/{DEMO}/defaults").body["quota"]["plans"] == 50
    changed = admin("PUT", f"quotas/{DEMO}", {"quota": {"plans": 2, "volumes": 7}})
    assert changed.body == {"quota": {**DEFAULTS, "plans": 2}}
    member.plan("a")
    detail = member("GET", f"quotas/{DEMO}/detail").body["quota"]
    assert detail["plans"] == {"limit": 2, "in_use": 1, "reserved": 0}
    plan = member.plan("b")
    body = {"plan": {**{k: plan[k] for k in ("name", "provider_id", "resources")}, "parameters": {}}}
    answer = member("POST", "plans", body)
    assert answer.status == 413
    assert answer.message == "Maximum number of plans allowed (2) exceeded"
    assert answer.body["overLimit"]["retryAfter"] == "0"
    assert service.user(project=OTHER)("POST", "plans", body).status == 200
    assert member("DELETE", f"plans/{plan['id']}").status == 200
    assert member("POST", "plans", body).status == 200
    assert admin("DELETE", f"quotas/{DEMO}").status == 200
    assert member("GET", f"quotas/{DEMO}").body["quota"]["plans"] == 50


@pytest.mark.parametrize("limit", [-2, 1.5, "7", None, 2**31, True])
def test_limits_that_are_none(service: Running, limit: Any) -> None:
    admin = service.user(roles=ADMIN)
    assert admin("PUT", f"quotas/{DEMO}", {"quota": {"plans": limit}}).status == 400
    assert admin("PUT", "quota_classes/default", {"quota_class": {"plans": limit}}).status == 400
    assert admin("PUT", "quotas/nonsense", {"quota": {"plans": 1}}).status == 400


def test_quota_classes(service: Running) -> None:
    admin, member = service.user(roles=ADMIN), service.user()
    found = member("GET", "quota_classes/gold").body["quota_class"]
    assert found == {**DEFAULTS, "id": "gold"}
    assert admin("PUT", "quota_classes/gold", {"quota_class": {"plans": 9}}).body["quota_class"]["plans"] == 9
    assert member("GET", f"quotas/{DEMO}").body["quota"]["plans"] == 50
    admin("PUT", "quota_classes/default", {"quota_class": {"plans": 7}})
    assert member("GET", f"quotas/{DEMO}").body["quota"]["plans"] == 7
    assert member("GET", f"quotas/{DEMO}/defaults").body["quota"]["plans"] == 7


def test_triggers_and_schedules_have_quotas(service: Running) -> None:
    admin, member = service.user(roles=ADMIN), service.user()
    admin("PUT", f"quotas/{DEMO}", {"quota": {"triggers": 1, "scheduled_operations": 1}})
    properties = {"format": "crontab", "pattern": "0 3 * * *"}
    info = {"trigger_info": {"name": "t", "type": "time", "properties": properties}}
    trigger = member("POST", "triggers", info).body["trigger_info"]
    refused = member("POST", "triggers", info)
    assert (refused.status, refused.message) == (413, "Maximum number of triggers allowed (1) exceeded")
    plan = member.plan()
    given = {"provider_id": plan["provider_id"], "plan_id": plan["id"]}
    wanted = {"name": "s", "operation_type": "protect", "trigger_id": trigger["id"]}
    body = {"scheduled_operation": {**wanted, "operation_definition": given}}
    made = member("POST", "scheduled_operations", body).body["scheduled_operation"]
    refused = member("POST", "scheduled_operations", body)
    assert refused.message == "Maximum number of scheduled_operations allowed (1) exceeded"
    assert len(service.authority.revoked) == 1, "what was granted for it is given back"
    detail = member("GET", f"quotas/{DEMO}/detail").body["quota"]
    assert detail["scheduled_operations"] == {"limit": 1, "in_use": 1, "reserved": 0}
    assert member("DELETE", f"scheduled_operations/{made['id']}").status == 200
    assert member("POST", "scheduled_operations", body).status == 200


def test_a_quota_of_checkpoints_holds_against_many_at_once(service: Running) -> None:
    service.user(roles=ADMIN)("PUT", f"quotas/{DEMO}", {"quota": {"checkpoints": 3}})
    plan = service.user().plan()
    statuses: list[int] = []

    def protect() -> None:
        body = {"checkpoint": {"plan_id": plan["id"]}}
        statuses.append(service.user()("POST", f"providers/{NOOP}/checkpoints", body).status)

    threads = [threading.Thread(target=protect) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] * 3 + [413] * 3
    # What was granted for those that were refused is given back at once.
    assert len(service.authority.revoked) == 3


# Services


def test_services(working: Running) -> None:
    admin = working.user(roles=ADMIN)
    (found,) = admin.until("os-services", lambda services: len(services) == 1)
    assert (found["binary"], found["state"], found["status"]) == ("refloat-worker", "up", "enabled")
    path = f"os-services/{found['id']}"
    disabled = admin("PUT", path, {"status": "disabled", "disabled_reason": "new disks"}).body["service"]
    assert (disabled["status"], disabled["disabled_reason"]) == ("disabled", "new disks")
    assert admin("GET", f"os-services?host={found['host']}").body["services"][0]["status"] == "disabled"
    assert admin("GET", "os-services?host=nowhere").body == {"services": []}
    assert admin("GET", "os-services?binary=nothing").body == {"services": []}
    assert admin("PUT", path, {"status": "enabled", "disabled_reason": "x"}).status == 400
    assert admin("PUT", path, {"status": "enabled"}).body["service"]["disabled_reason"] is None
    for wrong in ("0", "99", "x", "9" * 40, "-1", "%C2%B2"):
        assert admin("PUT", f"os-services/{wrong}", {"status": "enabled"}).status == 404


def test_a_worker_that_is_disabled_takes_nothing_new(service: Running) -> None:
    service.deployment.services.alive("refloat-worker", "here")
    service.deployment.services.set_disabled(1, True, "new disks")
    from refloat.api.server import make_worker

    service.deployment.conf.set_override("worker_name", "here", group="operations")
    worker = make_worker(service.deployment)
    try:
        user = service.user()
        made = user.protect(user.plan())
        path = f"providers/{NOOP}/checkpoints/{made['id']}"
        worker.work()
        worker.work()
        assert worker._engine.running() == []
        assert user("GET", path).body["checkpoint"]["status"] == "protecting"
        service.deployment.services.set_disabled(1, False, None)
        worker._alive_at = float("-inf")
        worker.start()
        user.until(path, lambda checkpoint: checkpoint["status"] == "available")
    finally:
        worker.close()


def test_noauth_believes_everything(tmp_path: Path) -> None:
    from api_helpers import Notes
    from falcon import testing

    from refloat.api import config
    from refloat.api.app import make_application
    from refloat.api.deployment import Deployment

    deployment = Deployment(config.load([], overrides(tmp_path, api__auth_strategy="noauth")), Notes())
    client = testing.TestClient(make_application(deployment))
    here = {"HTTP_HOST": "localhost:8799", "REMOTE_ADDR": "127.0.0.1"}
    headers = {"X-Auth-User": "me", "X-Auth-Project-Id": DEMO}
    token = client.simulate_get("/v1", headers=headers, extras=here).headers["x-auth-token"]
    assert token == f"me:{DEMO}"
    headers = {"X-Auth-Token": token}
    assert client.simulate_get(f"/v1/{DEMO}/os-services", headers=headers, extras=here).status_code == 200
    spoof = {"X-Identity-Status": "Confirmed", "X-Project-Id": DEMO, "X-Roles": "admin"}
    assert client.simulate_get(f"/v1/{DEMO}/plans", headers=spoof, extras=here).status_code == 401
    # L2, M10: whatever the server, and whoever led a browser here.
    for more, status in (
        ({"HTTP_HOST": "127.0.0.1"}, 200),
        ({"HTTP_HOST": "[::1]:8799", "REMOTE_ADDR": "::1"}, 200),
        ({"HTTP_HOST": "evil.example:8799"}, 403),
        ({"HTTP_HOST": "localhost.evil.example"}, 403),
        ({"HTTP_HOST": "evil.example@localhost"}, 403),
        ({"HTTP_HOST": "localhost/evil.example"}, 403),
        ({"HTTP_HOST": ""}, 403),
        ({"REMOTE_ADDR": "192.0.2.7"}, 403),
        ({"REMOTE_ADDR": ""}, 403),
        ({"HTTP_X_FORWARDED_FOR": "127.0.0.1"}, 403),
        ({"HTTP_FORWARDED": "for=192.0.2.7"}, 403),
    ):
        answer = client.simulate_get(f"/v1/{DEMO}/plans", headers=headers, extras={**here, **more})
        assert answer.status_code == status, more
        assert status == 200 or "localhost" in answer.json["forbidden"]["message"]
    deployment.close()


def test_keystone_does_not_believe_headers(tmp_path: Path) -> None:
    from api_helpers import Notes
    from falcon import testing

    from refloat.api import config
    from refloat.api.app import make_application
    from refloat.api.deployment import Deployment

    file = tmp_path / "keystone.conf"
    file.write_text("[keystone_authtoken]\nwww_authenticate_uri = http://127.0.0.1:9/v3\n")
    conf = config.load([file], overrides(tmp_path))
    deployment = Deployment(conf, Notes())
    client = testing.TestClient(make_application(deployment))
    spoof = {"X-Identity-Status": "Confirmed", "X-Project-Id": DEMO, "X-Roles": "admin"}
    assert client.simulate_get(f"/v1/{DEMO}/plans", headers=spoof).status_code == 401
    deployment.close()

"""Who may do what: every route for every role, in one's own project and in another's."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from api_helpers import DEMO, NOOP, OTHER, Running, User, believe, run_service
from oslo_policy.policy import DocumentedRuleDefault

from refloat.api.app import make_application
from refloat.api.policies import list_rules
from refloat.api.route import Route
from refloat.api.routes import ROUTES

ROLES = {"nobody": "", "none": "stranger", "reader": "reader", "member": "member,reader"} | {
    "manager": "manager,member,reader",
    "admin": "admin,manager,member,reader",
}
READERS = {"reader", "member", "manager", "admin"}
MEMBERS = READERS - {"reader"}
MANAGERS = {"manager", "admin"}
ADMINS = {"admin"}

PLAN = {
    "name": "x",
    "provider_id": NOOP,
    "resources": [{"id": "tree-1", "type": "Refloat::Noop", "name": "x"}],
    "parameters": {},
}
LIMITS = {"plans": 10, "checkpoints": 10}
TRIGGER = {
    "name": "x",
    "type": "time",
    "properties": {"format": "crontab", "pattern": "0 2 * * *", "start_time": "2026-01-01 00:00:00"},
}


def bodies(made: Mapping[str, str]) -> dict[str, Any]:
    """A right body for every route that has one."""
    run = {"provider_id": NOOP, "checkpoint_id": made["checkpoint_id"], "parameters": {}}
    return {
        "plan:create": {"plan": PLAN},
        "plan:update": {"plan": {"name": "y"}},
        "provider:checkpoint_create": {"checkpoint": {"plan_id": made["plan_id"]}},
        "provider:checkpoint_update": {"os-resetState": {"state": "error"}},
        "restore:create": {"restore": run},
        "restore_plan:create": {"restore_plan": run},
        "restore_plan:update": {"restore_plan": {"name": "y"}},
        "copy:create": {"copy": {"checkpoint_id": made["checkpoint_id"], "parameters": {"to": "default"}}},
        "operation:create": {"operation": {**run, "type": "restore", "dry_run": True}},
        "operation:update": {"park": None},
        "bank:maintain": {"info": None},
        "verification:create": {"verification": run},
        "trigger:create": {"trigger_info": TRIGGER},
        "trigger:update": {"trigger_info": {"name": "y", "properties": TRIGGER["properties"]}},
        "scheduled_operation:create": {"scheduled_operation": scheduled(made)},
        "scheduled_operation:update": {"scheduled_operation": {"enabled": True}},
        "scheduled_operation:run": {"run": {}},
        "provider:checkpoint_hold": {"hold": {"reason": "court"}},
        "quota:update": {"quota": LIMITS},
        "quota_class:update": {"quota_class": LIMITS},
        "service:update": {"status": "disabled"},
    }


def scheduled(made: Mapping[str, str]) -> dict[str, Any]:
    return {
        "name": "x",
        "operation_type": "protect",
        "trigger_id": made["trigger_id"],
        "operation_definition": {"provider_id": NOOP, "plan_id": made["plan_id"]},
    }


def things(user: User) -> dict[str, str]:
    """One of everything, in the user's project."""
    plan = user.plan()
    checkpoint = user.protected(plan)
    run = {"provider_id": NOOP, "checkpoint_id": checkpoint["id"], "parameters": {}}
    restore = user("POST", "restores", {"restore": run}).body["restore"]["id"]
    kept = user("POST", "restore_plans", {"restore_plan": run}).body["restore_plan"]["id"]
    verification = user("POST", "verifications", {"verification": run}).body["verification"]["id"]
    for path in (f"restores/{restore}", f"verifications/{verification}"):
        user.until(path, lambda found: found["status"] == "success")
    trigger = user("POST", "triggers", {"trigger_info": TRIGGER}).body["trigger_info"]["id"]
    body = {"scheduled_operation": scheduled({"trigger_id": trigger, "plan_id": plan["id"]})}
    made = user("POST", "scheduled_operations", body).body["scheduled_operation"]["id"]
    hold = f"providers/{NOOP}/checkpoints/{checkpoint['id']}/hold"
    assert user("PUT", hold, {"hold": {"reason": "court"}}).status == 200
    return {
        "trigger_id": trigger,
        "scheduled_operation_id": made,
        "provider_id": NOOP,
        "plan_id": plan["id"],
        "checkpoint_id": checkpoint["id"],
        "restore_id": restore,
        "restore_plan_id": kept,
        "verification_id": verification,
        "operation_log_id": restore,
        "operation_id": restore,
        "type_name": "Refloat::Noop",
        "instance_id": "tree-3",
        "target_id": user.project,
        "class_name": "default",
        "service_id": "1",
    }


def allowed(route: Route) -> set[str]:
    """The roles that may, as the issue of the service says."""
    if route.policy.startswith("service") or route.policy in {
        "quota:update",
        "quota:delete",
        "quota_class:update",
        "bank:maintain",
    }:
        return ADMINS
    if route.policy == "provider:checkpoint_release":
        return MANAGERS
    return READERS if route.method == "GET" else MEMBERS


def send(user: User, route: Route, made: Mapping[str, str]) -> Any:
    path = route.path.replace("{project_id}", user.project).format(**made)
    return user(route.method, path, bodies(made).get(route.policy) if route.body is not None else None)


GUARDED = [route for route in ROUTES if route.policy]
# What takes things away comes last.
LAST = ("provider:checkpoint_delete", "trigger:delete", "plan:delete")
ORDER = sorted(
    GUARDED,
    key=lambda route: (route.method == "DELETE", LAST.index(route.policy) if route.policy in LAST else -1),
)


def test_every_policy_guards_a_route_and_has_one_default() -> None:
    rules = [rule for rule in list_rules() if isinstance(rule, DocumentedRuleDefault)]
    guarded = {(item["method"], item["path"]) for rule in rules for item in rule.operations}
    assert guarded == {(route.method, route.path) for route in GUARDED}
    assert len({rule.name for rule in rules}) == len(rules)


def test_every_route_for_every_role_in_its_own_project(working: Running) -> None:
    for name, roles in ROLES.items():
        made = things(working.user())
        user = working.user(roles=roles)
        for route in ORDER:
            answer = send(user, route, made)
            where = f"{name}: {route.method} {route.path}: {answer.status} {answer.body}"
            if name == "nobody":
                assert answer.status == 401, where
            elif name in allowed(route):
                # A checkpoint in error cannot be restored, nor a used trigger deleted: the state refuses.
                assert answer.status in (200, 409, 424), where
            else:
                assert answer.status == 403, where
                assert route.policy in answer.message, where


HIDDEN = {
    "trigger_id",
    "scheduled_operation_id",
    "plan_id",
    "checkpoint_id",
    "restore_id",
    "restore_plan_id",
    "verification_id",
    "operation_log_id",
    "operation_id",
}


def test_things_of_another_project_are_not_there(working: Running) -> None:
    made = things(working.user())
    nothing = {**made, **{name: str(uuid.uuid4()) for name in HIDDEN}}
    for roles in ("reader", "member,reader", "manager,member,reader"):
        user = working.user(project=OTHER, roles=roles)
        for route in ORDER:
            names = set(re.findall(r"{(\w+)}", route.path))
            body = str(bodies(made).get(route.policy))
            if not (names & HIDDEN or any(made[name] in body for name in HIDDEN)):
                continue
            theirs, none = send(user, route, made), send(user, route, nothing)
            where = f"{roles}: {route.method} {route.path}"
            assert theirs.status in (403, 404), where
            # Word for word what is said of things that are nowhere, but for the id.
            assert theirs.status == none.status, where
            told, other = str(theirs.body), str(none.body)
            for name in HIDDEN:
                told, other = told.replace(made[name], "ID"), other.replace(nothing[name], "ID")
            assert told == other, where


def test_lists_of_another_project_are_empty(working: Running) -> None:
    things(working.user())
    user = working.user(project=OTHER)
    lists = ("plans", "restores", "verifications", "operation_logs", "operations", "triggers")
    for path in (*lists, "scheduled_operations", f"providers/{NOOP}/checkpoints"):
        for query in ("", "?all_tenants=1", f"?all_tenants=1&project_id={DEMO}", f"?project_id={DEMO}"):
            (found,) = user("GET", path + query).body.values()
            assert found == [], path
    assert user("GET", f"quotas/{OTHER}/detail").body["quota"]["plans"]["in_use"] == 0
    for path in (f"quotas/{DEMO}", f"quotas/{DEMO}/detail"):
        assert user("GET", path).status == 403


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"project_name": "shop"},
        {
            "project_name": "admin",
            "domain": "Somebody's",
        },  # whose administrator may call a project as he likes
        {"project_name": "Admin"},
        {"project_name": ""},
        {"headers": {"X-Is-Admin-Project": "False"}},
    ],
)
def test_m10_an_administrator_of_another_project_is_a_manager_there(
    working: Running, elsewhere: dict[str, Any]
) -> None:
    """M10: the role admin makes administrators of the service only in the admin project."""
    mine, theirs = things(working.user()), things(working.user(project=OTHER))
    user = working.user(roles="admin", **elsewhere)
    for route in ORDER:
        answer = send(user, route, mine)
        where = f"{route.method} {route.path}: {answer.status} {answer.body}"
        if "manager" in allowed(route):
            assert answer.status in (200, 409, 424), where
        else:
            assert answer.status == 403, where
        names = set(re.findall(r"{(\w+)}", route.path)) & HIDDEN
        if names and route.policy != "operation_log:get":
            assert send(user, route, theirs).status in (403, 404), where
    (found,) = user("GET", "plans?all_tenants=1").body.values()
    assert {plan["project_id"] for plan in found} <= {DEMO}
    assert user("GET", f"quotas/{OTHER}").status == 403


def test_m10_the_operator_says_which_project_is_the_administrators(tmp_path: Path) -> None:
    options = {"api__admin_project_name": "ops", "api__admin_project_domain_name": "Ours"}
    running = run_service(tmp_path, **options)
    try:
        for project, domain, status in (
            ("ops", "Ours", 200),
            ("admin", "Default", 403),
            ("ops", "Default", 403),
        ):
            user = running.user(roles="admin", project_name=project, domain=domain)
            assert user("GET", "os-services").status == status
    finally:
        running.close()


def test_m10_a_policy_file_may_have_it_as_karbor_had(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text('context_is_admin: "role:admin"\n')
    (tmp_path / "refloat.conf").write_text(f"[oslo_policy]\npolicy_file = {tmp_path}/policy.yaml\n")
    running = run_service(tmp_path, files=[tmp_path / "refloat.conf"])
    try:
        assert running.user(roles="admin", project_name="shop")("GET", "os-services").status == 200
    finally:
        running.close()


def test_m10_rules_are_for_tokens_of_projects() -> None:
    assert {tuple(rule.scope_types) for rule in list_rules()} == {("project",)}


@pytest.mark.parametrize("roles", ["member,reader", "admin,manager,member,reader"])
def test_the_url_must_be_of_the_tokens_project(service: Running, roles: str) -> None:
    service.user().plan()  # the one is a project that the service knows, the other is none
    for route in GUARDED:
        for project in (DEMO, "f" * 32):
            path = re.sub(r"{\w+}", str(uuid.uuid4()), route.path.replace("{project_id}", project))
            answer = service.user(project=OTHER, roles=roles)(route.method, path, {})
            assert answer.status == 400
            assert answer.message == (
                "Malformed request url: the project in it is not the one that the token is for"
            )


def test_an_administrator_sees_things_of_all_projects_and_works_in_his_own(working: Running) -> None:
    made = things(working.user())
    admin = working.user(project=OTHER, roles=ROLES["admin"])
    for route in ORDER:
        answer = send(admin, route, made)
        where = f"{route.method} {route.path}: {answer.status} {answer.body}"
        if route.policy in {
            "restore:create",
            *(f"restore_plan:{what}" for what in ("create", "update", "approve", "delete")),
            "verification:create",
            "provider:checkpoint_create",
            "provider:checkpoint_delete",
            "scheduled_operation:create",
            "scheduled_operation:update",
            "copy:create",
            "operation:create",
            "operation:update",
        } or route.path.endswith("/now"):
            assert answer.status == 400, where
            assert "can only be worked on from there" in answer.message
        else:
            assert answer.status == 200, where


def test_a_token_without_a_project(service: Running) -> None:
    answer = service.user(project="")("GET", f"/v1/{DEMO}/plans")
    assert answer.status == 403
    assert "project" in answer.message


def test_the_rules_can_be_changed(service: Running, tmp_path: Any) -> None:
    rules = tmp_path / "policy.yaml"
    rules.write_text('"plan:create": "rule:admin_api"\n"plan:get_all": "role:auditor"\n')
    service.deployment.conf.set_override("policy_file", str(rules), group="oslo_policy")
    service.application = make_application(service.deployment, believe)
    assert service.user()("POST", "plans", {"plan": PLAN}).status == 403
    assert service.user()("GET", "plans").status == 403
    assert service.user(roles="auditor")("GET", "plans").status == 200

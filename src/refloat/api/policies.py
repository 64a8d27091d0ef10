"""Who may do what: oslo.policy's defaults, under Karbor's names. A policy file may change them.

A reader looks, a member also acts, in the token's project; an administrator looks at all projects, and sets
quotas.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oslo_policy import policy

ADMIN = "rule:admin_api"
READER = "rule:project_reader"
MEMBER = "rule:project_member"
MANAGER = "rule:project_manager"

_BASE = (
    policy.RuleDefault("context_is_admin", "role:admin", "Who is an administrator"),
    policy.RuleDefault("admin_api", "rule:context_is_admin", "What only administrators may do"),
    policy.RuleDefault(
        "project_reader",
        "rule:context_is_admin or (role:reader or role:member or role:manager) and project_id:%(project_id)s",
        "Looking, in one's own project",
    ),
    policy.RuleDefault(
        "project_member",
        "rule:context_is_admin or (role:member or role:manager) and project_id:%(project_id)s",
        "Acting, in one's own project",
    ),
    policy.RuleDefault(
        "project_manager",
        "rule:context_is_admin or role:manager and project_id:%(project_id)s",
        "Acting on what others rely on, in one's own project",
    ),
    policy.RuleDefault("admin_or_owner", MEMBER, "For policy files written for Karbor"),
    policy.RuleDefault("default", MEMBER, "For policy files written for Karbor"),
)

DEFAULTS: Mapping[str, str] = {
    "provider:get": READER,
    "provider:get_all": READER,
    "protectable:get": READER,
    "protectable:get_all": READER,
    "protectable:instance_get": READER,
    "protectable:instance_get_all": READER,
    "plan:create": MEMBER,
    "plan:update": MEMBER,
    "plan:delete": MEMBER,
    "plan:get": READER,
    "plan:get_all": READER,
    "provider:checkpoint_get": READER,
    "provider:checkpoint_get_all": READER,
    "provider:checkpoint_create": MEMBER,
    "provider:checkpoint_delete": MEMBER,
    "provider:checkpoint_update": MEMBER,
    "restore:create": MEMBER,
    "restore:get": READER,
    "restore:get_all": READER,
    "verification:create": MEMBER,
    "verification:get": READER,
    "verification:get_all": READER,
    "copy:create": MEMBER,
    "operation:get": READER,
    "operation:get_all": READER,
    "operation:create": MEMBER,
    "operation:update": MEMBER,
    "bank:maintain": ADMIN,
    "operation_log:get": READER,
    "operation_log:list": READER,
    "trigger:create": MEMBER,
    "trigger:update": MEMBER,
    "trigger:delete": MEMBER,
    "trigger:get": READER,
    "trigger:list": READER,
    "scheduled_operation:create": MEMBER,
    "scheduled_operation:update": MEMBER,
    "scheduled_operation:delete": MEMBER,
    "scheduled_operation:run": MEMBER,
    "scheduled_operation:get": READER,
    "scheduled_operation:list": READER,
    "provider:checkpoint_hold": MEMBER,
    "provider:checkpoint_release": MANAGER,
    "quota:get": READER,
    "quota:get_default": READER,
    "quota:update": ADMIN,
    "quota:delete": ADMIN,
    "quota_class:get": READER,
    "quota_class:update": ADMIN,
    "service:get_all": ADMIN,
    "service:update": ADMIN,
}


def list_rules() -> list[policy.RuleDefault]:
    """All rules; those of requests with their routes, for ``oslopolicy-sample-generator``."""
    from refloat.api.routes import ROUTES

    where: dict[str, list[Any]] = {}
    for route in ROUTES:
        if route.policy:
            where.setdefault(route.policy, []).append({"path": route.path, "method": route.method})
    return [
        *_BASE,
        *(
            policy.DocumentedRuleDefault(name, check, name.replace("_", " ").replace(":", ": "), where[name])
            for name, check in DEFAULTS.items()
        ),
    ]


def make_enforcer(conf: Any) -> policy.Enforcer:
    """The enforcer, with the defaults and what the policy file changes."""
    enforcer = policy.Enforcer(conf)
    enforcer.register_defaults(list_rules())
    enforcer.load_rules()
    return enforcer

"""Who may do what: oslo.policy's defaults, under Karbor's names. A policy file may change them.

A reader looks, a member also acts, in the token's project; an administrator looks at all projects, and sets
quotas. Which rule guards a request is declared with its route.
"""

from __future__ import annotations

from typing import Any

from oslo_policy import policy

from refloat.api.routes import ROUTES

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
    policy.RuleDefault("admin_or_owner", "rule:project_member", "For policy files written for Karbor"),
    policy.RuleDefault("default", "rule:project_member", "For policy files written for Karbor"),
)


def list_rules() -> list[policy.RuleDefault]:
    """All rules; those of requests with their routes, for ``oslopolicy-sample-generator``."""
    guarded: dict[tuple[str, str], list[Any]] = {}
    for route in ROUTES:
        if route.rule:
            guarded.setdefault(route.rule, []).append({"path": route.path, "method": route.method})
    return [
        *_BASE,
        *(
            policy.DocumentedRuleDefault(name, check, name.replace("_", " ").replace(":", ": "), routes)
            for (name, check), routes in guarded.items()
        ),
    ]


def make_enforcer(conf: Any) -> policy.Enforcer:
    """The enforcer, with the defaults and what the policy file changes."""
    enforcer = policy.Enforcer(conf)
    enforcer.register_defaults(list_rules())
    enforcer.load_rules()
    return enforcer

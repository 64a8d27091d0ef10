"""Who may do what: oslo.policy's defaults, under Karbor's names. A policy file may change them.

A reader looks, a member also acts, in the token's project; an administrator looks at all projects, and sets
quotas. Administrators are those with the role ``admin`` in the admin project (``[api] admin_project_name``);
whoever has it in another project may there do what a manager may. Which rule guards a request is declared
with its route.
"""

from __future__ import annotations

from typing import Any

from oslo_policy import policy

from refloat.api.routes import ROUTES

SCOPES = ["project"]
"""Whose tokens are of use here: paths name a project."""


def _in_project(*roles: str) -> str:
    those = " or ".join(f"role:{role}" for role in (*roles, "manager", "admin"))
    return f"rule:context_is_admin or ({those}) and project_id:%(project_id)s"


_BASE = tuple(
    policy.RuleDefault(name, check, description, scope_types=SCOPES)
    for name, check, description in (
        ("context_is_admin", "role:admin and is_admin_project:True", "Who is an administrator"),
        ("admin_api", "rule:context_is_admin", "What only administrators may do"),
        ("project_reader", _in_project("reader", "member"), "Looking, in one's own project"),
        ("project_member", _in_project("member"), "Acting, in one's own project"),
        ("project_manager", _in_project(), "Acting on what others rely on, in one's own project"),
        ("admin_or_owner", "rule:project_member", "For policy files written for Karbor"),
        ("default", "rule:project_member", "For policy files written for Karbor"),
    )
)


def list_rules() -> list[policy.RuleDefault]:
    """All rules; those of requests with their routes, for ``oslopolicy-sample-generator``."""
    guarded: dict[tuple[str, str], list[Any]] = {}
    for route in ROUTES:
        for rule in filter(None, (route.rule, route.instead and route.instead[1])):
            guarded.setdefault(rule, []).append({"path": route.path, "method": route.method})
    return [
        *_BASE,
        *(
            policy.DocumentedRuleDefault(
                name, check, name.replace("_", " ").replace(":", ": "), routes, scope_types=SCOPES
            )
            for (name, check), routes in guarded.items()
        ),
    ]


def make_enforcer(conf: Any) -> policy.Enforcer:
    """The enforcer, with the defaults and what the policy file changes."""
    enforcer = policy.Enforcer(conf)
    enforcer.register_defaults(list_rules())
    enforcer.load_rules()
    return enforcer

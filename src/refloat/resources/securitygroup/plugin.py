"""Protects security groups by their settings; restores them by creating them, then their rules.

The group is made in ``on_main`` and the rules in ``on_complete``: by then every group they may name is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refloat.cloud import Marker, explained
from refloat.cloud.retries import ensure_done
from refloat.resources.base import Hooks, OperationKind, PlanContext, Planned, ProtectionPlugin, Restored
from refloat.resources.context import HookContext
from refloat.resources.networking import RESTORE_OPTIONS, SectionComplete, dress, grant
from refloat.resources.options import Option
from refloat.resources.securitygroup.attributes import ATTRIBUTES, GROUP_FIELDS
from refloat.resources.securitygroup.plan import plan
from refloat.resources.securitygroup.protectable import SECURITY_GROUP
from refloat.resources.securitygroup.rules import effect_key, exact_key, label
from refloat.resources.securitygroup.section import read_section

OPTIONS: Mapping[OperationKind, tuple[Option, ...]] = {"restore": RESTORE_OPTIONS}

_SDK_NAMES = {"ethertype": "ether_type"}


class SecurityGroupProtect(Hooks):
    """Reads the group and its rules."""

    def on_main(self, context: HookContext) -> Mapping[str, Any]:
        """The section."""
        return read_section(context.cloud, context.resource.id, context.resource)


class SecurityGroupVerify(SectionComplete):
    """All that is protected of a group is in its section."""

    fields = ("id", *GROUP_FIELDS, "rules")


class SecurityGroupRestore(Hooks):
    """Creates the group and its rules, or uses the one that is still there."""

    def on_main(self, context: HookContext) -> Mapping[str, Any]:
        """The group by itself."""
        planned = context.planned
        reused = planned.action == "reuse"
        if reused:
            group_id = str(context.cloud.get("security_group", planned.new_id).id)
        else:

            def create(marker: Marker) -> Any:
                with explained(f"create the security group {planned.name}", context.resource):
                    return context.cloud.network.create_security_group(
                        description=marker.text, **planned.decisions["body"]
                    )

            group_id = context.ensure("security_group", "group", create)
            grant(context, "security_group", group_id)
            dress(context.cloud, "security_group", group_id, context.section, context.resource)
        restored = Restored(
            SECURITY_GROUP, context.resource.id, group_id, planned.name, reused, planned.reason
        )
        return {"restored": [restored.to_json()]}

    def on_complete(self, context: HookContext) -> Mapping[str, Any]:
        """Its rules."""
        reused = context.planned.action == "reuse"
        group_id = context.planned.new_id or context.created("group")
        wanted = [_mapped(context, rule, group_id) for rule in context.planned.decisions["rules"]]
        there = context.cloud.get("security_group", group_id).security_group_rules or []
        if reused:
            _add(context, group_id, wanted, there)
        else:
            _replace(context, group_id, wanted, there)
        return {}


def _mapped(context: HookContext, rule: Mapping[str, Any], group_id: str) -> dict[str, Any]:
    """The rule for this group, naming the groups of this restore."""
    remote = rule["remote_group_id"]
    if remote == context.resource.id:
        remote = group_id
    elif remote:
        remote = context.new_id(SECURITY_GROUP, remote) or remote
    return {**rule, "remote_group_id": remote, "security_group_id": group_id}


def _replace(
    context: HookContext, group_id: str, wanted: list[dict[str, Any]], there: list[dict[str, Any]]
) -> None:
    """Make the rules of a group that this restore created just those of the original.

    Rules need no undoing here: they go away with the group.
    """
    keys = {exact_key(rule) for rule in wanted}
    for rule in there:  # what Neutron puts into every new group
        if exact_key(rule) not in keys:
            context.cloud.remove("security_group_rule", rule["id"])

    def missing() -> list[dict[str, Any]]:
        rules = context.cloud.get("security_group", group_id).security_group_rules or []
        present = {exact_key(rule) for rule in rules}
        return [rule for rule in wanted if exact_key(rule) not in present]

    def create() -> None:
        with explained(f"create the rules of security group {group_id}", context.resource):
            list(context.cloud.network.create_security_group_rules([_body(rule) for rule in missing()]))

    ensure_done(lambda: not missing(), create)


def _add(
    context: HookContext, group_id: str, wanted: list[dict[str, Any]], there: list[dict[str, Any]]
) -> None:
    """Add to a group of the project's the rules it lacks, each to be undone by itself."""
    present = {effect_key(rule): str(rule["id"]) for rule in there}
    known = sorted(present.values())
    for rule in wanted:
        role = "rule " + "/".join(str(part) for part in effect_key(rule))
        if effect_key(rule) in present and not _begun(context, role):
            continue
        _ensure_rule(context, role, rule, known)


def _begun(context: HookContext, role: str) -> bool:
    """Whether an earlier run of this hook created the rule, or was cut off while it did."""
    return context.journal.find(str(context.resource.key), role) is not None


def _ensure_rule(context: HookContext, role: str, rule: dict[str, Any], known: list[str]) -> None:
    body = _body(rule)

    def create(_marker: Marker) -> Any:
        with explained(f"create the rule '{label(rule)}'", context.resource):
            return context.cloud.network.create_security_group_rule(**body)

    # A rule cannot carry a mark: its description is final.
    fields = {_SDK_NAMES.get(name, name): value for name, value in body.items() if name != "description"}
    context.ensure("security_group_rule", role, create, clue={"fields": fields, "known": known})


def _body(rule: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in rule.items() if value not in (None, "")}


class SecurityGroupPlugin(ProtectionPlugin):
    """Security groups, by their settings and rules."""

    name = "security-group"
    resource_type = SECURITY_GROUP
    description = "Keeps a security group and its rules and creates them again"
    attributes = ATTRIBUTES
    options = OPTIONS

    protect = SecurityGroupProtect
    restore = SecurityGroupRestore
    verify = SecurityGroupVerify

    def plan_restore(self, context: PlanContext) -> Planned:
        """Use the project's default group for the default group; else re-use the group, or create it."""
        return plan(context)

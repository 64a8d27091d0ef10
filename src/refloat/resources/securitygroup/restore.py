"""Restores a security group: creates it, then its rules, or uses the one that is still there.

The group is made in ``on_main`` and the rules in ``on_complete``: by then every group they may name is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refloat.cloud import explained
from refloat.cloud.retries import ensure_done
from refloat.resources.base import HookContext, Hooks
from refloat.resources.networking import dress, grant
from refloat.resources.securitygroup.protectable import SECURITY_GROUP
from refloat.resources.securitygroup.rules import effect_key, exact_key, label

_SDK_NAMES = {"ethertype": "ether_type"}


class SecurityGroupRestore(Hooks):
    """Creates the group and its rules, or uses the one that is still there."""

    def on_main(self, context: HookContext) -> Mapping[str, Any]:
        planned = context.planned
        if planned.action == "reuse":
            return context.restored(str(context.cloud.get("security_group", planned.new_id).id))
        group_id = context.ensure(
            "security_group",
            "group",
            lambda marker: context.cloud.network.create_security_group(
                description=marker.text, **planned.decisions["body"]
            ),
            what=f"create the security group {planned.name}",
        )
        grant(context, "security_group", group_id)
        dress(context, "security_group", group_id)
        return context.restored(group_id)

    def on_complete(self, context: HookContext) -> Mapping[str, Any]:
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
        remote = context.new_or_same(SECURITY_GROUP, remote)
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
    # A rule cannot carry a mark: its description is final.
    fields = {_SDK_NAMES.get(name, name): value for name, value in body.items() if name != "description"}
    context.ensure(
        "security_group_rule",
        role,
        lambda _marker: context.cloud.create("security_group_rule", body),
        what=f"create the rule '{label(rule)}'",
        clue={"fields": fields, "known": known},
    )


def _body(rule: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in rule.items() if value not in (None, "")}

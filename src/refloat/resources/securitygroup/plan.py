"""Decides how a security group comes back. Reads the cloud, changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from refloat.graph import ResourceKey
from refloat.resources.attributes import Change, outcomes
from refloat.resources.base import PlanContext, Planned
from refloat.resources.networking import exists, given, left_alone, unset
from refloat.resources.securitygroup.attributes import ATTRIBUTES
from refloat.resources.securitygroup.protectable import SECURITY_GROUP
from refloat.resources.securitygroup.rules import effect_key, label
from refloat.resources.securitygroup.section import group_section

DEFAULT = "default"
"""Every project has just one group of this name, which Neutron makes, and nobody may make another."""


def plan(context: PlanContext) -> Planned:
    """Use the project's default group for the default group; else re-use the group, or create it."""
    if context.section["name"] == DEFAULT:
        found = next((group for group in context.listing("security_group") if group.name == DEFAULT), None)
        if found is None:
            return Planned("impossible", DEFAULT, "the project has no default security group")
        return _default(context, found)
    living = context.listed("security_group", context.resource.id)
    if living is None:
        return _create(context, "")
    if context.wants_new:
        return _create(context, "a new one beside the original, as asked for")
    return _reuse(context, living)


def _create(context: PlanContext, reason: str) -> Planned:
    section = context.section
    name, changes = context.renamed(section["name"])
    changes = unset(ATTRIBUTES, section) | changes
    rules, lost = _possible(context, section["rules"])
    if lost:
        changes["rules"] = Change(rules, "degraded", "; ".join(lost))
    return Planned(
        "create",
        name=name,
        reason=reason,
        attributes=outcomes(ATTRIBUTES, section, changes),
        # A new group has rules of Neutron's own at first.
        needs={"security_groups": 1, "security_group_rules": max(len(rules), 2)},
        decisions={"body": given(section, "stateful") | {"name": name}, "rules": rules},
        conflicts=tuple(lost),
    )


def _reuse(context: PlanContext, living: Any) -> Planned:
    """Leave it as it is, but give it back the rules that went away with groups that had been lost."""
    now = _now(context, living)
    attributes, reason = left_alone(ATTRIBUTES, context.section, now)
    rules, _ = _possible(context, context.section["rules"])
    again = [rule for rule in rules if _names_lost_group(context, rule)]
    conflicts = [f"the rule '{label(rule)}' went away with that group and is added again" for rule in again]
    return _used(context, living, attributes, reason, again, conflicts)


def _default(context: PlanContext, found: Any) -> Planned:
    section = context.section
    same = found.id == context.resource.id
    now = _now(context, found)
    attributes, reason = left_alone(ATTRIBUTES, section, now)
    rules, lost = _possible(context, section["rules"])
    there = {effect_key(rule) for rule in now["rules"]}
    missing = [rule for rule in rules if effect_key(_as_now(context, rule, str(found.id))) not in there]
    changes = {
        outcome.name: Change(outcome.restored, outcome.fidelity, outcome.reason) for outcome in attributes
    }
    if lost:
        changes["rules"] = Change(rules, "degraded", "; ".join(lost))
    elif missing or not same:
        changes["rules"] = Change(rules, "mapped", "in the project's own default group, beside what it has")
    if missing:
        reason = "it is still there; what it lacks is added"
    if not same:
        changes["id"] = Change(str(found.id), "mapped", "the project's own default group")
        reason = "the project's own default group is used" + ("; what it lacks is added" if missing else "")
    conflicts = [
        f"the rule '{label(rule)}' is added to the project's default security group" for rule in missing
    ]
    # The rules are compared again when it is done: it cannot be known yet which groups they will name.
    return _used(
        context, found, outcomes(ATTRIBUTES, section, changes), reason, rules, [*lost, *conflicts], missing
    )


def _used(
    context: PlanContext,
    group: Any,
    attributes: Any,
    reason: str,
    rules: list[dict[str, Any]],
    conflicts: list[str],
    missing: list[dict[str, Any]] | None = None,
) -> Planned:
    count = len(rules if missing is None else missing)
    return Planned(
        "reuse",
        name=str(group.name),
        reason=reason,
        new_id=str(group.id),
        attributes=attributes,
        needs={"security_group_rules": count} if count else {},
        decisions={"rules": rules},
        conflicts=tuple(conflicts),
    )


def _now(context: PlanContext, group: Any) -> dict[str, Any]:
    """The section of a living group, as far as it is compared."""
    return group_section(group) | {"rbac_policies": context.section["rbac_policies"]}


def _possible(
    context: PlanContext, rules: Iterable[Mapping[str, Any]]
) -> tuple[list[dict[str, Any]], list[str]]:
    """The rules that can be made, and a sentence for each that cannot."""
    possible, lost = [], []
    for rule in rules:
        group, addresses = rule["remote_group_id"], rule["remote_address_group_id"]
        if group and not _group_will_be_there(context, group):
            lost.append(f"no rule '{label(rule)}': that security group is gone and not restored")
        elif addresses and not exists(context, "address group", addresses):
            lost.append(f"no rule '{label(rule)}': that address group is gone")
        else:
            possible.append(dict(rule))
    return possible, lost


def _group_will_be_there(context: PlanContext, group_id: str) -> bool:
    if group_id == context.resource.id or ResourceKey(SECURITY_GROUP, group_id) in context.graph:
        return True
    # Else it may be shared by another project.
    return bool(context.listed("security_group", group_id) or context.cloud.find("security_group", group_id))


def _names_lost_group(context: PlanContext, rule: Mapping[str, Any]) -> bool:
    group = rule["remote_group_id"]
    if not group or ResourceKey(SECURITY_GROUP, group) not in context.graph:
        return False
    return context.listed("security_group", group) is None


def _as_now(context: PlanContext, rule: Mapping[str, Any], own_id: str) -> dict[str, Any]:
    """A rule with the ids that are known already in the place of those of the checkpoint."""
    group = rule["remote_group_id"]
    if group == context.resource.id:
        return {**rule, "remote_group_id": own_id}
    key = ResourceKey(SECURITY_GROUP, group or "")
    planned = context.planned(key) if key in context.graph else None
    if planned is not None:
        return {**rule, "remote_group_id": planned.new_id or "new"}
    return dict(rule)

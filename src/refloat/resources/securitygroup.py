"""Security groups with their rules, protected by their settings.

A group is made in ``on_main`` and its rules in ``on_complete``: by then every group they may name is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from refloat.cloud import explained
from refloat.cloud.kinds import KINDS
from refloat.cloud.retries import ensure_done
from refloat.graph import Resource, ResourceKey
from refloat.resources.attributes import Attribute, Change, exact, instead, outcomes
from refloat.resources.base import HookContext, Hooks, PlanContext, Planned
from refloat.resources.draft import Draft
from refloat.resources.networking import (
    NeutronProtectable,
    dress,
    exists,
    given,
    grant,
    grants,
    left_alone,
    neutron_kind,
    picked,
    projects_instead,
    unset,
    wire,
)
from refloat.resources.verifying import section_has

GROUP_FIELDS = ("name", "description", "stateful", "tags")
"""What a section keeps of a group, under Neutron's own names."""

ATTRIBUTES = (
    Attribute("id", "mapped", "Neutron chooses ids; the default group is the project's own"),
    *exact("name", "description", "stateful", "tags"),
    Attribute("rules", "mapped", "the same rules under other ids; groups they name are the restored ones"),
    Attribute("rbac_policies", "exact", "which other projects may use the group"),
)


RULE_FIELDS = (
    "direction",
    "ethertype",
    "protocol",
    "port_range_min",
    "port_range_max",
    "remote_ip_prefix",
    "remote_group_id",
    "remote_address_group_id",
    "description",
)
"""What a section keeps of a rule. Rules cannot be changed once made, so this is also what is compared."""

Key: TypeAlias = tuple[Any, ...]

_ANYWHERE = frozenset({"0.0.0.0/0", "::/0"})
_NUMBERS = {"icmp": "1", "tcp": "6", "udp": "17", "ipv6-icmp": "58", "icmpv6": "58", "sctp": "132"}


def saved_rules(rules: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rules as a section keeps them: without ids, always in the same order."""
    kept = [{field: rule.get(field) for field in RULE_FIELDS} for rule in rules]
    for rule in kept:
        rule["description"] = rule["description"] or ""
    return sorted(kept, key=lambda rule: [str(rule[field]) for field in RULE_FIELDS])


def exact_key(rule: Mapping[str, Any]) -> Key:
    """Two rules with the same key are the same in every respect."""
    return tuple(rule.get(field) or None for field in RULE_FIELDS)


def effect_key(rule: Mapping[str, Any]) -> Key:
    """Two rules with the same key let the same through: Neutron refuses the second one in a group."""
    plain = dict(rule)
    del plain["description"]
    if plain["remote_ip_prefix"] in _ANYWHERE:
        plain["remote_ip_prefix"] = None
    protocol = str(plain["protocol"] or "").lower()
    plain["protocol"] = _NUMBERS.get(protocol, protocol) or None
    return tuple(plain[field] for field in RULE_FIELDS if field != "description")


def label(rule: Mapping[str, Any]) -> str:
    """A rule in words: ``ingress IPv4 tcp 22-22 from 10.0.0.0/8``."""
    ports = (
        f" {rule['port_range_min']}-{rule['port_range_max']}" if rule["port_range_min"] is not None else ""
    )
    remote = rule["remote_ip_prefix"] or rule["remote_group_id"] or rule["remote_address_group_id"]
    towards = "from" if rule["direction"] == "ingress" else "to"
    far = f" {towards} {remote}" if remote else ""
    return f"{rule['direction']} {rule['ethertype']} {rule['protocol'] or 'any protocol'}{ports}{far}"


def group_section(group: Any) -> dict[str, Any]:
    section = picked(wire(group), GROUP_FIELDS)
    section["id"] = str(group.id)
    section["rules"] = saved_rules(group.security_group_rules or ())
    return section


def read(context: HookContext) -> dict[str, Any]:
    section = group_section(context.cloud.get("security_group", context.resource.id))
    section["rbac_policies"] = grants(context, "security_group", context.resource.id)
    return section


SECURITY_GROUP = "OS::Neutron::SecurityGroup"


class SecurityGroupProtectable(NeutronProtectable):
    """The security groups of the project."""

    def needed_by(self, parent: Resource) -> Iterable[str]:
        ports = (port for port in self.ports if port.device_id == parent.id)
        return dict.fromkeys(group for port in ports for group in port.security_group_ids or ())

    def references(self, resource: Resource) -> Iterable[Resource]:
        """The groups of the project that the rules of one let in or out."""
        group = self.by_id.get(resource.id) or self.cloud.get(self.kind, resource.id)
        named = dict.fromkeys(rule.get("remote_group_id") for rule in group.security_group_rules or ())
        return [self.node(self.by_id[identity]) for identity in named if identity in self.by_id]


DEFAULT = "default"
"""Every project has just one group of this name, which Neutron makes, and nobody may make another."""


def plan(context: PlanContext) -> Planned:
    """Use the project's default group for the default group; else re-use the group, or create it."""
    asked = context.mapping("security-group", context.resource.id, str(context.section["name"]))
    if asked is not None:
        attributes = instead(ATTRIBUTES, context.section, _now(context, asked.thing), asked.said)
        return _used(context, asked.thing, attributes, asked.said, [], [])
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
    section, draft = context.section, Draft.renamed(context, ATTRIBUTES)
    draft.changes = unset(ATTRIBUTES, section) | draft.changes
    rules, draft.conflicts = _possible(context, section["rules"])
    if draft.conflicts:
        draft.change("rules", rules, "degraded", "; ".join(draft.conflicts))
    # A new group has rules of Neutron's own at first.
    draft.needs = {"security_groups": 1, "security_group_rules": max(len(rules), 2)}
    draft.decisions = {"body": given(section, "stateful") | {"name": draft.name}, "rules": rules}
    draft.share_with(projects_instead(context))
    return draft.planned(reason)


def _reuse(context: PlanContext, living: Any) -> Planned:
    """Leave it as it is, but give it back the rules that went away with groups that had been lost; when it is
    repaired, all that it has lost."""
    rules, conflicts = _possible(context, context.section["rules"])
    if context.repairs:
        living = context.cloud.get("security_group", str(living.id))
    now = _now(context, living)
    if context.repairs:
        again = _lacking(context, rules, now, str(living.id))
        conflicts += [f"the rule '{label(rule)}' is gone and is added again" for rule in again]
    else:
        again = [rule for rule in rules if _names_lost_group(context, rule)]
        conflicts = [
            f"the rule '{label(rule)}' went away with that group and is added again" for rule in again
        ]
    given = Change(context.section["rules"], "mapped", "given back, beside what it has")
    back = {"rules": given} if context.repairs and again else {}
    attributes, reason = left_alone(ATTRIBUTES, context.section, now, back)
    if again and not context.repairs:
        reason += "; the rules that went away with lost groups are added again"
    return _used(context, living, attributes, reason, again, conflicts)


def _lacking(
    context: PlanContext, rules: Iterable[dict[str, Any]], now: Mapping[str, Any], own_id: str
) -> list[dict[str, Any]]:
    """Those of the rules that a group does not have."""
    there = {effect_key(rule) for rule in now["rules"]}
    return [rule for rule in rules if effect_key(_as_now(context, rule, own_id)) not in there]


def _default(context: PlanContext, found: Any) -> Planned:
    section = context.section
    same = found.id == context.resource.id
    now = _now(context, found)
    attributes, reason = left_alone(ATTRIBUTES, section, now)
    rules, lost = _possible(context, section["rules"])
    missing = _lacking(context, rules, now, str(found.id))
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
        context.using(count > 0),
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
        outside = group and ResourceKey(SECURITY_GROUP, group) not in context.graph
        if outside and (asked := context.mapping("security-group", group)) is not None:
            possible.append({**rule, "remote_group_id": asked.new})
        elif group and not _group_will_be_there(context, group):
            lost.append(f"no rule '{label(rule)}': that security group is gone and not restored")
        elif addresses and not exists(context, "address group", addresses):
            lost.append(f"no rule '{label(rule)}': that address group is gone")
        else:
            possible.append(dict(rule))
    return possible, lost


def _group_will_be_there(context: PlanContext, group_id: str) -> bool:
    if group_id == context.resource.id or ResourceKey(SECURITY_GROUP, group_id) in context.graph:
        return True
    return context.there("security_group", group_id) is not None


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
    planned = context.planned(ResourceKey(SECURITY_GROUP, group or ""))
    if planned is not None:
        return {**rule, "remote_group_id": planned.new_id or "new"}
    return dict(rule)


_SDK_NAMES = {"ethertype": "ether_type"}


class SecurityGroupRestore(Hooks):
    """Creates the group and its rules, or uses the one that is still there."""

    def on_main(self, context: HookContext) -> Mapping[str, Any]:
        planned = context.planned
        if planned.uses:
            return context.restored(str(context.cloud.get("security_group", planned.new_id).id))
        group_id = context.ensure(
            "security_group",
            "group",
            lambda marker: context.cloud.network.create_security_group(
                description=marker.text, **planned.decisions["body"]
            ),
            what=f"create the security group {planned.name}",
            unmarked={"description": context.section["description"]},
        )
        grant(context, "security_group", group_id)
        dress(context, "security_group", group_id)
        return context.restored(group_id)

    def on_complete(self, context: HookContext) -> Mapping[str, Any]:
        reused = context.planned.uses
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


SECURITY_GROUPS = neutron_kind(
    type=SECURITY_GROUP,
    name="security-group",
    description="Keeps a security group and its rules and creates them again",
    kind=KINDS["security_group"],
    finder=SecurityGroupProtectable,
    attributes=ATTRIBUTES,
    protect=read,
    restore=SecurityGroupRestore,
    verify=section_has("id", *GROUP_FIELDS, "rules"),
    plan=plan,
)

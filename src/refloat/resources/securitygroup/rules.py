"""Security group rules: how a section keeps them and when two are the same. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

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

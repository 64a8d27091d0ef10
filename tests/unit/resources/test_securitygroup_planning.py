"""How security groups will come back."""

from typing import Any

from refloat.graph import Graph, Resource, ResourceKey
from refloat.resources.base import Planned
from refloat.resources.securitygroup import (
    SECURITY_GROUP,
    SECURITY_GROUPS,
    effect_key,
    exact_key,
    group_section,
    label,
    saved_rules,
)
from tests.unit.support.neutron_fakes import FakeCloud, fidelity, plan, thing

PLUGIN = SECURITY_GROUPS.plugin()


def rule(**fields: Any) -> dict[str, Any]:
    body = {"id": "x", "direction": "ingress", "ethertype": "IPv4", "protocol": "tcp", "description": ""}
    return saved_rules([body | fields])[0]


def group(*rules: dict[str, Any], **fields: Any) -> Any:
    body = {"id": "g1", "name": "web", "stateful": True, "security_group_rules": list(rules)}
    return thing("security_group", **(body | fields))


def planned(living: Any, cloud: FakeCloud, *others: str, **parameters: object) -> Planned:
    graph = Graph()
    for other in others:
        graph.add(Resource(SECURITY_GROUP, other))
    saved = group_section(living) | {"rbac_policies": []}
    existing = {ResourceKey(SECURITY_GROUP, living.id): str(parameters.pop("existing", ""))}
    return plan(
        *(PLUGIN, Resource(SECURITY_GROUP, living.id, living.name), saved, cloud),
        **{"graph": graph, "existing": existing, **parameters},  # type: ignore[arg-type]
    )


def test_what_is_gone_is_created_and_quota_counts_neutrons_own_rules() -> None:
    answer = planned(group(rule()), FakeCloud())
    assert answer.action == "create"
    assert answer.needs == {"security_groups": 1, "security_group_rules": 2}
    assert answer.decisions["body"] == {"name": "web", "stateful": True}
    assert fidelity(answer) == {"id": "mapped", "rules": "mapped"}


def test_a_group_of_the_same_name_is_another_group() -> None:
    assert planned(group(), FakeCloud(security_group=[group(id="g2")])).action == "create"


def test_a_rule_that_names_itself_or_a_group_of_the_restore_can_be_made() -> None:
    living = group(rule(remote_group_id="g1"), rule(remote_group_id="g2"))
    assert len(planned(living, FakeCloud(), "g2").decisions["rules"]) == 2


def test_a_rule_that_names_a_lost_group_or_address_group_cannot() -> None:
    living = group(rule(remote_group_id="g2"), rule(remote_address_group_id="a1"), rule())
    answer = planned(living, FakeCloud())
    assert len(answer.decisions["rules"]) == 1
    assert len(answer.conflicts) == 2
    assert fidelity(answer)["rules"] == "degraded"
    kept = planned(living, FakeCloud(others=[("security_group", group(id="g2"))], known=["a1"]))
    assert len(kept.decisions["rules"]) == 3


def test_the_default_group_is_the_projects_own_and_loses_nothing() -> None:
    living = group(rule(), rule(remote_group_id="g1", protocol=None), id="g1", name="default")
    theirs = group(rule(remote_group_id="d2", protocol=None), rule(protocol="udp"), id="d2", name="default")
    answer = planned(living, FakeCloud(security_group=[theirs]), restore_name="x")
    assert (answer.action, answer.new_id, answer.name) == ("reuse", "d2", "default")
    assert answer.needs == {"security_group_rules": 1}
    assert answer.conflicts == (
        "the rule 'ingress IPv4 tcp' is added to the project's default security group",
    )
    assert fidelity(answer) == {"id": "mapped", "rules": "mapped"}


def test_a_living_group_gets_back_only_the_rules_that_went_with_a_lost_group() -> None:
    saved = group(rule(), rule(remote_group_id="g2"))
    graph = Graph()
    graph.add(Resource(SECURITY_GROUP, "g2"))
    section = group_section(saved) | {"rbac_policies": []}
    resource = Resource(SECURITY_GROUP, "g1", "web")
    answer = plan(PLUGIN, resource, section, FakeCloud(security_group=[group()]), graph=graph)
    assert answer.action == "reuse"
    assert answer.reason.endswith("; the rules that went away with lost groups are added again")
    assert [r["remote_group_id"] for r in answer.decisions["rules"]] == ["g2"]


def test_planned_partners_are_known_by_their_new_ids() -> None:
    living = group(rule(remote_group_id="g2"), id="d1", name="default")
    theirs = group(rule(remote_group_id="g2"), id="d1", name="default")
    key = ResourceKey(SECURITY_GROUP, "g2")
    graph = Graph()
    graph.add(Resource(*key))
    section = group_section(living) | {"rbac_policies": []}
    cloud = FakeCloud(security_group=[theirs, group(id="g2")])
    resource = Resource(SECURITY_GROUP, "d1", "default")
    for partner, missing in ((Planned("reuse", new_id="g2"), 0), (Planned("create"), 1)):
        answer = plan(PLUGIN, resource, section, cloud, graph=graph, planned={key: partner})
        assert len(answer.conflicts) == missing


def test_when_two_rules_are_the_same() -> None:
    anywhere, described = rule(remote_ip_prefix="0.0.0.0/0"), rule(description="why")
    assert exact_key(rule()) != exact_key(anywhere)
    assert exact_key(rule()) != exact_key(described)
    assert (
        effect_key(rule()) == effect_key(anywhere) == effect_key(described) == effect_key(rule(protocol="6"))
    )
    assert effect_key(rule()) != effect_key(rule(protocol="udp"))


def test_a_rule_in_words() -> None:
    wide = rule(port_range_min=22, port_range_max=23, remote_ip_prefix="10.0.0.0/8")
    assert label(wide) == "ingress IPv4 tcp 22-23 from 10.0.0.0/8"
    assert label(rule(direction="egress", protocol=None)) == "egress IPv4 any protocol"


def test_a_repaired_group_gets_back_the_rules_that_it_lacks_and_keeps_the_others() -> None:
    ssh, web, own = (rule(port_range_min=n, port_range_max=n) for n in (22, 80, 7777))
    named = rule(remote_group_id="g2")
    cloud = FakeCloud(security_group=[group(rule(description="moved", **PORT_22), own)])
    answer = planned(group(ssh, web, named), cloud, existing="repair")
    assert (answer.action, answer.needs) == ("repair", {"security_group_rules": 1})
    assert answer.decisions["rules"] == [web]
    assert [text.partition(":")[0] for text in answer.conflicts] == [
        "no rule 'ingress IPv4 tcp from g2'",
        "the rule 'ingress IPv4 tcp 80-80' is gone and is added again",
    ]
    whole = FakeCloud(security_group=[group(ssh, web)])
    assert planned(group(ssh, web), whole, existing="repair").action == "reuse"


PORT_22 = {"port_range_min": 22, "port_range_max": 22}

"""What may be mapped, kind by kind: as it is written, resolved, refused, planned and asked for.

Finding: part 3 of a restore on the worst day: what is missing in the target has something in its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from refloat.api.v1 import restores
from refloat.errors import InvalidInput, NotFound, ServiceMissing
from refloat.graph import Graph, Resource, ResourceKey
from refloat.mappings import MAPPABLE, Mapped, address_id, find, known_kind, read_all, read_file, read_option
from refloat.operations.choices import Choices
from refloat.operations.mappings import Resolved, by_id, resolve
from refloat.resources.base import PlanContext, Planned
from refloat.resources.registry import plugins

ROOT = Path(__file__).parents[3]
SERVER, VOLUME = "OS::Nova::Server", "OS::Cinder::Volume"
NETWORK, ROUTER = "OS::Neutron::Network", "OS::Neutron::Router"
FLOATING_IP, GROUP = "OS::Neutron::FloatingIP", "OS::Neutron::SecurityGroup"
KEYPAIR, PROJECT = "OS::Nova::KeyPair", "OS::Keystone::Project"

OLD, NEW = "0" * 31 + "1", "0" * 31 + "2"
MAC = "fa:16:3e:00:00:01"


def thing(identity: str, name: str = "", **more: Any) -> Any:
    return SimpleNamespace(id=identity, name=name or identity, **more)


SECTIONS: Mapping[str, Mapping[str, Any]] = {
    SERVER: {
        "flavor": {"id": "f1", "name": "small"},
        "availability_zone": "az1",
        "pinned_availability_zone": None,
        "key_name": "key",
        "ports": [
            {
                "network_id": "net",
                "mac_address": MAC,
                "fixed_ips": [{"subnet_id": "sub", "ip_address": "10.0.0.5"}],
                "security_group_ids": ["grp"],
            }
        ],
    },
    VOLUME: {"type": {"id": "t1", "name": "lvm"}, "availability_zone": "az1"},
    NETWORK: {
        "subnets": [{"id": "sub", "name": "sub-a"}],
        "availability_zone_hints": [],
        "rbac_policies": [{"target_project_id": OLD}],
    },
    ROUTER: {
        "gateway": {"network_id": "ext", "network_name": "public"},
        "availability_zone_hints": [],
        "interfaces": [],
    },
    FLOATING_IP: {
        "floating_network_id": "ext",
        "floating_network_name": "public",
        "floating_ip_address": "172.24.4.9",
    },
    GROUP: {"rules": [{"remote_group_id": None}], "rbac_policies": []},
}
NODES = (
    *((SERVER, "srv", "web"), (VOLUME, "vol", "data"), (NETWORK, "net", "front"), (ROUTER, "rt", "way")),
    *((FLOATING_IP, "fip", "172.24.4.9"), (GROUP, "grp", "open"), (KEYPAIR, "key", "key")),
)
THINGS: Mapping[str, list[Any]] = {
    "flavor": [thing("f2", "large"), thing("f3", "twin"), thing("f4", "twin")],
    "network": [thing("n2", "blue"), thing("n3", "twin"), thing("n4", "twin")],
    "subnet": [thing("s2", "sub-b", network_id="n2"), thing("s3", "twin"), thing("s4", "twin")],
    "external_network": [thing("e2", "internet"), thing("e3", "twin"), thing("e4", "twin")],
    "volume_type": [thing("t2", "ceph"), thing("t3", "twin"), thing("t4", "twin")],
    "server_zone": [thing("", "az2")],
    "volume_zone": [thing("", "az2")],
    "keypair": [thing("", "other")],
    "security_group": [thing("g2", "closed"), thing("g3", "twin"), thing("g4", "twin")],
    "own_project": [thing(NEW, "mine"), thing(f"{NEW[:-1]}3", "twin"), thing(f"{NEW[:-1]}4", "twin")],
}

CASES = {
    # kind: (old by id, old by name, new by id, new by name, the new id)
    "flavor": ("f1", "small", "f2", "large", "f2"),
    "network": ("net", "front", "n2", "blue", "n2"),
    "subnet": ("sub", "sub-a", "s2", "sub-b", "s2"),
    "external-network": ("ext", "public", "e2", "internet", "e2"),
    "volume-type": ("t1", "lvm", "t2", "ceph", "t2"),
    "zone": ("az1", "az1", "az2", "az2", "az2"),
    "keypair": ("key", "key", "other", "other", "other"),
    "security-group": ("grp", "open", "g2", "closed", "g2"),
    "project": (OLD, OLD, NEW, "mine", NEW),
    "name": ("srv", "web", "web-2", "web-2", "web-2"),
    "address": (address_id("net", "10.0.0.5"), "10.0.0.5", "10.0.0.9", "10.0.0.9", "10.0.0.9"),
}


def graph(nodes: Iterable[tuple[str, str, str]] = NODES) -> Graph:
    found = Graph()
    for node in nodes:
        found.add(Resource(*node))
    return found


def section(key: ResourceKey) -> Mapping[str, Any]:
    return SECTIONS.get(key.type, {})


def listing(kind: str) -> list[Any]:
    if kind == "network_zone":
        raise ServiceMissing("this cloud has no network service")
    return THINGS.get(kind, [])


def resolved(mappings: Mapping[str, Mapping[str, str]], nodes: Any = NODES) -> Resolved:
    return resolve(mappings, graph(nodes), section, listing)


def test_the_table_is_the_cases() -> None:
    assert set(CASES) == set(MAPPABLE)


@pytest.mark.parametrize("kind", MAPPABLE)
def test_each_kind_is_documented_and_in_requests(kind: str) -> None:
    page = (ROOT / "docs" / "restore.md").read_text(encoding="utf-8")
    assert f"| `{kind}` |" in page
    assert f"{kind}:" in next(
        block for block in re.findall(r"```yaml\n(.*?)```", page, re.S) if "flavor:" in block
    )
    assert kind in restores.CHOICES["mappings"]["properties"]
    assert known_kind(kind.replace("-", "_").upper()) == kind


def test_the_files_of_the_page_can_be_read(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "restore.md").read_text(encoding="utf-8")
    for block in re.findall(r"```yaml\n(.*?)```", page, re.S):
        path = tmp_path / "map.yaml"
        path.write_text(block)
        found = read_file(str(path))
        assert set(found) == set(MAPPABLE)
        Choices(mappings=found).check(None)


@pytest.mark.parametrize("kind", CASES)
def test_each_is_understood_by_name_and_by_id(kind: str) -> None:
    old_id, old_name, new_id, new_name, new = CASES[kind]
    for old in (old_id, old_name):
        for wanted in (new_id, new_name):
            option = read_option(f"{kind}:{old}={wanted}")
            assert option == (kind, old, wanted)
            found = resolved({kind: {old: wanted}})
            told = found.to_json()
            assert [(each["kind"], each["new"]) for each in told] == [(kind, new)]
            # What is kept with a restore plan means the same thing again.
            assert resolved(by_id(told)).to_json() == told
            if kind != "name":
                mapped = found.of(kind, told[0]["old"], "")
                assert mapped is not None
                assert mapped.new == new


@pytest.mark.parametrize("kind", CASES)
def test_what_the_checkpoint_does_not_hold_is_refused(kind: str) -> None:
    _id, _name, _new_id, new_name, _new = CASES[kind]
    nothing = {"address": "10.9.9.9"}.get(kind, "nothing")
    with pytest.raises(InvalidInput, match=f"nothing in the checkpoint is called '{nothing}'") as refused:
        resolved({kind: {nothing: new_name}})
    assert CASES[kind][1] in str(refused.value)  # what there is


@pytest.mark.parametrize("kind", CASES)
def test_what_the_cloud_does_not_have_is_refused_with_what_there_is(kind: str) -> None:
    old = CASES[kind][1]
    wrong = {"name": " ", "address": "10.0.0.256"}.get(kind, "nothing")
    with pytest.raises((InvalidInput, NotFound)) as refused:
        resolved({kind: {old: wrong}})
    if MAPPABLE[kind].written is None:
        assert CASES[kind][3] in str(refused.value)


@pytest.mark.parametrize("kind", [k for k, e in MAPPABLE.items() if e.found and not e.by_name])
def test_a_name_that_several_have_is_refused_with_their_ids(kind: str) -> None:
    with pytest.raises(InvalidInput, match="are called 'twin'") as refused:
        resolved({kind: {CASES[kind][1]: "twin"}})
    for each in THINGS[MAPPABLE[kind].found[0]][1:]:
        assert each.id in str(refused.value)


def test_several_things_of_a_name_in_the_checkpoint_are_told_apart_by_id() -> None:
    nodes = (*NODES, (VOLUME, "vol-2", "web"))
    with pytest.raises(InvalidInput, match="2 things in the checkpoint are called 'web'") as refused:
        resolved({"name": {"web": "x"}}, nodes)
    assert f"{SERVER}#srv, {VOLUME}#vol-2" in str(refused.value)
    for told in ("vol-2", f"{VOLUME}#vol-2", f"{VOLUME}#web"):
        (one,) = resolved({"name": {told: "x"}}, nodes).to_json()
        assert one["old"] == f"{VOLUME}#vol-2"


def test_the_same_address_in_two_networks_is_two() -> None:
    sections = dict(SECTIONS)
    port = sections[SERVER]["ports"][0]
    sections[SERVER] = {
        **sections[SERVER],
        "ports": [port, {**port, "network_id": "net-2", "mac_address": "fa:16:3e:00:00:02"}],
    }
    with pytest.raises(InvalidInput, match="2 things"):
        resolve(
            {"address": {"10.0.0.5": "10.0.0.9"}}, graph(), lambda key: sections.get(key.type, {}), listing
        )


def test_addresses_are_of_one_kind_and_however_they_are_spelt() -> None:
    assert (
        resolved({"address": {MAC.upper(): "FA:16:3E:00:00:09"}}).to_json()[0]["new"] == "fa:16:3e:00:00:09"
    )
    for wrong in ("fe80::1", MAC):
        with pytest.raises(InvalidInput, match="not addresses of the same kind"):
            Choices(mappings={"address": {"10.0.0.5": wrong}}).check(None)


def test_one_thing_has_one_thing_in_its_place() -> None:
    with pytest.raises(InvalidInput, match="mapped twice"):
        resolved({"flavor": {"small": "large", "f1": "f3"}})
    assert len(resolved({"flavor": {"small": "large", "f1": "f2"}}).to_json()) == 1
    with pytest.raises(InvalidInput, match="mapped twice"):
        read_all(["flavor:a=b", "flavor:a=c"])


def test_a_flavor_that_is_told_by_its_name_alone_in_one_section_is_the_same() -> None:
    sections = {"srv": SECTIONS[SERVER], "srv-2": {**SECTIONS[SERVER], "flavor": {"id": "", "name": "small"}}}
    nodes = ((SERVER, "srv", "a"), (SERVER, "srv-2", "b"))
    found = resolve({"flavor": {"small": "large"}}, graph(nodes), lambda key: sections[key.id], listing)
    assert [
        mapped and mapped.new
        for mapped in (found.of("flavor", "f1", "small"), found.of("flavor", "", "small"))
    ] == [
        "f2",
        "f2",
    ]


def test_what_a_plugin_keeps_nothing_of_names_nothing() -> None:
    with pytest.raises(InvalidInput, match="nothing in the checkpoint"):
        resolve({"flavor": {"small": "large"}}, graph(), lambda _key: {}, listing)


def test_the_right_kind_is_proposed() -> None:
    with pytest.raises(InvalidInput, match="Did you mean external-network:public"):
        resolved({"network": {"public": "blue"}})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("flavor", "KIND:OLD=NEW"),
        ("flavor:a", "KIND:OLD=NEW"),
        ("flavor:=b", "KIND:OLD=NEW"),
        ("flavor:a=", "KIND:OLD=NEW"),
        ("colour:a=b", "'colour' cannot be mapped. What can: flavor, network"),
        ("address:10.0.0.1=here", "'here' is no address"),
        ("address:10.0.0.1=10.0.0.300", "is no address"),
    ],
)
def test_options_that_are_wrong(text: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(said)):
        read_all([text])


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("flavor:\n  a: b\n  a: c\n", 3, "'a' is there twice"),
        ("flavor:\n  a: b\ncolour:\n  a: b\n", 3, "'colour' cannot be mapped"),
        ("flavor:\n  a: [b]\n", 2, "a name or id is expected here"),
        ("flavor:\n  a: {b: c}\n", 2, "a name or id is expected here"),
        ("flavor:\n  a:\n", 2, "lacks one of the two sides"),
        ("flavor: [a, b]\n", 1, "is expected here"),
        ("- flavor\n", 1, "is expected here"),
        ("flavor:\n  [a]: b\n", 2, "a name or id is expected here"),
        ("address:\n  10.0.0.1: there\n", 2, "is no address"),
        ("flavor:\n  a: 'b\n", 3, "this is no YAML"),
        ("flavor:\n\ta: b\n", 2, "this is no YAML"),
        ("flavor:\n  a: b\nFLAVOR:\n  a: c\n", 4, "'a' is mapped twice"),
    ],
)
def test_files_that_are_wrong_are_refused_by_the_line(
    tmp_path: Path, text: str, line: int, said: str
) -> None:
    path = tmp_path / "map.yaml"
    path.write_text(text)
    with pytest.raises(InvalidInput, match=re.escape(f"{path}, line {line}: ")) as refused:
        read_file(str(path))
    assert said in str(refused.value)


def test_files_that_are_not_there_or_empty(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_file(str(tmp_path / "none.yaml"))
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    with pytest.raises(InvalidInput, match="there is no mapping in it"):
        read_file(str(tmp_path / "empty.yaml"))


def test_names_stay_as_they_are_written_and_options_come_before_files(tmp_path: Path) -> None:
    path = tmp_path / "map.yaml"
    path.write_text("flavor: {1: 2, on: 1e3, 'a=b': 'c: d'}\nkeypair: {x: y}\n")
    assert read_all(["flavor:1=3"], str(path), {"zone": {"a": "b"}, "keypair": {"x": "z"}}) == {
        "flavor": {"1": "3", "on": "1e3", "a=b": "c: d"},
        "keypair": {"x": "y"},
        "zone": {"a": "b"},
    }


def test_names_become_the_setting_of_their_resource() -> None:
    given = {SERVER: {"power_state": "off"}}
    assert resolved({"name": {"web": "web-2"}}).settings(given) == {
        SERVER: {"power_state": "off"},
        f"{SERVER}#srv": {"restore_name": "web-2"},
    }


OPTIONS = [(kind, type_, option) for kind, e in MAPPABLE.items() for type_, option in e.options.items()]


@pytest.mark.parametrize(("kind", "type_name", "option"), OPTIONS)
def test_the_settings_of_the_table_are_there_and_mean_the_same(
    kind: str, type_name: str, option: str
) -> None:
    """A setting of a type says it for all that a resource names, and comes before mappings."""
    ways = [plugin for plugin in plugins().values() if plugin.resource_type == type_name]
    assert ways
    for plugin in ways:
        assert option in {each.name for each in plugin.options["restore"]}

    def context(wanted: str, mapped: Mapped | None = None) -> PlanContext:
        cloud: Any = None
        node = Resource(type_name, "x")
        return PlanContext(
            *(node, {}, Graph(), {option: wanted}, cloud, lambda _key: None, listing),
            mapped=lambda *_which: mapped,
        )

    _old_id, _old, new_id, new_name, new = CASES[kind]
    for wanted in (new_id, new_name):
        found = context(wanted).mapping(kind, "any", "any")
        assert found is not None
        assert (found.new, found.problem) == (new, "")
        assert option in found.said
    wrong = context("nothing").mapping(kind, "any", "any")
    assert wrong is not None
    assert option in wrong.problem
    instead = Mapped(kind, "y", "y", "asked")
    assert context("", instead).mapping(kind, "any", "any") is instead


def test_project_of_which_one_is_no_member_are_told_by_id() -> None:
    assert find("project", OLD, listing)[0] == OLD
    with pytest.raises(InvalidInput, match="is told by its id"):
        find("project", "theirs", listing)


def test_proposals_are_kept_with_what_is_planned() -> None:
    proposal = {"kind": "flavor", "old": "a", "new": "b", "why": ""}
    planned = Planned("impossible", proposals=(proposal,))
    assert Planned.from_json(planned.to_json()).proposals == (proposal,)
    before = {k: v for k, v in planned.to_json().items() if k != "proposals"}
    assert Planned.from_json(before).proposals == ()

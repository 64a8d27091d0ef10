"""What users write, read."""

import pytest

from refloat.cli.arguments import find_type, parse_only, parse_parameters, parse_resource, short_name
from refloat.errors import InvalidInput

TYPES = [
    "OS::Cinder::Volume",
    "OS::Neutron::FloatingIP",
    "OS::Neutron::Network",
    "OS::Neutron::SecurityGroup",
    "OS::Nova::KeyPair",
    "OS::Nova::Server",
    "OS::Nova::ServerGroup",
    "Refloat::Noop",
]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("server", "OS::Nova::Server"),
        ("Servers", "OS::Nova::Server"),
        ("os::nova::server", "OS::Nova::Server"),
        ("security-group", "OS::Neutron::SecurityGroup"),
        ("security_group", "OS::Neutron::SecurityGroup"),
        ("SecurityGroup", "OS::Neutron::SecurityGroup"),
        ("keypair", "OS::Nova::KeyPair"),
        ("key-pair", "OS::Nova::KeyPair"),
        ("server-group", "OS::Nova::ServerGroup"),
        ("floating-ip", "OS::Neutron::FloatingIP"),
        ("NOOP", "Refloat::Noop"),
    ],
)
def test_a_type_has_many_names(text: str, found: str) -> None:
    assert find_type(text, TYPES) == found


def test_every_short_name_is_understood() -> None:
    assert [find_type(short_name(name), TYPES) for name in TYPES] == TYPES
    assert short_name("OS::Neutron::FloatingIP") == "floating-ip"
    assert short_name("OS::Nova::KeyPair") == "keypair"


def test_an_unknown_type_is_told_with_what_was_meant() -> None:
    with pytest.raises(InvalidInput, match="Did you mean server"):
        find_type("sever", TYPES)
    with pytest.raises(InvalidInput, match="Types: floating-ip, keypair"):
        find_type("bucket", TYPES)


def test_a_short_name_of_two_types_is_ambiguous() -> None:
    with pytest.raises(InvalidInput, match="could be OS::Cinder::Volume or Other::Volume"):
        find_type("volume", [*TYPES, "Other::Volume"])


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("server=web", ("OS::Nova::Server", "web")),
        ("server=tag:backup", ("OS::Nova::Server", "tag:backup")),
        ("server=metadata:tier=1", ("OS::Nova::Server", "metadata:tier=1")),
        ("OS::Cinder::Volume=a=b", ("OS::Cinder::Volume", "a=b")),
    ],
)
def test_resources(text: str, pair: tuple[str, str]) -> None:
    assert parse_resource(text, TYPES) == pair


@pytest.mark.parametrize("text", ["server", "server=", "=web", "", "server=metadata:tier"])
def test_wrong_resources(text: str) -> None:
    with pytest.raises(InvalidInput, match="As in"):
        parse_resource(text, TYPES)


def test_only() -> None:
    assert parse_only(["volume=data-1"], TYPES) == ["OS::Cinder::Volume#data-1"]


def test_parameters() -> None:
    texts = [
        "server:restore_name=new {name}",
        "OS::Cinder::Volume#7f:mode=full",
        "noop#tree:40:restore_name=a:b=c",
        "server:other=",
    ]
    assert parse_parameters(texts, TYPES) == {
        "OS::Nova::Server": {"restore_name": "new {name}", "other": ""},
        "OS::Cinder::Volume#7f": {"mode": "full"},
        "Refloat::Noop#tree:40": {"restore_name": "a:b=c"},
    }


@pytest.mark.parametrize("text", ["server", "server:key", "server=1", ":key=1", "server:=1", "server#:k=1"])
def test_wrong_parameters(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"not of the form|names no resource"):
        parse_parameters([text], TYPES)


def test_a_parameter_has_one_value() -> None:
    assert parse_parameters(["server:a=1", "server:a=1"], TYPES) == {"OS::Nova::Server": {"a": "1"}}
    with pytest.raises(InvalidInput, match="twice"):
        parse_parameters(["server:a=1", "server:a=2"], TYPES)

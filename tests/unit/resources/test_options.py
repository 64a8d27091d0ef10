"""What users set: converted and checked in one place."""

import pytest

from refloat.errors import InvalidInput
from refloat.resources.attributes import Attribute, Change, outcomes
from refloat.resources.options import Option, settle

FORCE = Option("force", "Even when in use", bool, default=False)
COUNT = Option("count", "How many", int, default=1)
MODE = Option("mode", "How", choices=("full", "incremental"), default="full")


@pytest.mark.parametrize("text", ["False", "false", "no", "0", False])
def test_the_text_false_is_false(text: object) -> None:
    """In Karbor ``force: False`` arrived as a text, which is true."""
    assert settle([FORCE], {"force": text}, "here") == {"force": False}


def test_defaults_fill_what_is_not_given() -> None:
    assert settle([FORCE, COUNT, MODE], {"count": "3"}, "here") == {
        "force": False,
        "count": 3,
        "mode": "full",
    }


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"forse": "1"}, "no parameter 'forse'"),
        ({"force": "perhaps"}, "neither true nor false"),
        ({"count": "many"}, "not a whole number"),
        ({"count": True}, "count"),
        ({"mode": "fast"}, "not a value of mode"),
    ],
)
def test_what_is_wrong_is_said(given: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        settle([FORCE, COUNT, MODE], given, "OS::Cinder::Volume (protect)")


def test_options_describe_themselves_as_json_schema() -> None:
    assert MODE.schema() == {
        "type": "string",
        "description": "How",
        "enum": ["full", "incremental"],
        "default": "full",
    }


def test_attributes_turn_out_as_declared_unless_something_stands_in_the_way() -> None:
    table = (
        Attribute("name", "exact"),
        Attribute("network", "mapped", "another id"),
        Attribute("user_data", "lost", "only an administrator may read it"),
    )
    section = {"name": "web", "network": "n1", "user_data": "x"}
    name, network, user_data = outcomes(table, section, {"name": Change("web-2", "degraded", "asked for")})
    assert (name.restored, name.fidelity, name.reason) == ("web-2", "degraded", "asked for")
    assert (network.source, network.fidelity, network.reason) == ("n1", "mapped", "another id")
    assert network.restored is None  # nobody knows yet, but it is not n1
    assert (user_data.restored, user_data.fidelity) == (None, "lost")

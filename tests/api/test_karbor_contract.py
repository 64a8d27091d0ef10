"""What Karbor's clients rely on, as the deployed example answers them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from api_helpers import NOOP, Running, User, run_service

from refloat.api.v1.protectables import FIRST

EXAMPLES = Path(__file__).parents[2] / "deploy" / "providers.d"
INFRA = "cf56bd3e-97a7-4078-b6d5-f36246333fd9"
SNAPSHOTS = "90d5bfea-a259-41e6-80c6-dcfcfcd9d827"
BANK = "8d0c3f0e-6f3b-4f0e-9a53-0d5d3c1a7b04"
MADE_UP = "Refloat::Noop"


@pytest.fixture
def example(tmp_path: Path) -> Iterator[Running]:
    """The service with the providers of the deployed example."""
    folder = tmp_path / "providers.d"
    folder.mkdir()
    for name in ("infrastructure", "noop", "volume-snapshot"):
        shutil.copy(EXAMPLES / f"{name}.conf", folder)
    running = run_service(tmp_path, providers__noop=False)
    yield running
    running.close()


def types(user: User) -> list[str]:
    return list(user("GET", "protectables").body["protectable_type"])


def test_karbors_types_come_first_and_what_is_made_up_only_to_whom_it_is_offered(example: Running) -> None:
    member, admin = example.user(), example.user(roles="admin")
    assert tuple(types(member)[:8]) == FIRST
    assert MADE_UP not in types(member)
    assert MADE_UP in types(admin)  # who sees the no-op provider in lists, too
    assert len({*types(member)}) == len(types(member))
    below = member("GET", "protectables/OS::Nova::Server").body["protectable_type"]["dependent_types"]
    assert below[:2] == ["OS::Glance::Image", "OS::Cinder::Volume"]


def test_an_error_says_what_there_is(example: Running) -> None:
    """5.20 of the first user's findings: the service's answers lacked the advice that the command prints."""
    resources = [{"type": "OS::Cinder::Volume", "id": NOOP, "name": "x"}]
    plan = {"name": "x", "provider_id": INFRA, "resources": resources}
    wrong = {"plan": {**plan, "parameters": {"OS::Cinder::Volume": {"mode": "full"}}}}
    refused = example.user()("POST", "plans", wrong)
    assert refused.status == 400
    assert "has no parameter 'mode'. It has: " in refused.message
    assert "backup_mode" in refused.message
    refused = example.user()("GET", "protectables/OS::Nova::Servant")
    assert "Types: OS::" in refused.message
    assert MADE_UP not in refused.message


def test_the_deployed_example_protects_shares_and_databases(example: Running) -> None:
    shown = example.user()("GET", f"providers/{INFRA}").body["provider"]
    options = shown["extended_info_schema"]["options_schema"]
    assert "snapshot_name" in options["OS::Manila::Share"]["properties"]
    assert "backup_name" in options["OS::Trove::Instance"]["properties"]
    for name in ("karbor-share-protection-plugin", "karbor-database-protection-plugin"):
        assert f"plugin = {name}" in (EXAMPLES / "infrastructure.conf").read_text()


KARBORS = {
    (INFRA, "OS::Cinder::Volume"): {
        "backup_name": "b",
        "backup_mode": "full",
        "container": "c",
        "description": "d",
        "force": False,
    },
    (INFRA, "OS::Glance::Image"): {"backup_name": "b"},
    (INFRA, "OS::Manila::Share"): {"snapshot_name": "s", "description": "d", "force": True},
    (INFRA, "OS::Trove::Instance"): {"backup_name": "b", "description": "d"},
    (SNAPSHOTS, "OS::Cinder::Volume"): {"snapshot_name": "s", "description": "d", "force": "False"},
    (BANK, "OS::Cinder::Volume"): {"backup_name": "b", "description": "d"},
}
"""All that Karbor's plugins take when they protect."""


@pytest.mark.parametrize(("where", "settings"), KARBORS.items(), ids=lambda each: str(each)[:70])
def test_all_that_karbors_plugins_take_is_taken(example: Running, where: Any, settings: Any) -> None:
    provider, kind = where
    member = example.user()
    resources = [{"type": kind, "id": NOOP, "name": "x"}]
    parameters = {kind: settings, f"{kind}#{NOOP}": settings}
    plan = {"name": "x", "provider_id": provider, "resources": resources, "parameters": parameters}
    answer = member("POST", "plans", {"plan": plan})
    assert answer.status == 200, answer.body
    shown = member("GET", f"providers/{provider}").body["provider"]["extended_info_schema"]
    form = shown["options_schema"][kind]["properties"]
    assert set(settings) <= set(form)
    if "force" in settings:
        assert (form["force"]["type"], form["force"]["default"]) == ("boolean", False)

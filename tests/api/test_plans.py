"""Versions, providers, protectables and plans over the wire."""

from __future__ import annotations

import threading
import uuid
from typing import Any

import pytest
from api_helpers import DEFAULT, DEMO, NOOP, NOWHERE, OTHER, Running, User

BODY: dict[str, Any] = {
    "plan": {
        "name": "My 3 tier application",
        "provider_id": NOOP,
        "description": None,
        "resources": [
            {"id": "tree-5", "type": "Refloat::Noop", "name": "tree:5", "extra_info": {"zone": "az1"}},
        ],
        "parameters": {"Refloat::Noop": {}, "OS::Nova::Server": {"x": 1}, "OS::Cinder::Volume#1": None},
    }
}


def test_versions_need_no_token(service: Running) -> None:
    nobody = service.user(roles="")
    found = nobody("GET", "/")
    assert found.status == 300
    assert found.body["versions"][0]["id"] == "v1.0"
    assert found.body["versions"][0]["links"][0]["href"].endswith("/v1/")
    assert nobody("GET", "/v1/").body["version"]["status"] == "CURRENT"
    assert nobody("GET", "/v1/openapi.json").body["openapi"] == "3.1.0"


def test_providers(member: User, service: Running) -> None:
    found = member("GET", "providers").body["providers"]
    assert [provider["id"] for provider in found] == sorted(provider["id"] for provider in found)
    # H5: what keeps nothing is not offered to those who look for a place for their backups.
    assert {provider["name"] for provider in found} == {"default", "snapshot", "bank"}
    everything = service.user(roles="admin")("GET", "providers").body["providers"]
    assert {provider["name"] for provider in everything} == {"default", "snapshot", "bank", "noop"}
    shown = member("GET", f"providers/{DEFAULT}").body["provider"]
    schemas = shown["extended_info_schema"]
    volume = schemas["options_schema"]["OS::Cinder::Volume"]
    assert {"title", "type", "properties", "required"} == set(volume)
    assert "backup_mode" in volume["properties"]
    assert "restore_name" in schemas["restore_schema"]["OS::Cinder::Volume"]["properties"]
    assert member("GET", "providers?name=noop").body["providers"][0]["id"] == NOOP
    assert member("GET", f"providers/{uuid.uuid4()}").status == 404
    assert member("GET", "providers/nonsense").status == 400


def test_protectables(member: User) -> None:
    types = member("GET", "protectables").body["protectable_type"]
    assert {
        "OS::Keystone::Project",
        "OS::Nova::Server",
        "OS::Cinder::Volume",
        "OS::Glance::Image",
        "OS::Neutron::Network",
        "OS::Manila::Share",
        "OS::Trove::Instance",
        "OS::Kubernetes::Pod",
    } <= set(types)
    server = member("GET", "protectables/OS::Nova::Server").body["protectable_type"]
    assert server["name"] == "OS::Nova::Server"
    assert "OS::Cinder::Volume" in server["dependent_types"]
    assert member("GET", "protectables/OS::Nova::Servant").status == 400
    assert member("GET", "protectables/OS::Nova::Servant/instances").status == 400


@pytest.mark.parametrize("parameters", ["", "?parameters={'name':'x'}", '?parameters={"name": "x"}'])
def test_instances_and_what_they_need(member: User, parameters: str) -> None:
    path = "protectables/Refloat::Noop/instances"
    assert member("GET", path + parameters).body == {"instances": []}
    found = member("GET", f"{path}/tree-12{parameters}").body["instance"]
    assert (found["id"], found["type"], found["name"]) == ("tree-12", "Refloat::Noop", "tree:12")
    assert [item["id"] for item in found["dependent_resources"]] == ["tree-12-1", "tree-12-9"]
    assert member("GET", f"{path}/nothing").status == 404
    assert member("GET", f"{path}/tree-3?parameters=[1]").status == 400
    assert member("GET", f"{path}/tree-3?parameters=nonsense").status == 400


def test_a_plan_from_its_making_to_its_end(member: User) -> None:
    plan = member("POST", "plans", BODY).body["plan"]
    assert plan["status"] == "suspended"
    assert plan["name"] == "My 3 tier application"
    assert plan["resources"] == BODY["plan"]["resources"]
    assert plan["parameters"]["OS::Nova::Server"] == {"x": 1}
    assert member("GET", f"plans/{plan['id']}").body == {"plan": plan}
    assert member("GET", f"plans/{plan['id'].replace('-', '').upper()}").body == {"plan": plan}
    assert member("GET", "plans").body == {"plans": [plan]}

    changed = member("PUT", f"plans/{plan['id']}", {"plan": {"name": "new", "description": "words"}})
    assert (changed.body["plan"]["name"], changed.body["plan"]["description"]) == ("new", "words")
    started = member("PUT", f"plans/{plan['id']}", {"plan": {"status": "started"}}).body["plan"]
    assert started["status"] == "started"
    refused = member("PUT", f"plans/{plan['id']}", {"plan": {"name": "again"}})
    assert refused.status == 400
    assert "suspended" in refused.message

    gone = member("DELETE", f"plans/{plan['id']}")
    assert (gone.status, gone.body) == (200, None)
    assert member("GET", f"plans/{plan['id']}").status == 404
    assert member("DELETE", f"plans/{plan['id']}").status == 404
    assert member("PUT", f"plans/{plan['id']}", {"plan": {"name": "x"}}).status == 404


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": None}, "name"),
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"name": "a\x00b"}, "characters"),
        ({"name": "\ud800"}, "characters"),
        ({"description": "bell\x07"}, "description"),
        ({"provider_id": "nonsense"}, "provider_id"),
        ({"provider_id": NOWHERE}, "The provider could not be found."),
        ({"resources": []}, "resources"),
        ({"resources": [{"id": "x"}]}, "required"),
        ({"resources": [{"id": "x", "type": "OS::No::Such", "name": "x"}]}, "OS::No::Such"),
        ({"parameters": {"Refloat::Noop": {"x": 1.5}}}, "1.5"),
        ({"parameters": {"Refloat::Noop": {"unknown": 1}}}, "unknown"),
        ({"parameters": {"OS::No::Such": {"x": 1}}}, "OS::No::Such"),
        ({"parameters": {"bad/key": {"x": 1}}}, "bad/key"),
        ({"unexpected": 1}, "unexpected"),
    ],
)
def test_what_makes_no_plan(member: User, change: dict[str, Any], words: str) -> None:
    answer = member("POST", "plans", {"plan": BODY["plan"] | change})
    assert answer.status == 400
    assert words in answer.message
    assert member("GET", "plans").body == {"plans": []}


@pytest.mark.parametrize("missing", ["name", "provider_id", "resources", "parameters"])
def test_what_a_plan_needs(member: User, missing: str) -> None:
    plan = {name: value for name, value in BODY["plan"].items() if name != missing}
    answer = member("POST", "plans", {"plan": plan})
    assert answer.status == 400
    assert missing in answer.message


@pytest.mark.parametrize("body", [{"plan": {}}, {}, {"plan": {"provider_id": "x"}}, [], {"plan": None}])
def test_what_changes_no_plan(member: User, body: Any) -> None:
    plan = member.plan()
    assert member("PUT", f"plans/{plan['id']}", body).status == 400
    assert member("GET", f"plans/{plan['id']}").body == {"plan": plan}


def test_two_users_start_one_plan_at_once(service: Running) -> None:
    member = service.user()
    plan = member.plan()
    statuses: list[int] = []

    def start(name: str) -> None:
        body = {"plan": {"status": "started", "name": name}}
        statuses.append(service.user(name=name)("PUT", f"plans/{plan['id']}", body).status)

    threads = [threading.Thread(target=start, args=(f"user {n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] + [400] * 5


def test_page_by_page(member: User) -> None:
    made = [member.plan(f"plan {n:02}")["id"] for n in range(7)]
    everything = [plan["id"] for plan in member("GET", "plans").body["plans"]]
    assert sorted(everything) == sorted(made)
    for sort in ("", "&sort=name:asc", "&sort=status,name:desc", "&sort_key=id&sort_dir=asc"):
        whole = [plan["id"] for plan in member("GET", f"plans?x=1{sort}").body["plans"]]
        seen: list[str] = []
        path = f"plans?limit=3{sort}"
        while path:
            page = member("GET", path).body
            seen += [plan["id"] for plan in page["plans"]]
            links = page.get("plans_links", [])
            assert len(links) == (len(page["plans"]) == 3)
            path = links[0]["href"].partition("//")[2].partition("/")[2] if links else ""
            path = f"/{path}" if path else ""
        assert seen == whole
    names = [plan["name"] for plan in member("GET", "plans?sort=name:asc&offset=2&limit=2").body["plans"]]
    assert names == ["plan 02", "plan 03"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("limit=0", 400),
        ("limit=-1", 400),
        ("limit=x", 400),
        ("limit=" + "9" * 30, 200),
        ("limit=5000", 200),
        ("marker=" + NOWHERE, 404),
        ("offset=-1", 400),
        ("offset=99999999999", 400),
        ("sort=secret:asc", 400),
        ("sort=name:sideways", 400),
        ("sort=name&sort_key=id", 400),
        ("all_tenants=perhaps", 400),
        ("unknown=1", 200),
        ("name=%00", 400),
        ("name=%ff%fe", 200),
    ],
)
def test_queries(member: User, query: str, status: int) -> None:
    assert member("GET", f"plans?{query}").status == status


def test_filters(member: User) -> None:
    member.plan("red one")
    member.plan("blue 100%", description="like water")

    def names(query: str) -> list[str]:
        return [plan["name"] for plan in member("GET", f"plans?{query}").body["plans"]]

    assert names("name=red") == ["red one"]
    assert names("name=100%25") == ["blue 100%"]
    assert names("name=%25") == ["blue 100%"]
    assert names("description=water") == ["blue 100%"]
    assert names("status=started") == []
    assert len(names("status=suspended")) == 2


def test_administrators_see_all_projects_when_they_ask(service: Running) -> None:
    service.user().plan("a")
    service.user(project=OTHER).plan("b")
    admin = service.user(project="f" * 32, roles="admin")

    def names(user: User, query: str) -> set[str]:
        return {plan["name"] for plan in user("GET", f"plans?{query}").body["plans"]}

    assert names(admin, "") == set()
    for true in ("1", "True", "yes", "t"):
        assert names(admin, f"all_tenants={true}") == {"a", "b"}
    assert names(admin, f"all_tenants=1&project_id={DEMO}") == {"a"}
    assert names(service.user(), "all_tenants=1") == {"a"}
    assert names(service.user(), f"all_tenants=1&project_id={OTHER}") == {"a"}


def test_a_plan_may_name_what_carries_a_tag(member: User) -> None:
    chosen = {"type": "OS::Nova::Server", "select": "metadata:tier=1"}
    made = member.plan(provider=DEFAULT, resources=[chosen])
    assert made["resources"] == [chosen]
    plan = {**BODY["plan"], "resources": [{**chosen, "id": "x", "name": "y"}]}
    assert member("POST", "plans", {"plan": plan}).status == 400


def test_parameters_of_a_plan_change_while_it_is_suspended(member: User) -> None:
    made = member.plan(provider=DEFAULT)
    changed = member(
        "PUT",
        f"plans/{made['id']}",
        {"plan": {"parameters": {"OS::Cinder::Volume": {"backup_mode": "full"}}}},
    )
    assert changed.body["plan"]["parameters"] == {"OS::Cinder::Volume": {"backup_mode": "full"}}
    assert changed.body["plan"]["created_at"] == made["created_at"]
    wrong = member(
        "PUT", f"plans/{made['id']}", {"plan": {"parameters": {"OS::Cinder::Volume": {"colour": "red"}}}}
    )
    assert (wrong.status, "colour" in wrong.message) == (400, True)

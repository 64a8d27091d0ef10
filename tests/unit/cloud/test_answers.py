"""A 404 counts only when the service itself says it: what stands before it may know nothing of it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

import pytest
import requests

from refloat.cloud.answers import judged
from refloat.cloud.authority import SessionCloud
from refloat.cloud.errors import status_of
from refloat.cloud.removal import removal
from refloat.errors import CloudError, NotFound
from tests.unit.doubles.openstack import PROJECT, USER
from tests.unit.doubles.world import World

HAPROXY = b"<html><body><h1>404 Not Found</h1>\nNo such backend.\n</body></html>\n"
GATEWAY = b'{"message": "no Route matched with those values"}'
SHAPES = {
    "nova": ({}, {"itemNotFound": {"code": 404, "message": "Instance x could not be found."}}),
    "nova, an extension": (
        {"x-compute-request-id": "req-1"},
        {"message": "The resource could not be found."},
    ),
    "keystone": ({}, {"error": {"code": 404, "message": "Could not find trust", "title": "Not Found"}}),
    "neutron": ({}, {"NeutronError": {"type": "PortNotFound", "message": "...", "detail": ""}}),
    "octavia": ({}, {"faultcode": "Client", "faultstring": "Load balancer x not found.", "debuginfo": None}),
    "barbican": ({}, {"code": 404, "title": "Not Found", "description": "Secret not found."}),
    "glance": ({"X-Openstack-Request-Id": "req-1"}, b"<html><title>404 Not Found</title></html>"),
    "swift": ({"X-Trans-Id": "tx1"}, b"<html><h1>Not Found</h1></html>"),
    "swift, HEAD": ({"X-Trans-Id": "tx1"}, b""),
}


def answer(headers: Mapping[str, str], body: object, status: int = 404) -> requests.Response:
    made = requests.Response()
    made.status_code = status
    made.headers.update(headers)
    made._content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return made


@pytest.mark.parametrize("service", SHAPES)
def test_what_services_say_themselves(service: str) -> None:
    headers, body = SHAPES[service]
    assert judged(answer(headers, body)).status_code == 404


@pytest.mark.parametrize("body", [HAPROXY, GATEWAY, b"", b"404 page not found", b"[]", b'{"error": "gone"}'])
def test_what_something_before_them_says(body: bytes) -> None:
    found = judged(answer({"Server": "nginx/1.22.1"}, body))
    assert found.status_code == 502
    assert "nginx/1.22.1" in found.json()["error"]["message"]
    assert judged(answer({}, body, 409)).status_code == 409


@pytest.mark.parametrize("kind", ["keypair", "volume", "network", "share", "database_instance"])
def test_nothing_is_gone_because_a_proxy_does_not_find_the_service(world: World, kind: str) -> None:
    """Neither for who looks, nor for who removes, waits for the end, or undoes."""
    cloud, identity = world.cloud(), str(uuid.uuid4())
    assert cloud.find(kind, identity) is None
    assert not cloud.remove(kind, identity)
    for body in (HAPROXY, GATEWAY):
        for double in world.doubles:
            double.hidden = b"" if double is world.keystone else body
        for ask in (cloud.find, cloud.get, cloud.remove):
            with pytest.raises(CloudError, match="not the service itself answered") as told:
                ask(kind, identity)
            assert not isinstance(told.value, NotFound)
            assert status_of(told.value) == 502
        with pytest.raises(CloudError, match="not the service itself"):
            list(removal(cloud, kind, identity))
    with pytest.raises(CloudError, match="not the service itself"):
        cloud.wait_gone(kind, identity).result()
    cloud.close()


def test_a_session_that_was_handed_in_judges_too(world: World) -> None:
    """As of a trust, or of a request's token."""
    auth: Any = world.cloud().connection.session.auth
    for timeout in (None, 5.0):
        cloud = SessionCloud(auth, PROJECT, auth_url=f"{world.keystone.url}/v3", timeout=timeout)
        assert cloud.find("keypair", USER) is None
        world.nova.hidden = HAPROXY
        with pytest.raises(CloudError, match="not the service itself answered"):
            cloud.find("keypair", USER)
        world.nova.hidden = b""
        cloud.close()


def test_a_cluster_is_asked_the_same(world: World) -> None:
    cloud = world.cloud()
    assert cloud.find("pod", "web") is None
    for body in (HAPROXY, GATEWAY):
        world.kubernetes.hidden = body
        with pytest.raises(CloudError, match="not the cluster itself answered"):
            cloud.find("pod", "web")

"""Keystone, and as much of Cinder and Neutron as finding volumes and networks takes."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, ClassVar

from refloat.resources.keypair import ssh_fingerprint
from tests.unit.doubles.server import Answer, Double, Refusal, Request, Route

PROJECT = "0123456789abcdef0123456789abcdef"
USER = "fedcba9876543210fedcba9876543210"


_REQUEST = "req-00000000-0000-4000-8000-000000000000"


class OpenStackDouble(Double):
    """A service that words its errors as Nova, Cinder, Manila and Trove do."""

    signs: ClassVar[Mapping[str, str]] = {
        "X-Compute-Request-Id": _REQUEST,
        "X-Openstack-Request-Id": _REQUEST,
    }

    def refusal(self, status: int, message: str) -> Refusal:
        words = {
            400: "badRequest",
            404: "itemNotFound",
            409: "conflictingRequest",
            422: "unprocessableEntity",
        }
        return Refusal(status, {words.get(status, "computeFault"): {"code": status, "message": message}})


class Keystone(OpenStackDouble):
    """Identity API v3: anybody gets a token, for one project, with a catalog."""

    signs: ClassVar[Mapping[str, str]] = {"X-Openstack-Request-Id": _REQUEST}

    def refusal(self, status: int, message: str) -> Refusal:
        return Refusal(status, {"error": {"code": status, "message": message, "title": "Not Found"}})

    def __init__(self) -> None:
        self.catalog: dict[str, str] = {}
        self.roles = ["member"]
        super().__init__()

    def routes(self) -> list[Route]:
        return [("GET", "/v3/?", self._version), ("POST", "/v3/auth/tokens", self._token)]

    def _version(self, _request: Request) -> Answer:
        links = [{"rel": "self", "href": f"{self.url}/v3/"}]
        return 200, {"version": {"id": "v3.14", "status": "stable", "links": links}}

    def _token(self, _request: Request) -> Answer:
        catalog = [
            {
                "type": kind,
                "name": kind,
                "id": kind,
                "endpoints": [
                    {"id": kind, "interface": "public", "region": "One", "region_id": "One", "url": url}
                ],
            }
            for kind, url in {"identity": f"{self.url}/v3", **self.catalog}.items()
        ]
        domain = {"id": "default", "name": "Default"}
        token = {
            "methods": ["password"],
            "user": {"id": USER, "name": "somebody", "domain": domain},
            "project": {"id": PROJECT, "name": "shop", "domain": domain},
            "roles": [{"id": role, "name": role} for role in self.roles],
            "catalog": catalog,
            "issued_at": "2026-01-01T00:00:00.000000Z",
            "expires_at": "2099-01-01T00:00:00.000000Z",
        }
        return 201, {"token": token}, {"X-Subject-Token": "token"}


class Cinder(OpenStackDouble):
    """Block Storage API v3: a list of volumes."""

    def __init__(self) -> None:
        self.volumes: list[dict[str, Any]] = []
        super().__init__()

    def routes(self) -> list[Route]:
        return [
            ("GET", "/v3/?", self._version),
            ("GET", f"/v3/(?:{PROJECT}/)?volumes/detail", lambda _request: (200, {"volumes": self.volumes})),
            ("GET", f"/v3/(?:{PROJECT}/)?volumes/([^/]+)", self._volume),
        ]

    def _volume(self, _request: Request, identity: str) -> Answer:
        for volume in self.volumes:
            if volume["id"] == identity:
                return 200, {"volume": volume}
        raise self.refusal(404, f"Volume {identity} could not be found.")

    def _version(self, _request: Request) -> Answer:
        version = {
            "id": "v3.0",
            "status": "CURRENT",
            "version": "3.71",
            "min_version": "3.0",
            "links": [{"rel": "self", "href": f"{self.url}/v3/"}],
        }
        return 200, {"versions": [version]}


class Neutron(OpenStackDouble):
    """Networking API v2: networks by id, address groups."""

    signs: ClassVar[Mapping[str, str]] = {"X-Openstack-Request-Id": _REQUEST}

    def refusal(self, status: int, message: str) -> Refusal:
        return Refusal(status, {"NeutronError": {"type": "NotFound", "message": message, "detail": ""}})

    def __init__(self) -> None:
        self.networks: dict[str, dict[str, Any]] = {}
        self.groups: dict[str, dict[str, Any]] = {}
        super().__init__()

    def routes(self) -> list[Route]:
        return [
            ("GET", "/", self._version),
            (
                "GET",
                r"/v2\.0/networks",
                lambda _request: (200, {"networks": list(self.networks.values())}),
            ),
            ("GET", r"/v2\.0/networks/([^/]+)", self._network),
            ("GET", r"/v2\.0/ports", lambda _request: (200, {"ports": []})),
            (
                "GET",
                r"/v2\.0/address-groups",
                lambda _request: (200, {"address_groups": list(self.groups.values())}),
            ),
            ("POST", r"/v2\.0/address-groups", self._create_group),
            ("GET", r"/v2\.0/address-groups/([^/]+)", self._group),
            ("PUT", r"/v2\.0/address-groups/([^/]+)", self._group),
            ("DELETE", r"/v2\.0/address-groups/([^/]+)", self._delete_group),
        ]

    def _version(self, _request: Request) -> Answer:
        links = [{"rel": "self", "href": f"{self.url}/v2.0/"}]
        return 200, {"versions": [{"id": "v2.0", "status": "CURRENT", "links": links}]}

    def _create_group(self, request: Request) -> Answer:
        identity = str(uuid.uuid4())
        self.groups[identity] = {"id": identity, "project_id": PROJECT, **request.body["address_group"]}
        return 201, {"address_group": self.groups[identity]}

    def _group(self, request: Request, identity: str) -> Answer:
        if identity not in self.groups:
            raise self.refusal(404, f"Address group {identity} could not be found.")
        self.groups[identity].update((request.body or {}).get("address_group", {}))
        return 200, {"address_group": self.groups[identity]}

    def _delete_group(self, request: Request, identity: str) -> Answer:
        self._group(request, identity)
        del self.groups[identity]
        return 204, None

    def _network(self, _request: Request, identity: str) -> Answer:
        if identity not in self.networks:
            raise self.refusal(404, f"Network {identity} could not be found.")
        return 200, {"network": self.networks[identity]}


class Nova(OpenStackDouble):
    """Compute API v2.1: key pairs and server groups."""

    def __init__(self) -> None:
        self.keypairs: dict[str, dict[str, Any]] = {}
        self.groups: dict[str, dict[str, Any]] = {}
        self.limit = 10
        super().__init__()

    def routes(self) -> list[Route]:
        return [
            ("GET", "/v2.1/?", self._version),
            ("GET", "/v2.1/limits", self._limits),
            ("GET", "/v2.1/os-keypairs", self._list_keypairs),
            ("POST", "/v2.1/os-keypairs", self._import_keypair),
            ("GET", "/v2.1/os-keypairs/([^/]+)", lambda _request, name: self._keypair(name)),
            ("DELETE", "/v2.1/os-keypairs/([^/]+)", lambda _request, name: self._delete(self.keypairs, name)),
            (
                "GET",
                "/v2.1/os-server-groups",
                lambda _request: (200, {"server_groups": list(self.groups.values())}),
            ),
            ("POST", "/v2.1/os-server-groups", self._create_group),
            ("GET", "/v2.1/os-server-groups/([^/]+)", lambda _request, identity: self._group(identity)),
            (
                "DELETE",
                "/v2.1/os-server-groups/([^/]+)",
                lambda _request, identity: self._delete(self.groups, identity),
            ),
        ]

    def _version(self, _request: Request) -> Answer:
        version = {
            "id": "v2.1",
            "status": "CURRENT",
            "version": "2.100",
            "min_version": "2.1",
            "links": [{"rel": "self", "href": f"{self.url}/v2.1/"}],
        }
        return 200, {"version": version}

    def _limits(self, _request: Request) -> Answer:
        used = {"maxServerGroups": self.limit, "totalServerGroupsUsed": len(self.groups)}
        return 200, {"limits": {"rate": [], "absolute": used}}

    def _list_keypairs(self, _request: Request) -> Answer:
        return 200, {"keypairs": [{"keypair": keypair} for keypair in self.keypairs.values()]}

    def _import_keypair(self, request: Request) -> Answer:
        wanted = request.body["keypair"]
        if wanted["name"] in self.keypairs:
            raise self.refusal(409, f"Key pair '{wanted['name']}' already exists.")
        fingerprint = ssh_fingerprint(wanted["public_key"])
        self.keypairs[wanted["name"]] = {"type": "ssh", **wanted, "fingerprint": fingerprint, "user_id": USER}
        return 201, {"keypair": self.keypairs[wanted["name"]]}

    def _keypair(self, name: str) -> Answer:
        if name not in self.keypairs:
            raise self.refusal(404, f"Keypair {name} not found.")
        return 200, {"keypair": self.keypairs[name]}

    def _create_group(self, request: Request) -> Answer:
        wanted = request.body["server_group"]
        identity = str(uuid.uuid4())
        self.groups[identity] = {"rules": {}, **wanted, "id": identity, "members": [], "metadata": {}}
        return 200, {"server_group": self.groups[identity]}

    def _group(self, identity: str) -> Answer:
        if identity not in self.groups:
            raise self.refusal(404, f"Instance group {identity} could not be found.")
        return 200, {"server_group": self.groups[identity]}

    def _delete(self, things: dict[str, dict[str, Any]], identity: str) -> Answer:
        if identity not in things:
            raise self.refusal(404, f"{identity} could not be found.")
        del things[identity]
        return 204, None

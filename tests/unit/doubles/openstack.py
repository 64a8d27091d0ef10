"""Keystone, and as much of Cinder and Neutron as finding volumes and networks takes."""

from __future__ import annotations

from typing import Any

from tests.unit.doubles.server import Answer, Double, Refusal, Request, Route

PROJECT = "0123456789abcdef0123456789abcdef"
USER = "fedcba9876543210fedcba9876543210"


class OpenStackDouble(Double):
    """A service that words its errors as OpenStack's do."""

    def refusal(self, status: int, message: str) -> Refusal:
        return Refusal(status, {"error": {"code": status, "message": message}})


class Keystone(OpenStackDouble):
    """Identity API v3: anybody gets a token, for one project, with a catalog."""

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
        ]

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
    """Networking API v2: networks by id."""

    def __init__(self) -> None:
        self.networks: dict[str, dict[str, Any]] = {}
        super().__init__()

    def routes(self) -> list[Route]:
        return [
            ("GET", "/", self._version),
            ("GET", r"/v2\.0/networks/([^/]+)", self._network),
            ("GET", r"/v2\.0/ports", lambda _request: (200, {"ports": []})),
        ]

    def _version(self, _request: Request) -> Answer:
        links = [{"rel": "self", "href": f"{self.url}/v2.0/"}]
        return 200, {"versions": [{"id": "v2.0", "status": "CURRENT", "links": links}]}

    def _network(self, _request: Request, identity: str) -> Answer:
        if identity not in self.networks:
            raise self.refusal(404, f"Network {identity} could not be found.")
        return 200, {"network": self.networks[identity]}

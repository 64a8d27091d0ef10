"""Trove: Database API v1.0.

From the API reference (docs.openstack.org/api-ref/database). A thing that is being made is ready, and one
that is being deleted is gone, when it is looked at for the second time. Lists come in pages of two.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, ClassVar

from tests.unit.doubles.openstack import PROJECT, OpenStackDouble
from tests.unit.doubles.server import Answer, Request, Route

FLAVOR = "d2"
DATASTORE = {"type": "mysql", "version": "8.0.39"}
_ID = "([^/]+)"
_BASE = f"/v1.0/{PROJECT}"


class Trove(OpenStackDouble):
    """Instances with their databases and users, and backups of them."""

    signs: ClassVar[Mapping[str, str]] = {}

    def __init__(self) -> None:
        self.instances: dict[str, dict[str, Any]] = {}
        self.backups: dict[str, dict[str, Any]] = {}
        self.flavors = [{"id": FLAVOR, "name": "small"}]
        self.configurations: dict[str, dict[str, Any]] = {}
        self.content: dict[str, Any] = {}
        super().__init__()

    def routes(self) -> list[Route]:
        return [
            ("GET", "/", self._version),
            ("GET", f"{_BASE}/instances", self._list_instances),
            ("POST", f"{_BASE}/instances", self._create_instance),
            ("GET", f"{_BASE}/instances/{_ID}", self._show_instance),
            ("DELETE", f"{_BASE}/instances/{_ID}", self._delete_instance),
            ("GET", f"{_BASE}/backups", self._list_backups),
            ("POST", f"{_BASE}/backups", self._create_backup),
            ("GET", f"{_BASE}/backups/{_ID}", self._show_backup),
            ("DELETE", f"{_BASE}/backups/{_ID}", self._delete_backup),
            ("GET", f"{_BASE}/flavors", lambda _request: (200, {"flavors": self.flavors})),
            ("GET", f"{_BASE}/configurations", self._list_configurations),
        ]

    def make_instance(self, name: str, content: Any, network: str = "", **fields: Any) -> str:
        """An instance that is there already; returns its id."""
        identity = str(uuid.uuid4())
        address = {"address": "10.0.0.9", "type": "private"} | ({"network": network} if network else {})
        self.instances[identity] = {
            "id": identity,
            "name": name,
            "status": "ACTIVE",
            "flavor": {"id": FLAVOR, "links": []},
            "volume": {"size": 5, "used": 0.2},
            "datastore": DATASTORE,
            "addresses": [address],
            "ip": ["10.0.0.9"],
            "access": {"is_public": False, "allowed_cidrs": ["192.0.2.0/24"]},
            "created": "2026-01-01T00:00:00",
            **fields,
        }
        self.content[identity] = content
        return identity

    def _version(self, _request: Request) -> Answer:
        links = [{"rel": "self", "href": f"{self.url}/v1.0/"}]
        return 200, {"versions": [{"id": "v1.0", "status": "CURRENT", "links": links}]}

    def _look(self, things: dict[str, dict[str, Any]], identity: str, ready: str) -> dict[str, Any]:
        if identity not in things:
            raise self.refusal(404, f"Resource {identity} cannot be found.")
        shown = dict(things[identity])
        if shown["status"] in {"BUILD", "BUILDING", "BACKUP"}:
            things[identity]["status"] = ready
        if shown["status"] == "DELETING":
            del things[identity]
        return shown

    @staticmethod
    def _page(request: Request, key: str, items: list[dict[str, Any]]) -> Answer:
        marker = request.query.get("marker")
        begin = next((number for number, item in enumerate(items, 1) if item["id"] == marker), 0)
        part = items[begin : begin + 2]
        more = len(items) > begin + 2
        links = (
            [{"rel": "next", "href": f"http://trove/{key}?marker={part[-1]['id']}&limit=2"}] if more else []
        )
        return 200, {key: part, "links": links}

    def _list_instances(self, request: Request) -> Answer:
        looked = [self._look(self.instances, identity, "ACTIVE") for identity in list(self.instances)]
        return self._page(request, "instances", looked)

    def _show_instance(self, _request: Request, identity: str) -> Answer:
        return 200, {"instance": self._look(self.instances, identity, "ACTIVE")}

    def _create_instance(self, request: Request) -> Answer:
        wanted = request.body["instance"]
        backup = self.backups.get(wanted["restorePoint"]["backupRef"])
        if backup is None or backup["status"] != "COMPLETED":
            raise self.refusal(404, "Backup cannot be found.")
        if wanted["datastore"] != DATASTORE or wanted["flavorRef"] not in {f["id"] for f in self.flavors}:
            raise self.refusal(400, "The datastore or the flavor does not fit.")
        configuration = self.configurations.get(wanted.get("configuration", ""))
        identity = self.make_instance(
            wanted["name"],
            self.content[backup["id"]],
            wanted["nics"][0]["network_id"] if wanted.get("nics") else "",
            status="BUILD",
            flavor={"id": wanted["flavorRef"], "links": []},
            volume={"size": wanted["volume"]["size"]},
            access=wanted["access"],
            **({"configuration": configuration} if configuration else {}),
        )
        return 200, {"instance": self.instances[identity]}

    def _delete_instance(self, _request: Request, identity: str) -> Answer:
        instance = self.instances.get(identity)
        if instance is None:
            raise self.refusal(404, f"Resource {identity} cannot be found.")
        if instance["status"] in {"BUILD", "BACKUP"}:
            raise self.refusal(422, f"Instance {identity} is not ready.")
        instance["status"] = "DELETING"
        return 202, None

    def _list_backups(self, request: Request) -> Answer:
        looked = [self._look(self.backups, identity, "COMPLETED") for identity in list(self.backups)]
        return self._page(request, "backups", looked)

    def _show_backup(self, _request: Request, identity: str) -> Answer:
        return 200, {"backup": self._look(self.backups, identity, "COMPLETED")}

    def _create_backup(self, request: Request) -> Answer:
        wanted = request.body["backup"]
        instance = self.instances[wanted["instance"]]
        if instance["status"] != "ACTIVE":
            raise self.refusal(422, f"Instance {instance['id']} is not currently available for an action.")
        identity = str(uuid.uuid4())
        self.content[identity] = self.content[instance["id"]]
        self.backups[identity] = {
            "id": identity,
            "name": wanted["name"],
            "description": wanted.get("description"),
            "instance_id": instance["id"],
            "parent_id": wanted.get("parent_id"),
            "size": 0.1,
            "status": "BUILDING",
            "datastore": DATASTORE,
        }
        instance["status"] = "BACKUP"
        return 202, {"backup": self.backups[identity]}

    def _delete_backup(self, _request: Request, identity: str) -> Answer:
        backup = self.backups.get(identity)
        if backup is None:
            raise self.refusal(404, f"Resource {identity} cannot be found.")
        if backup["status"] == "BUILDING":
            raise self.refusal(422, f"Backup {identity} cannot be deleted because it is running.")
        backup["status"] = "DELETING"
        return 202, None

    def _list_configurations(self, _request: Request) -> Answer:
        return 200, {"configurations": list(self.configurations.values())}

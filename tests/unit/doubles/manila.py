"""Manila: Shared File Systems API v2, at the microversions 2.45 and later.

From the API reference (docs.openstack.org/api-ref/shared-file-system) and how Manila 23 answered. A thing
that is being made is ready, and one that is being deleted is gone, when it is looked at for the second time.
"""

from __future__ import annotations

import uuid
from typing import Any

from tests.unit.doubles.openstack import PROJECT, OpenStackDouble
from tests.unit.doubles.server import Answer, Request, Route

TYPE = {"id": "9b1ae1d9-45b9-4a4b-9d5a-6e9f0f2f4c11", "name": "dummy"}
NETWORK = "4f7a4cd0-0d2c-4a51-8c2c-2f6a2c3e9a55"
_ID = "([^/]+)"
_BASE = r"/v2(?:/" + PROJECT + ")?"


class Manila(OpenStackDouble):
    """Shares with their content, snapshots, access rules."""

    def __init__(self) -> None:
        self.shares: dict[str, dict[str, Any]] = {}
        self.snapshots: dict[str, dict[str, Any]] = {}
        self.rules: dict[str, dict[str, Any]] = {}
        self.content: dict[str, bytes] = {}
        self.limits = {"maxTotalShares": 50, "maxTotalShareGigabytes": 1000}
        super().__init__()

    def routes(self) -> list[Route]:
        return [
            ("GET", "/v2/?", self._version),
            ("GET", f"{_BASE}/limits", self._limits),
            ("GET", f"{_BASE}/shares/detail", self._list_shares),
            ("POST", f"{_BASE}/shares", self._create_share),
            ("GET", f"{_BASE}/shares/{_ID}", self._show_share),
            ("PUT", f"{_BASE}/shares/{_ID}", self._update_share),
            ("DELETE", f"{_BASE}/shares/{_ID}", self._delete_share),
            ("PUT", f"{_BASE}/shares/{_ID}/metadata", self._replace_metadata),
            ("DELETE", f"{_BASE}/shares/{_ID}/metadata/(.+)", self._delete_metadata),
            ("POST", f"{_BASE}/shares/{_ID}/action", self._allow),
            ("GET", f"{_BASE}/shares/{_ID}/export_locations", self._locations),
            ("GET", f"{_BASE}/share-access-rules", self._list_rules),
            ("GET", f"{_BASE}/snapshots/detail", self._list_snapshots),
            ("POST", f"{_BASE}/snapshots", self._create_snapshot),
            ("GET", f"{_BASE}/snapshots/{_ID}", self._show_snapshot),
            ("PUT", f"{_BASE}/snapshots/{_ID}", self._update_snapshot),
            ("DELETE", f"{_BASE}/snapshots/{_ID}", self._delete_snapshot),
        ]

    def make_share(self, name: str, content: bytes, **fields: Any) -> str:
        """A share that is there already; returns its id."""
        identity = str(uuid.uuid4())
        self.shares[identity] = {
            "id": identity,
            "name": name,
            "description": None,
            "size": 1,
            "share_proto": "NFS",
            "share_type": TYPE["id"],
            "share_type_name": TYPE["name"],
            "share_network_id": NETWORK,
            "availability_zone": "nova",
            "metadata": {},
            "is_public": False,
            "status": "available",
            "access_rules_status": "active",
            "snapshot_support": True,
            "create_share_from_snapshot_support": True,
            "has_replicas": False,
            "share_group_id": None,
            "snapshot_id": None,
            "project_id": PROJECT,
            "created_at": "2026-01-01T00:00:00.000000",
            **fields,
        }
        self.content[identity] = content
        return identity

    def allow(self, share_id: str, to: str, level: str = "rw", kind: str = "ip", **metadata: str) -> None:
        """An access rule that is there already."""
        identity = str(uuid.uuid4())
        self.rules[identity] = {
            "id": identity,
            "share_id": share_id,
            "access_type": kind,
            "access_to": to,
            "access_level": level,
            "access_key": None,
            "state": "active",
            "metadata": metadata,
        }

    def rules_of(self, share_id: str) -> list[tuple[str, str, str, dict[str, str]]]:
        """Who is let in to a share."""
        return sorted(
            (rule["access_type"], rule["access_to"], rule["access_level"], rule["metadata"])
            for rule in self.rules.values()
            if rule["share_id"] == share_id
        )

    def _version(self, _request: Request) -> Answer:
        version = {
            "id": "v2.0",
            "status": "CURRENT",
            "version": "2.99",
            "min_version": "2.0",
            "links": [{"rel": "self", "href": f"{self.url}/v2/"}],
        }
        return 200, {"versions": [version]}

    def _limits(self, _request: Request) -> Answer:
        used = {
            "totalSharesUsed": len(self.shares),
            "totalShareGigabytesUsed": sum(share["size"] for share in self.shares.values()),
        }
        return 200, {"limits": {"rate": [], "absolute": {**self.limits, **used}}}

    def _look(self, things: dict[str, dict[str, Any]], identity: str, what: str) -> dict[str, Any]:
        """What a look at a thing shows; then it goes on."""
        if identity not in things:
            raise self.refusal(404, f"{what} {identity} could not be found.")
        shown = dict(things[identity])
        if shown["status"] == "creating":
            things[identity]["status"] = "available"
        if shown["status"] == "deleting":
            del things[identity]
        if shown.get("access_rules_status") == "syncing":
            things[identity]["access_rules_status"] = "active"
        return shown

    def _list_shares(self, _request: Request) -> Answer:
        return 200, {"shares": [self._look(self.shares, identity, "Share") for identity in list(self.shares)]}

    def _show_share(self, _request: Request, identity: str) -> Answer:
        return 200, {"share": self._look(self.shares, identity, "Share")}

    def _create_share(self, request: Request) -> Answer:
        wanted = request.body["share"]
        snapshot = self.snapshots.get(wanted.get("snapshot_id") or "")
        if snapshot is None or snapshot["status"] != "available":
            raise self.refusal(404, "Snapshot could not be found.")
        if len(self.shares) >= self.limits["maxTotalShares"]:
            raise self.refusal(413, "Maximum number of shares allowed exceeded.")
        parent = self.shares[snapshot["share_id"]]
        if wanted["size"] < snapshot["size"] or wanted["share_proto"] != parent["share_proto"]:
            raise self.refusal(400, "Invalid input received")
        identity = self.make_share(
            wanted.get("name"),
            self.content[snapshot["id"]],
            description=wanted.get("description"),
            size=wanted["size"],
            share_proto=wanted["share_proto"],
            share_type=parent["share_type"],
            share_type_name=parent["share_type_name"],
            share_network_id=parent["share_network_id"],
            availability_zone=wanted.get("availability_zone") or "nova",
            metadata=wanted.get("metadata") or {},
            status="creating",
            snapshot_id=snapshot["id"],
        )
        return 200, {"share": self.shares[identity]}

    def _update_share(self, request: Request, identity: str) -> Answer:
        changes = request.body["share"]
        if changes.get("is_public"):
            raise self.refusal(403, "Policy doesn't allow share:set_public_share to be performed.")
        self.shares[identity].update(changes)
        return 200, {"share": self.shares[identity]}

    def _delete_share(self, _request: Request, identity: str) -> Answer:
        share = self.shares.get(identity)
        if share is None:
            raise self.refusal(404, f"Share {identity} could not be found.")
        number = sum(snapshot["share_id"] == identity for snapshot in self.snapshots.values())
        if number:
            raise self.refusal(403, f"Invalid share: Share still has {number} dependent snapshots.")
        if share["status"] not in {"available", "error"}:
            raise self.refusal(403, "Invalid share: Share status must be one of ('available', 'error').")
        share["status"] = "deleting"
        return 202, None

    def _delete_metadata(self, _request: Request, identity: str, key: str) -> Answer:
        if self.shares[identity]["metadata"].pop(key, None) is None:
            raise self.refusal(404, f"Metadata item {key} could not be found.")
        return 200, {}

    def _replace_metadata(self, request: Request, identity: str) -> Answer:
        self.shares[identity]["metadata"] = request.body["metadata"]
        return 200, {"metadata": request.body["metadata"]}

    def _allow(self, request: Request, identity: str) -> Answer:
        wanted = request.body["allow_access"]
        if (wanted["access_type"], wanted["access_to"]) in {rule[:2] for rule in self.rules_of(identity)}:
            raise self.refusal(400, f"Share access {wanted['access_type']}:{wanted['access_to']} exists.")
        self.allow(
            identity,
            wanted["access_to"],
            wanted.get("access_level", "rw"),
            wanted["access_type"],
            **wanted.get("metadata", {}),
        )
        self.shares[identity]["access_rules_status"] = "syncing"
        return 200, {"access": list(self.rules.values())[-1]}

    def _list_rules(self, request: Request) -> Answer:
        version = request.headers.get("X-OpenStack-Manila-API-Version", "2.0")
        if tuple(map(int, version.split("."))) < (2, 45):
            raise self.refusal(404, "Version is not supported by the API.")
        found = [rule for rule in self.rules.values() if rule["share_id"] == request.query["share_id"]]
        return 200, {"access_list": found}

    def _locations(self, _request: Request, identity: str) -> Answer:
        path = f"192.0.2.9:/shares/{identity}"
        return 200, {"export_locations": [{"id": identity, "path": path, "preferred": True}]}

    def _list_snapshots(self, request: Request) -> Answer:
        share = request.query.get("share_id")
        chosen = [i for i, item in self.snapshots.items() if share in (None, item["share_id"])]
        return 200, {"snapshots": [self._look(self.snapshots, identity, "Snapshot") for identity in chosen]}

    def _show_snapshot(self, _request: Request, identity: str) -> Answer:
        return 200, {"snapshot": self._look(self.snapshots, identity, "Snapshot")}

    def _create_snapshot(self, request: Request) -> Answer:
        wanted = request.body["snapshot"]
        share = self.shares[wanted["share_id"]]
        if not share["snapshot_support"]:
            raise self.refusal(422, "Share does not support snapshots.")
        if share["status"] != "available" and not wanted.get("force"):
            raise self.refusal(400, f"The source share status must be available, not {share['status']}.")
        identity = str(uuid.uuid4())
        self.content[identity] = self.content[share["id"]]
        self.snapshots[identity] = {
            "id": identity,
            "name": wanted.get("name"),
            "description": wanted.get("description"),
            "share_id": share["id"],
            "share_proto": share["share_proto"],
            "share_size": share["size"],
            "size": share["size"],
            "status": "creating",
            "project_id": PROJECT,
        }
        return 202, {"snapshot": self.snapshots[identity]}

    def _update_snapshot(self, request: Request, identity: str) -> Answer:
        changes = request.body["snapshot"]
        names = {"display_name": "name", "display_description": "description"}
        self.snapshots[identity].update({names[key]: value for key, value in changes.items()})
        return 200, {"snapshot": self.snapshots[identity]}

    def _delete_snapshot(self, _request: Request, identity: str) -> Answer:
        if identity not in self.snapshots:
            raise self.refusal(404, f"Snapshot {identity} could not be found.")
        self.snapshots[identity]["status"] = "deleting"
        return 202, None

"""A service that nobody knows: its things have a ``provisioning_status``, it keeps a quota of its own."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, ClassVar

from tests.unit.doubles.openstack import OpenStackDouble
from tests.unit.doubles.server import Answer, Request, Route

LOOKS = 3
"""So often is a thing looked at before it is ready, or gone."""


class Gadgets(OpenStackDouble):
    """Gadgets by id.

    :ivar most_pending: so many were being made at once.
    """

    signs: ClassVar[Mapping[str, str]] = {}

    def __init__(self) -> None:
        self.gadgets: dict[str, dict[str, Any]] = {}
        self.limit = 100
        self.most_pending = 0
        self._looks: dict[str, int] = {}
        super().__init__()

    def routes(self) -> list[Route]:
        one = "/v1/gadgets/([^/]+)"
        return [
            ("GET", "/v1/quota", self._quota),
            ("GET", "/v1/gadgets", self._list),
            ("POST", "/v1/gadgets", self._create),
            ("GET", one, lambda _request, identity: (200, {"gadget": self._look(identity)})),
            ("PUT", one, self._update),
            ("DELETE", one, self._delete),
        ]

    def make(self, name: str, **fields: Any) -> str:
        """One that is there already; returns its id."""
        identity = str(uuid.uuid4())
        usual = {"description": "", "size": 1, "colours": [], "provisioning_status": "ACTIVE"}
        serial = f"serial {identity}"
        self.gadgets[identity] = {"id": identity, "name": name, **usual, **fields, "serial": serial}
        return identity

    def settings(self) -> list[tuple[Any, ...]]:
        """What can be compared of all that there are."""
        items = ("name", "description", "size", "colours", "provisioning_status")
        return sorted(tuple(gadget[item] for item in items) for gadget in self.gadgets.values())

    def _look(self, identity: str) -> dict[str, Any]:
        """What a look at one shows; then it goes on."""
        gadget = self.gadgets.get(identity)
        if gadget is None:
            raise self.refusal(404, f"Gadget {identity} could not be found.")
        shown = dict(gadget)
        self._looks[identity] = self._looks.get(identity, 0) + 1
        if self._looks[identity] >= LOOKS:
            if gadget["provisioning_status"] == "PENDING_DELETE":
                del self.gadgets[identity]
            elif gadget["provisioning_status"].startswith("PENDING"):
                gadget["provisioning_status"] = "ACTIVE"
        return shown

    def _quota(self, _request: Request) -> Answer:
        return 200, {"quota": {"limit": self.limit, "in_use": len(self.gadgets)}}

    def _list(self, _request: Request) -> Answer:
        return 200, {"gadgets": [self._look(identity) for identity in list(self.gadgets)]}

    def _create(self, request: Request) -> Answer:
        wanted = request.body["gadget"]
        unknown = wanted.keys() - {"name", "description", "size", "colours"}
        if unknown:
            raise self.refusal(400, f"Gadgets have no {', '.join(sorted(unknown))}.")
        if len(self.gadgets) >= self.limit:
            raise self.refusal(403, "Quota exceeded for gadgets.")
        identity = self.make(**wanted, provisioning_status="PENDING_CREATE")
        pending = [g for g in self.gadgets.values() if g["provisioning_status"] == "PENDING_CREATE"]
        self.most_pending = max(self.most_pending, len(pending))
        return 201, {"gadget": self.gadgets[identity]}

    def _update(self, request: Request, identity: str) -> Answer:
        gadget = self.gadgets[identity]
        if gadget["provisioning_status"] != "ACTIVE":
            raise self.refusal(409, f"Gadget {identity} is immutable and cannot be updated.")
        gadget.update(request.body["gadget"])
        return 200, {"gadget": gadget}

    def _delete(self, _request: Request, identity: str) -> Answer:
        gadget = self.gadgets.get(identity)
        if gadget is None:
            raise self.refusal(404, f"Gadget {identity} could not be found.")
        if gadget["provisioning_status"].startswith("PENDING"):
            raise self.refusal(409, f"Gadget {identity} is immutable and cannot be deleted.")
        gadget["provisioning_status"] = "PENDING_DELETE"
        self._looks[identity] = 0
        return 204, None

"""A scheduled operation on a real cloud: it runs when its owner is gone, and says so when it may no more."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import openstack

from demo.service import SECONDS, Caller
from tests.projects import project_of

DEFAULT = "8d0c3f0e-6f3b-4f0e-9a53-0d5d3c1a7b01"


class Owner(Caller):
    """A member of the project who is there for this test alone."""

    def __init__(self, url: str, admin: Any, project_id: str) -> None:
        name, password = f"schedules-{secrets.token_hex(4)}", secrets.token_hex(16)
        self.user = admin.identity.create_user(name=name, password=password, domain_id="default")
        self.role = admin.identity.find_role("member")
        admin.identity.assign_project_role_to_user(project=project_id, user=self.user, role=self.role)
        auth = dict(admin.config.auth) | {"username": name, "password": password, "project_id": project_id}
        for left_out in ("project_name", "project_domain_name", "project_domain_id"):
            auth.pop(left_out, None)
        self.cloud = openstack.connect(
            auth=auth, region_name=admin.config.region_name, interface="public", api_timeout=180
        )
        self.url = f"{url}/{project_id}"

    def revoke_token(self) -> None:
        """The token is good for nothing any more, and no other is asked for."""
        session = self.cloud.session
        identity = {"service_type": "identity", "interface": "public"}
        headers = {"X-Subject-Token": session.get_token()}
        session.delete("/auth/tokens", endpoint_filter=identity, headers=headers)


def until(caller: Caller, path: str, wanted: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + SECONDS
    while not wanted(found := caller.ok("GET", path)):
        assert time.monotonic() < deadline, found
        time.sleep(0.5)
    return found


def test_it_runs_with_its_trust_and_says_when_that_is_gone(deployed: str, admin: Any) -> None:
    other = Caller(deployed, project_of(__file__))
    project_id = other.cloud.current_project_id
    network = other.cloud.network.create_network(name="schedules")
    owner = Owner(deployed, admin, project_id)
    try:
        resource = {"type": "OS::Neutron::Network", "id": network.id, "name": "schedules"}
        plan = {"name": "s", "provider_id": DEFAULT, "resources": [resource], "parameters": {}}
        plan_id = owner.ok("POST", "plans", {"plan": plan})["id"]
        soon = datetime.now(UTC) + timedelta(seconds=8)
        properties = {
            "format": "calendar",
            "pattern": "BEGIN:VEVENT\\nRRULE:FREQ=DAILY\\nEND:VEVENT",
            "start_time": f"{soon:%Y-%m-%d %H:%M:%S}",
        }
        body = {"name": "t", "type": "time", "properties": properties}
        trigger = owner.ok("POST", "triggers", {"trigger_info": body})
        wanted = {
            "name": "s",
            "operation_type": "protect",
            "trigger_id": trigger["id"],
            "operation_definition": {"provider_id": DEFAULT, "plan_id": plan_id},
        }
        one = owner.ok("POST", "scheduled_operations", {"scheduled_operation": wanted})
        (trust,) = owner.trusts()
        identity = {"service_type": "identity", "interface": "public"}
        answer = owner.cloud.session.get(f"/OS-TRUST/trusts/{trust['id']}", endpoint_filter=identity)
        assert [role["name"] for role in answer.json()["trust"]["roles"]] == ["member"]  # the least
        owner.revoke_token()

        path = f"scheduled_operations/{one['id']}"
        found = until(other, path, lambda found: any(run["ended_at"] for run in found["last_runs"]))
        (run,) = found["last_runs"]
        assert (run["state"], run["manual"], run["due_at"]) == ("succeeded", False, properties["start_time"])
        checkpoint = other.ok("GET", f"providers/{DEFAULT}/checkpoints/{run['checkpoint_id']}")
        assert checkpoint["status"] == "available"
        assert network.id in checkpoint["resource_graph"]

        admin.identity.unassign_project_role_from_user(project=project_id, user=owner.user, role=owner.role)
        other.ok("POST", f"{path}/action", {"run": {}})
        found = until(
            other, path, lambda found: sum(bool(run["ended_at"]) for run in found["last_runs"]) == 2
        )
        run = found["last_runs"][0]
        assert run["state"] == "failed"
        log = other.ok("GET", f"operation_logs/{run['operation_id']}")
        assert (log["status"], log["scheduled_operation_id"]) == ("error", one["id"])
        for words in (found["status_reason"], run["reason"], log["error_info"]):
            assert "the trust is good for nothing any more" in words
            assert "somebody who has the role must enable the schedule again" in words

        # Somebody who has the role enables it, and it runs.
        before = {trust["id"] for trust in other.trusts()}
        other.ok("PUT", path, {"scheduled_operation": {"enabled": True}})
        made = {trust["id"] for trust in other.trusts()} - before
        other.ok("POST", f"{path}/action", {"run": {}})
        found = until(
            other, path, lambda found: sum(bool(run["ended_at"]) for run in found["last_runs"]) == 3
        )
        assert (found["last_runs"][0]["state"], found["status_reason"]) == ("succeeded", None)
        other.ok("DELETE", path)
        assert made - {trust["id"] for trust in other.trusts()}
    finally:
        admin.identity.delete_user(owner.user)
        other.cloud.network.delete_network(network)

"""The main job by the service alone: plain HTTP, with tokens that are revoked once something has begun."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import openstack

from demo.application import SERVERS, Application
from demo.build import find_server, wait_for_guests
from demo.command import Command
from demo.describe import Describer
from demo.inventory import inventory
from demo.mainjob import MainJob
from demo.waiting import TooLong

SECONDS = 900


class Refused(Exception):
    """The service has refused something, or could not do it."""


class Caller:
    """A user of the service, with a token of its own."""

    def __init__(self, url: str, name: str) -> None:
        self.cloud = openstack.connect(cloud=name, api_timeout=180)
        self.url = f"{url}/{self.cloud.current_project_id}"

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request; the status and the JSON of the answer."""
        answer = self.cloud.session.request(f"{self.url}/{path}", method, json=body, raise_exc=False)
        return answer.status_code, answer.json() if answer.content else None

    def ok(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request; what the answer holds. :raises Refused: the status is not 200."""
        status, found = self(method, path, body)
        if status != 200:
            raise Refused(f"{method} {path}: {status} {found}")
        return next(iter(found.values())) if found else None

    def until(self, path: str, *wanted: str) -> Any:
        """Ask until the status of a thing is one of some. :raises TooLong: it does not come to that."""
        deadline = time.monotonic() + SECONDS
        while (found := self.ok("GET", path))["status"] not in wanted:
            if time.monotonic() > deadline:
                raise TooLong(f"{path} is still {found['status']}")
            time.sleep(0.5)
        return found

    def protected(self, provider: str, resources: list[dict[str, str]]) -> Any:
        """A finished checkpoint."""
        plan = {"name": "elsewhere", "provider_id": provider, "resources": resources, "parameters": {}}
        plan_id = self.ok("POST", "plans", {"plan": plan})["id"]
        path = f"providers/{provider}/checkpoints"
        made = self.ok("POST", path, {"checkpoint": {"plan_id": plan_id}})
        done = self.until(f"{path}/{made['id']}", "available", "error")
        if done["status"] != "available":
            raise Refused(f"the checkpoint is in {done['status']}: {done['error_info']}")
        return done

    def restored(self, wanted: dict[str, Any]) -> Any:
        """A finished restore."""
        restore = self.ok("POST", "restores", {"restore": wanted})
        done = self.until(f"restores/{restore['id']}", "success", "fail")
        if done["status"] != "success":
            raise Refused(f"the restore has failed: {done['error_info']}")
        return done

    def new_token(self) -> None:
        """Revoke the token; the next request asks for another."""
        session = self.cloud.session
        token = session.get_token()
        headers = {"X-Subject-Token": token}
        identity = {"service_type": "identity", "interface": "public"}
        session.delete("/auth/tokens", endpoint_filter=identity, headers=headers)
        session.invalidate()

    def trusts(self) -> list[Any]:
        """What the user has delegated."""
        identity = {"service_type": "identity", "interface": "public"}
        query = {"trustor_user_id": self.cloud.current_user_id}
        answer = self.cloud.session.get("/OS-TRUST/trusts", endpoint_filter=identity, params=query)
        return list(answer.json()["trusts"])


class ServiceJob(MainJob):
    """The main job, by one who has nothing but the service's URL.

    :param url: where the service is: ``http://HOST:8799/v1``.
    :param manager_cloud: the entry of ``clouds.yaml`` of who restores.
    """

    def __init__(
        self,
        url: str,
        member: str,
        manager_cloud: str,
        command: Command,
        app: Application,
        say: Callable[[str], None] = print,
        provider: str = "default",
    ) -> None:
        self.member_api, self.manager_api = Caller(url, member), Caller(url, manager_cloud)
        super().__init__(
            self.member_api.cloud, self.manager_api.cloud, command, manager_cloud, app, say, provider
        )
        found = self.member_api.ok("GET", f"providers?name={provider}")
        self.provider_id = str(found[0]["id"])

    @property
    def _checkpoints(self) -> str:
        return f"providers/{self.provider_id}/checkpoints"

    def protect(self) -> None:
        """Protect the two servers; the token that this was asked for with is revoked at once."""
        with self.phase("protect"):
            resources = [
                {"type": "OS::Nova::Server", "id": server.id, "name": server.name}
                for server in (find_server(self.cloud, self.app.name(short)) for short in SERVERS)
            ]
            plan = {
                "name": self.plan,
                "provider_id": self.provider_id,
                "resources": resources,
                "parameters": {},
            }
            api = self.member_api
            plan_id = api.ok("POST", "plans", {"plan": plan})["id"]
            made = api.ok("POST", self._checkpoints, {"checkpoint": {"plan_id": plan_id}})
            api.new_token()
            self.checkpoint = str(made["id"])
            done = api.until(f"{self._checkpoints}/{self.checkpoint}", "available", "error")
            self.say(f"checkpoint {self.checkpoint} is {done['status']}")
            if done["status"] != "available":
                self.problems.append(f"the checkpoint is in {done['status']}: {done['error_info']}")
        self._expect_only(self.whole, inventory(self.cloud), "after protecting")

    def plan_restore(self) -> None:
        """Show what a restore would not bring back."""
        with self.phase("what a restore would do"):
            for name, api in (("member", self.member_api), ("manager", self.manager_api)):
                wanted = {**self._wanted, "type": "restore", "dry_run": True}
                begun = api.ok("POST", "operations", {"operation": wanted})
                plan = api.until(f"operations/{begun['id']}", "succeeded", "failed", "cancelled")
                conflicts = [
                    f"{item['type']} {item['source_name']}: {conflict}"
                    for item in (plan["result"] or {}).get("resources", ())
                    for conflict in item["conflicts"]
                ]
                self.say(f"{name}: " + ("; ".join(conflicts) or plan["error_info"] or "everything as it was"))

    def restore(self) -> None:
        """Restore it; the token is revoked at once."""
        with self.phase("restore"):
            api = self.manager_api
            restore = api.ok("POST", "restores", {"restore": self._wanted})
            api.new_token()
            done = api.until(f"restores/{restore['id']}", "success", "fail")
            if done["status"] != "success":
                raise Refused(f"the restore has failed: {done['error_info']}")
            operation = api.ok("GET", f"operations/{restore['id']}")
            self.restored = list(operation["resources"])
            self.say(f"the restore {restore['id']}: {len(self.restored)} resources")
        with self.phase("look at what came back"):
            spoken = wait_for_guests(self.manager, self.app)
            self.after = Describer(self.manager, self.app).describe(spoken)

    @property
    def _wanted(self) -> dict[str, Any]:
        return {"provider_id": self.provider_id, "checkpoint_id": self.checkpoint, "parameters": {}}

    def _delete_checkpoint(self) -> None:
        path = f"{self._checkpoints}/{self.checkpoint}"
        status, found = self.manager_api("DELETE", path)
        if status != 200:
            raise Refused(f"DELETE {path}: {status} {found}")
        self.manager_api.until(path, "deleted", "error-deleting")

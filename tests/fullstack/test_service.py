"""The service on a real cloud: tokens, trusts, volumes; an ordinary member uses nothing but the API."""

from __future__ import annotations

import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openstack
import pytest

DEFAULT = "8d0c3f0e-6f3b-4f0e-9a53-0d5d3c1a7b01"
SECONDS = 280


class Caller:
    """A user of the service, with a token of its own."""

    def __init__(self, url: str, name: str) -> None:
        self.cloud = openstack.connect(cloud=name, api_timeout=180)
        self.url = f"{url}/{self.cloud.current_project_id}"

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.cloud.session.request(f"{self.url}/{path}", method, json=body, raise_exc=False)
        return answer.status_code, answer.json() if answer.content else None

    def ok(self, method: str, path: str, body: Any = None) -> Any:
        status, found = self(method, path, body)
        assert status == 200, found
        return next(iter(found.values())) if found else None

    def until(self, path: str, *wanted: str) -> Any:
        deadline = time.monotonic() + SECONDS
        while (found := self.ok("GET", path))["status"] not in wanted:
            assert time.monotonic() < deadline, found
            time.sleep(0.5)
        return found

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


@pytest.fixture
def service_url(admin: Any, tmp_path: Path) -> Iterator[str]:
    """``refloat serve`` with a user of its own."""
    name, password = f"refloat-{secrets.token_hex(4)}", secrets.token_hex(16)
    user = admin.identity.create_user(name=name, password=password, domain_id="default")
    project = admin.current_project_id
    for role in ("admin", "service"):
        found = admin.identity.find_role(role)
        admin.identity.assign_project_role_to_user(project=project, user=user, role=found)
    auth_url = admin.config.auth["auth_url"]
    login = f"auth_url = {auth_url}\nusername = {name}\npassword = {password}\nuser_domain_name = Default\n"
    (tmp_path / "refloat.conf").write_text(
        f"[database]\nconnection = sqlite:///{tmp_path}/refloat.sqlite\n"
        f"[bank]\nurl = {tmp_path}/bank\nkey_file = {tmp_path}/bank.key\n"
        f"[providers]\nfolder = {tmp_path}/providers.d\n"
        f"[keystone_authtoken]\nauth_type = password\nwww_authenticate_uri = {auth_url}\n{login}"
        f"project_id = {project}\ntoken_cache_time = -1\n"
        f"[trustee]\nauth_type = v3password\n{login}"
    )
    program = [sys.executable, "-m", "refloat.cli.main", "serve", "--port", "0"]
    process = subprocess.Popen(
        [*program, "--config-file", str(tmp_path / "refloat.conf")], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if found := re.search(r"listens on (\S+)", line):
                threading.Thread(target=process.stderr.read, daemon=True).start()
                yield found[1].rstrip(".")
                break
        else:
            raise AssertionError("it did not start")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(120)
        admin.identity.delete_user(user)


def test_a_volume_by_the_service_alone(service_url: str) -> None:
    member = Caller(service_url, "demo")
    storage = member.cloud.block_storage
    before = {volume.id for volume in storage.volumes()}
    volume = storage.create_volume(name="kept", size=1, metadata={"tier": "db"})
    try:
        storage.wait_for_status(volume, "available", wait=SECONDS)
        found = member.ok("GET", f"protectables/OS::Cinder::Volume/instances/{volume.id}")
        assert found["name"] == "kept"

        resource = {"type": "OS::Cinder::Volume", "id": volume.id, "name": "kept"}
        plan = {"name": "v", "provider_id": DEFAULT, "resources": [resource], "parameters": {}}
        plan_id = member.ok("POST", "plans", {"plan": plan})["id"]
        checkpoints = f"providers/{DEFAULT}/checkpoints"
        made = member.ok("POST", checkpoints, {"checkpoint": {"plan_id": plan_id, "extra-info": None}})
        assert made["status"] == "protecting"
        member.new_token()  # the operation goes on without the one it was asked for with
        path = f"{checkpoints}/{made['id']}"
        done = member.until(path, "available", "error")
        assert done["status"] == "available", done

        reader = Caller(service_url, "demo-reader")
        stranger = Caller(service_url, "demo2")
        wanted = {"provider_id": DEFAULT, "checkpoint_id": made["id"], "parameters": {}}
        assert reader.ok("GET", path)["status"] == "available"
        assert reader("POST", "restores", {"restore": wanted})[0] == 403
        assert stranger("GET", path)[0] == 404
        assert stranger("POST", "restores", {"restore": wanted})[0] == 404
        assert stranger("GET", f"{checkpoints}?all_tenants=1")[1] == {"checkpoints": []}

        storage.delete_volume(volume)
        storage.wait_for_delete(volume, wait=SECONDS)
        restore = member.ok("POST", "restores", {"restore": wanted})
        restored = member.until(f"restores/{restore['id']}", "success", "fail")
        assert restored["status"] == "success", restored
        (key,) = restored["resources_status"]
        assert restored["resources_status"] == {key: "available"}
        kind, _, new_id = key.partition("#")
        assert kind == "OS::Cinder::Volume"
        again = storage.get_volume(new_id)
        assert (again.name, again.size, again.metadata["tier"]) == ("kept", 1, "db")

        verification = member.ok("POST", "verifications", {"verification": wanted})
        verified = member.until(f"verifications/{verification['id']}", "success", "fail")
        assert verified["resources_status"] == {f"OS::Cinder::Volume#{volume.id}": "available"}

        assert member("DELETE", path) == (200, {})
        assert member.until(path, "deleted", "error-deleting")["status"] == "deleted"
        assert [backup for backup in storage.backups() if backup.volume_id == volume.id] == []
        deadline = time.monotonic() + 60
        while member.trusts():  # each is deleted when its operation has ended
            assert time.monotonic() < deadline
            time.sleep(0.5)
    finally:
        for left in [item for item in storage.volumes() if item.id not in before]:
            storage.delete_volume(left, ignore_missing=True)
            storage.wait_for_delete(left, wait=SECONDS)

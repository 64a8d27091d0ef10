"""The service of one test on a real cloud, and its callers, who use nothing but HTTP."""

from __future__ import annotations

import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openstack

DEPLOY = Path(__file__).parents[2] / "deploy"
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

    def protected(self, provider: str, resources: list[dict[str, str]]) -> Any:
        """A finished checkpoint."""
        plan = {"name": "elsewhere", "provider_id": provider, "resources": resources, "parameters": {}}
        plan_id = self.ok("POST", "plans", {"plan": plan})["id"]
        path = f"providers/{provider}/checkpoints"
        made = self.ok("POST", path, {"checkpoint": {"plan_id": plan_id}})
        done = self.until(f"{path}/{made['id']}", "available", "error")
        assert done["status"] == "available", done
        return done

    def restored(self, wanted: dict[str, Any]) -> Any:
        """A finished restore."""
        restore = self.ok("POST", "restores", {"restore": wanted})
        done = self.until(f"restores/{restore['id']}", "success", "fail")
        assert done["status"] == "success", done
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


@dataclass
class Served:
    """``refloat serve``, with a user of its own.

    :param said: what it has written to standard error: its log.
    """

    url: str
    folder: Path
    said: list[str] = field(default_factory=list)

    def holds(self, secret: str) -> list[str]:
        """Where a secret is found: in files of database and bank, or in the log."""
        wanted = secret.encode()
        files = [path for path in self.folder.rglob("*") if path.is_file() and path.suffix != ".conf"]
        found = [str(path) for path in files if wanted in path.read_bytes()]
        return found + [line for line in self.said if secret in line]


@contextmanager
def service_user(admin: Any, *roles: str) -> Iterator[tuple[str, str]]:
    """Name and password of a new user, with some roles in the administrator's project."""
    name, password = f"refloat-{secrets.token_hex(4)}", secrets.token_hex(16)
    user = admin.identity.create_user(name=name, password=password, domain_id="default")
    try:
        for role in roles:
            found = admin.identity.find_role(role)
            project = admin.current_project_id
            admin.identity.assign_project_role_to_user(project=project, user=user, role=found)
        yield name, password
    finally:
        admin.identity.delete_user(user)


def login(auth_url: str, name: str, password: str) -> str:
    """Lines of a configuration."""
    return f"auth_url = {auth_url}\nusername = {name}\npassword = {password}\nuser_domain_name = Default\n"


@contextmanager
def serving(admin: Any, folder: Path, more: str = "") -> Iterator[Served]:
    """The service, with the provider files of ``deploy/``.

    :param more: of its configuration.
    """
    providers = folder / "providers.d"
    providers.mkdir()
    for file in (DEPLOY / "providers.d").glob("*.conf"):
        (providers / file.name).write_text(file.read_text().replace("/var/lib/refloat", str(folder)))
    auth_url = admin.config.auth["auth_url"]
    with service_user(admin, "admin", "service") as (name, password):
        own = login(auth_url, name, password)
        (folder / "refloat.conf").write_text(
            f"[database]\nconnection = sqlite:///{folder}/refloat.sqlite\n"
            f"[bank]\nurl = {folder}/bank\nkey_file = {folder}/bank.key\n"
            f"[providers]\nfolder = {providers}\n"
            f"[keystone_authtoken]\nauth_type = password\nwww_authenticate_uri = {auth_url}\n{own}"
            f"project_id = {admin.current_project_id}\ntoken_cache_time = -1\n"
            f"[trustee]\nauth_type = v3password\n{own}{more}"
        )
        program = [sys.executable, "-m", "refloat.cli.main", "--debug", "serve", "--port", "0"]
        process = subprocess.Popen(
            [*program, "--config-file", str(folder / "refloat.conf")], stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        served = Served("", folder)
        try:
            for line in process.stderr:
                served.said.append(line)
                if found := re.search(r"listens on (\S+)", line):
                    served.url = found[1].rstrip(".")
                    break
            else:
                raise AssertionError(f"it did not start: {served.said}")
            threading.Thread(target=served.said.extend, args=(process.stderr,), daemon=True).start()
            yield served
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(120)

"""The service of one test on a real cloud, and its callers, who use nothing but HTTP."""

from __future__ import annotations

import re
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo.service import SECONDS, Caller

__all__ = ["SECONDS", "Caller", "Served", "login", "service_user", "serving"]
DEPLOY = Path(__file__).parents[2] / "deploy"


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

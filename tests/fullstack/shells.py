"""Programs that people type commands into, and who types."""

from __future__ import annotations

import os
import shlex
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openstack

SECONDS = 120


class OpenStackClient:
    """``openstack data protection``: one process, to which commands are typed.

    (Each process of its own would take three seconds to start; only commands with quotes, which it does not
    understand there, get one.) It does not tell which commands failed.

    :param programs: the folder of the program.
    """

    END = "---end---"

    def __init__(self, programs: Path, env: dict[str, str]) -> None:
        self._programs, self._env = programs, env
        self._process = subprocess.Popen(
            [programs / "openstack"], env=env, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def type(self, command: str) -> tuple[str, bool]:
        """What a command prints, and whether it failed, as far as that is known."""
        if "'" in command:
            words = [str(self._programs / "openstack"), "data", "protection", *shlex.split(command)]
            done = subprocess.run(words, env=self._env, capture_output=True, text=True, timeout=SECONDS)
            return done.stdout + done.stderr, done.returncode != 0
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"data protection {command}\n!echo {self.END}\n")
        self._process.stdin.flush()
        lines: list[str] = []
        for line in self._process.stdout:
            if line.strip() == self.END:
                return "".join(lines), False
            lines.append(line)
        raise AssertionError(f"{command}: it ended: {''.join(lines)}")

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.kill()
        self._process.wait(SECONDS)


@dataclass
class User:
    """A user of the cloud, and what this user asks the service."""

    name: str
    cloud: Any = field(init=False)

    def __post_init__(self) -> None:
        self.cloud = openstack.connect(cloud=self.name, api_timeout=SECONDS)

    @property
    def env(self) -> dict[str, str]:
        """The user's environment, and nothing else of ours that a client could listen to."""
        auth = self.cloud.config.auth
        kept = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
        names = (
            "auth_url",
            "username",
            "password",
            "project_name",
            "user_domain_name",
            "project_domain_name",
        )
        login = {f"OS_{name.upper()}": str(auth[name]) for name in names}
        return {**kept, **login, "OS_REGION_NAME": "RegionOne", "PYTHONUNBUFFERED": "1"}

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """An answer of the service."""
        where = {"service_type": "data-protect", "interface": "public"}
        answer = self.cloud.session.request(
            f"/{path}", method, json=body, endpoint_filter=where, raise_exc=False
        )
        return answer.status_code, next(iter(answer.json().values()), None) if answer.content else None

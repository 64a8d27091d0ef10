"""Quotas by Keystone's unified limits."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from refloat.api import config
from refloat.api.deployment import Deployment
from refloat.errors import InvalidInput
from refloat.records.quotas import DEFAULTS, OverQuota

LIMITS = {**DEFAULTS, "checkpoints": 1000}
REGISTER = Path(__file__).parents[2] / "deploy" / "register.py"


@pytest.fixture
def user(admin: Any, deployed: str) -> Iterator[tuple[str, str]]:
    """A user that may read limits, made by the script for operators; and the limits, registered by it."""
    name, password = f"refloat-{secrets.token_hex(4)}", secrets.token_hex(16)
    words = [
        sys.executable,
        REGISTER,
        "--os-cloud",
        "admin",
        "--user",
        name,
        "--url",
        deployed.removesuffix("/v1"),
    ]
    for _time in range(2):
        done = subprocess.run(
            [*words, "--limits"], env={**os.environ, "REFLOAT_PASSWORD": password}, text=True,
            capture_output=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert done.stdout == "", "the second time nothing is left to do"
    yield name, password
    api = admin.identity
    for resource in LIMITS:
        for item in list(api.registered_limits(resource_name=resource)):
            for limit in list(api.limits(resource_name=resource)):
                api.delete_limit(limit)
            api.delete_registered_limit(item)
    api.delete_user(api.find_user(name))


def test_the_limits_are_keystones(user: tuple[str, str], admin: Any, member: Any, tmp_path: Path) -> None:
    name, password = user
    auth_url = admin.config.auth["auth_url"]
    file = tmp_path / "refloat.conf"
    file.write_text(
        f"[database]\nconnection = sqlite:///{tmp_path}/refloat.sqlite\n"
        f"[bank]\nurl = {tmp_path}/bank\n[providers]\nfolder = {tmp_path}/none\n"
        "[operations]\nauthority = cloud\ncloud = demo\n[quota]\ndriver = keystone\n"
        f"[oslo_limit]\nauth_type = password\nauth_url = {auth_url}\nsystem_scope = all\n"
        f"username = {name}\npassword = {password}\nuser_domain_name = Default\n"
        "endpoint_service_type = data-protect\nendpoint_service_name = refloat\n"
        "endpoint_region_name = RegionOne\n"
    )
    deployment = Deployment(config.load([file]))
    project = member.current_project_id
    try:
        assert deployment.quotas.of_project(project) == LIMITS
        api = admin.identity
        service = next(iter(api.services(type="data-protect")))
        api.create_limit(
            project_id=project, service_id=service.id, region_id="RegionOne", resource_name="plans",
            resource_limit=0,
        )  # fmt: skip
        assert deployment.quotas.of_project(project)["plans"] == 0
        assert deployment.quotas.of_class() == LIMITS
        with deployment.database.one_at_a_time("plans") as session:
            with pytest.raises(OverQuota, match="plans"):
                deployment.quotas.check(session, "plans", project)
            deployment.quotas.check(session, "checkpoints", project)
        with pytest.raises(InvalidInput, match="kept by the identity service"):
            deployment.quotas.set_project(project, {"plans": 7})
    finally:
        deployment.close()

"""Fixtures for tests with a bank in the object store of their project: import them into a module."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from refloat.cloud import Cloud


@pytest.fixture(scope="module")
def member(cloud: Cloud) -> Any:
    """The user of ``cloud``, as openstacksdk has it."""
    return cloud.connection


@pytest.fixture(scope="module")
def container(member: Any) -> Iterator[str]:
    """A container of our own."""
    name = f"refloat-test-{uuid.uuid4().hex[:8]}"
    member.object_store.create_container(name)
    yield name
    for found in list(member.object_store.objects(name)):
        member.object_store.delete_object(found)
    member.object_store.delete_container(name)


@pytest.fixture(scope="module")
def keys(member: Any) -> Iterator[dict[str, str]]:
    """Credentials for the S3 API."""
    path = f"/users/{member.current_user_id}/credentials/OS-EC2"
    made = member.identity.post(path, json={"tenant_id": member.current_project_id}).json()["credential"]
    yield {"AWS_ACCESS_KEY_ID": made["access"], "AWS_SECRET_ACCESS_KEY": made["secret"]}
    member.identity.delete(f"{path}/{made['access']}")


@pytest.fixture
def use_keys(keys: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in keys.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def s3_options(member: Any) -> str:
    endpoint = member.object_store.get_endpoint().partition("/v1")[0]
    return urlencode({"endpoint": endpoint, "region": "us-east-1"})

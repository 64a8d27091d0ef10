"""The SDK, as docs/user.md uses it."""

from __future__ import annotations

import os
from pathlib import Path

import openstack
import pytest
from api_helpers import NOOP
from openstack import exceptions
from served import serve

import refloat.client


def test_from_plan_to_restore(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("OS_"):
            monkeypatch.delenv(name)
    with serve(tmp_path) as user:
        monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", user.command.environ["OS_CLIENT_CONFIG_FILE"])
        service = refloat.client.connect(cloud="good").data_protect  # type: ignore[attr-defined]
        provider = service.find_provider("noop")
        assert (provider.id, service.find_provider("nobody")) == (NOOP, None)
        resource = {"type": "Refloat::Noop", "id": "tree-3", "name": "x"}
        plan = service.create_plan(name="shop", provider_id=provider.id, parameters={}, resources=[resource])
        assert service.find_plan("shop").id == plan.id
        assert service.update_plan(plan, description="words").description == "words"
        assert [found.name for found in service.plans(name="shop")] == ["shop"]

        checkpoint = service.create_checkpoint(provider, plan_id=plan.id, extra_info={"why": "because"})
        checkpoint = service.wait_for_status(checkpoint, "available", ["error"], 0.1, 60)
        assert len(checkpoint.graph()[0]) == 3
        look = service.dry_run("restore", provider, checkpoint, mappings={"name": {"tree-3": "again"}})
        look = service.wait_for_status(look, "succeeded", ["failed"], 0.1, 60)
        assert look.result["possible"] is True
        assert [each["new"] for each in look.result["mappings"]] == ["again"]
        run = {"provider_id": provider.id, "checkpoint_id": checkpoint.id, "parameters": {}}
        restore = service.create_restore(**run)
        restore = service.wait_for_status(restore, "success", ["fail"], 0.1, 60)
        assert len(restore.resources_status) == 3
        operation = service.get_operation(restore.id)
        assert (operation.type, operation.status, len(operation.resources)) == ("restore", "succeeded", 3)
        assert service.operation_events(operation)
        with pytest.raises(exceptions.ConflictException):
            service.cancel_operation(operation)
        with pytest.raises(exceptions.NotFoundException):
            service.get_plan(NOOP)
        quota = service.get_quota(plan.project_id, usage=True)
        assert quota.plans["in_use"] == 1

        # With another's connection, and by URL rather than by catalog.
        other = openstack.connect(
            cloud="good", data_protect_endpoint_override=user.url + "/v1/" + plan.project_id
        )
        other.add_service(refloat.client.DataProtect())
        assert [found.id for found in other.data_protect.plans()] == [plan.id]  # type: ignore[attr-defined]
        by_url = refloat.client.connect(cloud="good", endpoint=user.url).data_protect  # type: ignore[attr-defined]
        assert [found.id for found in by_url.plans()] == [plan.id]


def test_endpoints() -> None:
    for url in ("http://h:8799", "http://h:8799/", "http://h:8799/v1"):
        assert refloat.client.endpoint_of(url) == "http://h:8799/v1/%(project_id)s"
    assert refloat.client.endpoint_of("http://h/data-protect/v1/abc") == "http://h/data-protect/v1/abc"

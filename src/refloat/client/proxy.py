"""All that the service offers, as methods in openstacksdk's style."""

from __future__ import annotations

from typing import Any

from openstack import exceptions
from openstack.proxy import Proxy as SdkProxy

from refloat.client import resources as r
from refloat.client.verbs import verbs


class Proxy(SdkProxy):
    """The service of type ``data-protect``. Errors are those of :mod:`openstack.exceptions`."""

    skip_discovery = True
    api_version = "1"

    plans, get_plan, find_plan, create_plan, update_plan, delete_plan = verbs(
        r.Plan, "list get find create update delete"
    )
    protectables, get_protectable = verbs(r.Protectable, "list get")
    instances, get_instance, find_instance = verbs(r.Instance, "list get find", parent="protectable_type")
    providers, get_provider, find_provider = verbs(r.Provider, "list get find")
    checkpoints, get_checkpoint, create_checkpoint, delete_checkpoint = verbs(
        r.Checkpoint, "list get create delete", parent="provider_id"
    )
    restores, get_restore, create_restore = verbs(r.Restore, "list get create")
    verifications, get_verification, create_verification = verbs(r.Verification, "list get create")
    (create_copy,) = verbs(r.Copy, "create", parent="provider_id")
    triggers, get_trigger, find_trigger, create_trigger, update_trigger, delete_trigger = verbs(
        r.Trigger, "list get find create update delete"
    )
    (
        scheduled_operations,
        get_scheduled_operation,
        find_scheduled_operation,
        create_scheduled_operation,
        update_scheduled_operation,
        delete_scheduled_operation,
    ) = verbs(r.ScheduledOperation, "list get find create update delete")
    operation_logs, get_operation_log = verbs(r.OperationLog, "list get")
    update_quota, delete_quota = verbs(r.Quota, "update delete")
    get_quota_class, update_quota_class = verbs(r.QuotaClass, "get update")
    services, update_service = verbs(r.Service, "list update")

    def reset_checkpoint_status(self, provider: Any, checkpoint: Any, status: str) -> None:
        """Set a checkpoint's status by hand, to ``available`` or ``error``."""
        found: Any = self._get_resource(
            r.Checkpoint, checkpoint, provider_id=getattr(provider, "id", provider)
        )
        found.reset_status(self, status)

    def get_quota(self, project: str, *, usage: bool = False) -> r.Quota:
        """A project's limits.

        :param usage: also what it uses.
        """
        return self._quota(project, "/detail" if usage else "")

    def get_quota_defaults(self, project: str) -> r.Quota:
        """The limits of projects for which nothing is set."""
        return self._quota(project, "/defaults")

    def _quota(self, project: str, below: str) -> r.Quota:
        response = self.get(f"{r.Quota.base_path}/{project}{below}")
        exceptions.raise_from_response(response)
        return r.Quota.existing(connection=self._get_connection(), **response.json()["quota"])

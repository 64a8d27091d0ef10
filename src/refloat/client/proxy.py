"""All that the service offers, as methods in openstacksdk's style."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from openstack import exceptions
from openstack.proxy import Proxy as SdkProxy
from openstack.resource import Resource, wait_for_status

from refloat.client import resources as r

R = TypeVar("R", bound=Resource)

Verb = Callable[..., Any]


def verbs(kind: type[R], names: str, *, parent: str = "") -> tuple[Verb, ...]:
    """The methods, in the order of their names.

    :param names: of ``list get find create update delete``.
    :param parent: the parameter of the path that names what the resource is in: the first argument, by id
        or as a resource.
    """
    single = r.word(kind)
    return tuple(_made(kind, name, single, f"{single}s", parent) for name in names.split())


def _made(kind: type[R], name: str, single: str, many: str, parent: str) -> Verb:
    what = single.replace("_", " ")

    def where(args: list[Any]) -> dict[str, str]:
        if not parent:
            return {}
        given = args.pop(0)
        return {parent: str(given.id) if isinstance(given, Resource) else str(given)}

    def call(self: Any, *args: Any, **attrs: Any) -> Any:
        rest = list(args)
        within = where(rest)
        if name in ("list", "create"):
            if rest:
                raise TypeError(f"{call.__name__}() takes its values by name")
            return getattr(self, f"_{name}")(kind, **within, **attrs)
        if name in ("find", "delete"):
            attrs.setdefault("ignore_missing", True)
        (value,) = rest
        return getattr(self, f"_{name}")(kind, value, **within, **attrs)

    title = f":class:`~{kind.__module__}.{kind.__name__}`"
    call.__name__ = many if name == "list" else f"{name}_{single}"
    call.__qualname__ = f"Proxy.{call.__name__}"
    call.__doc__ = {
        "list": f"All {many.replace('_', ' ')}, page after page; keywords are the service's filters. "
        f"Yields {title}.",
        "get": f"One {what} by id. Raises NotFoundException.",
        "find": f"One {what} by name or id; None, or NotFoundException with ``ignore_missing=False``.",
        "create": f"Make a {what}; keywords are attributes of {title}.",
        "update": f"Change a {what}, by id or as {title}; keywords are its new attributes.",
        "delete": f"Remove a {what}, by id or as {title}; ``ignore_missing=False`` tells when it is gone.",
    }[name]
    if parent:
        call.__doc__ += f" The first argument is the {parent.removesuffix('_id').replace('_', ' ')}."
    return call


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
    checkpoints, get_checkpoint, create_checkpoint, update_checkpoint, delete_checkpoint = verbs(
        r.Checkpoint, "list get create update delete", parent="provider_id"
    )
    restores, get_restore, create_restore = verbs(r.Restore, "list get create")
    restore_plans, get_restore_plan, find_restore_plan, create_restore_plan, delete_restore_plan = verbs(
        r.RestorePlan, "list get find create delete"
    )
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
    (operations,) = verbs(r.Operation, "list")
    update_quota, delete_quota = verbs(r.Quota, "update delete")
    get_quota_class, update_quota_class = verbs(r.QuotaClass, "get update")
    services, update_service = verbs(r.Service, "list update")

    def wait_for_status(
        self, resource: Any, status: str, failures: list[str], interval: float = 5.0, wait: float = 3600.0
    ) -> Any:
        """Wait until a checkpoint, a restore, an operation... has a status; it, as it is then.

        :param failures: the statuses after which it will not come.
        :param interval: seconds between two looks.
        :param wait: seconds after which ResourceTimeout is raised; at a failure it is ResourceFailure.
        """
        return wait_for_status(self, resource, status, failures, interval, wait)

    def plan_now(self, plan: Any) -> dict[str, Any]:
        """What a protection of a plan would find now."""
        return dict(_told(self.get(f"{r.Plan.base_path}/{_id(plan)}/now"), "now"))

    def reset_checkpoint_status(self, provider: Any, checkpoint: Any, status: str) -> None:
        """Set a checkpoint's status by hand, to ``available`` or ``error``."""
        found: Any = self._get_resource(r.Checkpoint, checkpoint, provider_id=_id(provider))
        found.reset_status(self, status)

    def get_operation(self, operation: Any, *, retries: int = 0) -> r.Operation:
        """One operation, with all that is told of it. Raises NotFoundException.

        :param retries: ask again so often, after ever longer times, while the service does not answer.
        """
        url = f"{r.Operation.base_path}/{_id(operation)}"
        how = {"connect_retries": retries, "status_code_retries": retries}
        found = _told(self.get(url, **how), "operation")
        return r.Operation.existing(connection=self._get_connection(), **found)

    def dry_run(self, type: str, provider: Any, checkpoint: Any, **settings: Any) -> r.Operation:  # noqa: A002
        """Begin to find out what an operation would do; the result of the ended operation tells.

        :param type: ``restore``, ``copy`` or ``delete``.
        :param settings: as for :meth:`create_restore` or :meth:`create_copy`: ``parameters``, ``only``...
        """
        where = {"provider_id": _id(provider), "checkpoint_id": _id(checkpoint)}
        found: r.Operation = self._create(r.Operation, type=type, dry_run=True, **where, **settings)
        return found

    def change_restore_plan(self, plan: Any, **changes: Any) -> r.RestorePlan:
        """Choose otherwise for a restore plan; without changes it is made again as the cloud is now."""
        url = f"{r.RestorePlan.base_path}/{_id(plan)}"
        return self._restore_plan(self.patch(url, json={"restore_plan": changes}))

    def approve_restore_plan(self, plan: Any) -> r.RestorePlan:
        """Approve a restore plan as it is."""
        return self._restore_plan(self.post(f"{r.RestorePlan.base_path}/{_id(plan)}/approve"))

    def _restore_plan(self, answer: Any) -> r.RestorePlan:
        told = _told(answer, "restore_plan")
        return r.RestorePlan.existing(connection=self._get_connection(), **told)

    def cancel_operation(self, operation: Any, **settings: Any) -> r.Operation:
        """Have an operation stopped, and all removed that it created."""
        return self._act(operation, "cancel", settings)

    def resume_operation(self, operation: Any, **settings: Any) -> r.Operation:
        """Have an operation go on that is parked."""
        return self._act(operation, "resume", settings)

    def park_operation(self, operation: Any) -> r.Operation:
        """Have an operation stopped where it is."""
        return self._act(operation, "park", {})

    def _act(self, operation: Any, action: str, settings: dict[str, Any]) -> r.Operation:
        found: r.Operation = self._get_resource(r.Operation, operation)
        return found.act(self, action, settings or None)

    def operation_events(self, operation: Any) -> list[dict[str, Any]]:
        """What has happened in an operation, oldest first."""
        return list(_told(self.get(f"{r.Operation.base_path}/{_id(operation)}/events"), "events"))

    def maintain_bank(self, provider: Any, action: str, **settings: Any) -> r.Operation:
        """Begin upkeep of a provider's bank: ``info``, ``verify`` or ``collect``."""
        return r.Operation.on_bank(self, _id(provider), action, settings or None)

    def run_scheduled_operation(self, operation: Any) -> str:
        """Run a scheduled operation now, besides its times; the id of the run, one of its last runs."""
        url = f"{r.ScheduledOperation.base_path}/{_id(operation)}/action"
        runs = _told(self.post(url, json={"run": {}}), "scheduled_operation")["last_runs"]
        return next(str(run["id"]) for run in runs if run["manual"])

    def scheduled_operation_retention(self, operation: Any) -> dict[str, Any]:
        """Which checkpoints a scheduled operation would keep, and by which rule."""
        url = f"{r.ScheduledOperation.base_path}/{_id(operation)}/retention"
        return dict(_told(self.get(url), "retention"))

    def get_hold(self, provider: Any, checkpoint: Any) -> r.Hold:
        """Why a checkpoint must not be deleted. Raises NotFoundException."""
        found: r.Hold = self._get(r.Hold, requires_id=False, **_place(provider, checkpoint))
        return found

    def place_hold(self, provider: Any, checkpoint: Any, reason: str) -> r.Hold:
        """Have a checkpoint kept, whatever anybody says, until it is released."""
        found: r.Hold = self._update(r.Hold, None, reason=reason, **_place(provider, checkpoint))
        return found

    def release_hold(self, provider: Any, checkpoint: Any) -> None:
        """Let a checkpoint be deleted again."""
        self._delete(r.Hold, None, ignore_missing=False, **_place(provider, checkpoint))

    def get_quota(self, project: str, *, usage: bool = False) -> r.Quota:
        """A project's limits.

        :param usage: also what it uses.
        """
        return self._quota(project, "/detail" if usage else "")

    def get_quota_defaults(self, project: str) -> r.Quota:
        """The limits of projects for which nothing is set."""
        return self._quota(project, "/defaults")

    def _quota(self, project: str, below: str) -> r.Quota:
        found = _told(self.get(f"{r.Quota.base_path}/{project}{below}"), "quota")
        return r.Quota.existing(connection=self._get_connection(), **found)


def _told(response: Any, key: str) -> Any:
    exceptions.raise_from_response(response)
    return response.json()[key]


def _id(given: Any) -> str:
    return str(getattr(given, "id", given))


def _place(provider: Any, checkpoint: Any) -> dict[str, Any]:
    return {"provider_id": _id(provider), "checkpoint_id": _id(checkpoint)}

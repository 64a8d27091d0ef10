"""The service's resources as openstacksdk's: what each is called on the wire, and where it is.

Attributes have the names of the API. Fields that hold JSON in a string (``extra_info`` of checkpoints,
``resource_graph``) are left as they are; :meth:`Checkpoint.graph` reads the graph.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

from openstack import exceptions
from openstack.resource import URI, Body, QueryParameters, Resource

_PAGE = ("offset", "sort", "sort_key", "sort_dir", "all_tenants", "project_id")


def _filters(*names: str) -> QueryParameters:
    return QueryParameters(*names, *_PAGE)


class Option(NamedTuple):
    """How the commands of OpenStackClient offer an attribute."""

    help: str
    metavar: str


def word(kind: type[Resource]) -> str:
    """How one is called in methods and bodies: ``operation_log``."""
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in kind.__name__).lstrip("_")


class _Ours(Resource):
    """Everything is changed with PUT; that needs no id in the body."""

    commit_method = "PUT"
    allow_fetch = True
    allow_list = True

    name: Any = None
    location: Any = None

    attributes: ClassVar[str] = ""
    """Under the names of the API, some with their type; each becomes an attribute of the class.

    So does what the path names.
    """

    def __init_subclass__(cls, **more: Any) -> None:
        """What a class does not say of the keys in bodies and of its path is as it is called."""
        said, called = vars(cls), word(cls)
        usual = {"resource_key": called, "resources_key": f"{called}s", "base_path": f"/{called}s"}
        for name in usual.keys() - said.keys():
            setattr(cls, name, usual[name])
        for name in re.findall(r"%\((\w+)\)", cls.base_path):
            setattr(cls, name, URI(name))
        types = {"": None, "list": list, "dict": dict, "int": int, "bool": bool}
        for told in vars(cls).get("attributes", "").split():
            name, _, kind = told.partition(":")
            setattr(cls, name, Body(name, type=types[kind]))
        super().__init_subclass__(**more)


class Plan(_Ours):
    """What is to be protected together."""

    allow_create = allow_commit = allow_delete = True
    _query_mapping = _filters("name", "description", "status")
    options: ClassVar[Mapping[str, Option]] = {
        "objective": Option("so many hours old may the newest good checkpoint be; 0: any age", "<hours>"),
        "unfit": Option("when resources are gone or unfit: protect the others, or nothing", "<skip|fail>"),
    }
    attributes = (
        "name description provider_id resources:list parameters:dict status objective:int "
        "unfit exclude:list "
        "project_id created_at updated_at"
    )


class Protectable(_Ours):
    """A type of resources that can be protected; its id is the type."""

    resource_key = "protectable_type"
    resources_key = "protectable_type"
    base_path = "/protectables"
    attributes = "name dependent_types:list"

    @classmethod
    def list(cls, session: Any, *_args: Any, **_query: Any) -> Any:
        """All types; the service sends them as plain strings."""
        response = session.get(cls.base_path)
        exceptions.raise_from_response(response)
        for name in response.json()[cls.resources_key]:
            yield cls.existing(connection=session._get_connection(), id=name, name=name)


class Instance(_Ours):
    """A resource of the project that can be protected, with what it needs directly."""

    base_path = "/protectables/%(protectable_type)s/instances"
    _query_mapping = _filters("parameters")
    attributes = "name type extra_info:dict dependent_resources:list references:list"


class Provider(_Ours):
    """A way to protect."""

    _query_mapping = _filters("name", "description", "all")
    attributes = "name description extended_info_schema:dict plugins:list"


class Checkpoint(_Ours):
    """What was protected at one time."""

    base_path = "/providers/%(provider_id)s/checkpoints"
    allow_create = allow_commit = allow_delete = True
    _query_mapping = _filters("plan_id", "start_date", "end_date", "status")
    attributes = (
        "project_id status protection_plan:dict plan_id resource_graph created_at extra_info "
        "error_info operation_id copied_from:dict protected_at "
        "verified verified_at verified_depth lacks:list "
        "name note labels:dict expires_at keep:bool user_id scheduled_operation_id size:int seconds:int"
    )

    def graph(self) -> tuple[dict[str, Any], Any]:
        """The resource graph: nodes, each ``[type, id, name, extra_info]`` by a short id, and adjacency."""
        nodes, adjacency = json.loads(self.resource_graph or "[{}, []]")
        return nodes, adjacency

    def reset_status(self, session: Any, status: str) -> None:
        """Set the status by hand, to ``available`` or ``error``."""
        url = f"{self.base_path % self._uri.attributes}/{self.id}"
        exceptions.raise_from_response(session.put(url, json={"os-resetState": {"state": status}}))


class _Run(_Ours):
    allow_create = True
    _query_mapping = _filters("status")
    attributes = (
        "project_id provider_id checkpoint_id parameters:dict status resources_status:dict "
        "resources_reason:dict error_info"
    )


class Restore(_Run):
    """A run that creates anew what is in a checkpoint."""

    attributes = (
        "restore_target restore_auth only:list leave_out:list keep_on_failure:bool beside_name mappings:dict "
        "no_safety:bool restore_plan_id stays:list"
    )
    on_existing: Any = Body("existing")
    """On the wire, and when it is created, ``existing``, which is a method of openstacksdk's."""


class RestorePlan(_Ours):
    """What a restore would do, kept to be looked at, changed, approved and run."""

    allow_create = allow_delete = True
    _query_mapping = _filters("status", "checkpoint_id")
    attributes = (
        "project_id user_id name provider_id checkpoint_id plan_id at choices:dict status reason "
        "operation_id approval:bool approved_by approved_at created_at updated_at content:dict "
        "parameters:dict only:list leave_out:list beside_name mappings:dict no_safety:bool"
    )
    on_existing: Any = Body("existing")


class Verification(_Run):
    """A run that reads a checkpoint to see whether it can be restored."""


class Copy(_Ours):
    """Copies of a plan's checkpoints that were asked for."""

    base_path = "/providers/%(provider_id)s/checkpoints/action"
    allow_fetch = allow_list = False
    allow_create = True
    attributes = "project_id plan_id checkpoint_id parameters:dict"


class Trigger(_Ours):
    """A time, or times, at which scheduled operations run."""

    resource_key = "trigger_info"
    allow_create = allow_commit = allow_delete = True
    _query_mapping = _filters("name", "type", "properties")
    attributes = "name type properties:dict next_run_at created_at"


class ScheduledOperation(_Ours):
    """What a trigger sets going."""

    resources_key = "operations"
    allow_create = allow_commit = allow_delete = True
    _query_mapping = _filters("name", "operation_type", "trigger_id", "operation_definition")
    attributes = (
        "name description operation_type trigger_id operation_definition:dict enabled:bool "
        "next_run_at status_reason last_runs:list"
    )


class Operation(_Ours):
    """One run of protect, restore, verify, copy or delete, or one look; how far it is.

    Lists leave out what comes after ``error_info``.
    """

    allow_create = True
    _query_mapping = _filters("type", "status", "checkpoint_id", "plan_id", "dry_run")
    attributes = (
        "project_id type dry_run:bool status provider_id checkpoint_id copy_id copy_provider_id "
        "plan_id plan_name restore_target created_at updated_at ended_at attempt progress:dict "
        "error_info active:list resources:list created:list result:dict error:dict "
        "parameters:dict only:list leave_out:list restore_auth:dict beside_name mappings:dict "
        "no_safety:bool"
    )
    on_existing: Any = Body("existing")

    def act(self, session: Any, action: str, settings: Any = None) -> Operation:
        """Do something about it: ``cancel``, ``resume`` or ``park``."""
        return self._posted(session, f"{self.base_path}/{self.id}/action", {action: settings})

    @classmethod
    def on_bank(cls, session: Any, provider: str, action: str, settings: Any) -> Operation:
        """Begin upkeep of a provider's bank: ``info``, ``verify`` or ``collect``."""
        return cls._posted(session, f"/providers/{provider}/bank/action", {action: settings})

    @classmethod
    def _posted(cls, session: Any, url: str, body: Any) -> Operation:
        response = session.post(url, json=body)
        exceptions.raise_from_response(response)
        return cls.existing(connection=session._get_connection(), **response.json()[cls.resource_key])


class OperationLog(_Ours):
    """What was done, when, and what came of it."""

    _query_mapping = _filters("checkpoint_id", "plan_id", "restore_id", "status")
    attributes = (
        "project_id operation_type checkpoint_id plan_id provider_id restore_id verification_id "
        "scheduled_operation_id status started_at ended_at error_info extra_info"
    )


class Hold(_Ours):
    """Why a checkpoint must not be deleted."""

    base_path = "/providers/%(provider_id)s/checkpoints/%(checkpoint_id)s/hold"
    requires_id = False
    allow_list = False
    allow_commit = allow_delete = True
    attributes = "reason user_id created_at"


class Quota(_Ours):
    """A project's limits, -1: none. In the detailed form each is ``{"limit", "in_use", "reserved"}``."""

    allow_list = False
    allow_commit = allow_delete = True
    attributes = "plans checkpoints triggers scheduled_operations operations_queued operations_running"
    limits = tuple(attributes.split())


class QuotaClass(Quota):
    """Limits of all projects that have none of their own."""

    base_path = "/quota_classes"
    allow_delete = False


class Service(_Ours):
    """A worker of the service."""

    base_path = "/os-services"
    allow_fetch = False
    allow_commit = True
    _query_mapping = _filters("host", "binary")
    attributes = "binary host status state updated_at disabled_reason"

    def commit(self, session: Any, *_args: Any, **_more: Any) -> Any:
        """Change it; this body alone is not wrapped."""
        return super().commit(session, prepend_key=False)

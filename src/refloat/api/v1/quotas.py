"""Quotas of projects, and quota classes."""

from __future__ import annotations

from typing import Any

from refloat.api import schemas as s
from refloat.api.faults import Fault
from refloat.api.request import Request
from refloat.api.route import PROJECT, Route, admin, reader
from refloat.records.quotas import DEFAULTS

_LIMIT: s.Schema = {"type": "integer", "minimum": -1, "maximum": s.LARGEST, "description": "-1: no limit"}
_LIMITS = dict.fromkeys(DEFAULTS, _LIMIT)
_USAGE = s.reply(limit=_LIMIT, in_use={"type": "integer"}, reserved={"type": "integer"})
SCHEMA = s.reply("id", **_LIMITS, id=s.STRING)
DETAIL = s.reply(id=s.STRING, **dict.fromkeys(_LIMITS, _USAGE))
CHANGE = s.obj(**_LIMITS) | {"additionalProperties": True}
"""What is not known is ignored."""


def show(request: Request) -> dict[str, Any]:
    """A project's limits."""
    project = _target(request)
    return {"quota": {**request.deployment.quotas.of_project(project), "id": project}}


def detail(request: Request) -> dict[str, Any]:
    """A project's limits and what it uses."""
    project = _target(request)
    usage = {
        name: {"limit": item.limit, "in_use": item.in_use, "reserved": 0}
        for name, item in request.deployment.quotas.usage(project).items()
    }
    return {"quota": {**usage, "id": project}}


def defaults(request: Request) -> dict[str, Any]:
    """The limits of projects for which nothing is set."""
    return {"quota": {**request.deployment.quotas.of_class(), "id": request.path["target_id"]}}


def change(request: Request) -> dict[str, Any]:
    """Set a project's limits."""
    limits = _known(request, "quota")
    return {"quota": request.deployment.quotas.set_project(request.path["target_id"], limits)}


def reset(request: Request) -> None:
    """Go back to the defaults."""
    request.deployment.quotas.reset_project(request.path["target_id"])


def show_class(request: Request) -> dict[str, Any]:
    """A class's limits."""
    name = request.path["class_name"]
    return {"quota_class": {**request.deployment.quotas.of_class(name), "id": name}}


def change_class(request: Request) -> dict[str, Any]:
    """Set a class's limits."""
    limits = _known(request, "quota_class")
    return {"quota_class": request.deployment.quotas.set_class(request.path["class_name"], limits)}


def _target(request: Request) -> str:
    project = request.path["target_id"]
    if not request.is_admin and project.replace("-", "") != request.project_id.replace("-", ""):
        # Says nothing about whether there is such a project.
        raise Fault(403, "only an administrator may see the quotas of other projects")
    return project


def _known(request: Request, name: str) -> dict[str, int]:
    known = request.deployment.quotas.names
    return {key: limit for key, limit in request.body[name].items() if key in known}


_QUOTA, _CLASS = f"{PROJECT}/quotas/{{target_id}}", f"{PROJECT}/quota_classes/{{class_name}}"
_quota, _class = s.wrapped("quota", SCHEMA), s.wrapped("quota_class", SCHEMA)
_new_class = s.wrapped("quota_class", CHANGE)

ROUTES = (
    Route("GET", _QUOTA, show, reader("quota:get"), _quota),
    Route("GET", f"{_QUOTA}/detail", detail, reader("quota:get"), s.wrapped("quota", DETAIL)),
    Route("GET", f"{_QUOTA}/defaults", defaults, reader("quota:get_default"), _quota),
    Route("PUT", _QUOTA, change, admin("quota:update"), _quota, s.wrapped("quota", CHANGE)),
    Route("DELETE", _QUOTA, reset, admin("quota:delete")),
    Route("GET", _CLASS, show_class, reader("quota_class:get"), _class),
    Route("PUT", _CLASS, change_class, admin("quota_class:update"), _class, _new_class),
)

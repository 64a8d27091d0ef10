"""Quotas of projects, and quota classes."""

from __future__ import annotations

from typing import Any

from refloat.api.faults import Fault
from refloat.api.request import Request


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
    return {
        "quota": request.deployment.quotas.set_project(request.path["target_id"], _known(request, "quota"))
    }


def reset(request: Request) -> None:
    """Go back to the defaults."""
    request.deployment.quotas.reset_project(request.path["target_id"])


def show_class(request: Request) -> dict[str, Any]:
    """A class's limits."""
    name = request.path["class_name"]
    return {"quota_class": {**request.deployment.quotas.of_class(name), "id": name}}


def change_class(request: Request) -> dict[str, Any]:
    """Set a class's limits."""
    return {
        "quota_class": request.deployment.quotas.set_class(
            request.path["class_name"], _known(request, "quota_class")
        )
    }


def _target(request: Request) -> str:
    project = request.path["target_id"]
    if not request.is_admin and project.replace("-", "") != request.project_id.replace("-", ""):
        # Says nothing about whether there is such a project.
        raise Fault(403, "only an administrator may see the quotas of other projects")
    return project


def _known(request: Request, name: str) -> dict[str, int]:
    return {key: limit for key, limit in request.body[name].items() if key in request.deployment.quotas.names}

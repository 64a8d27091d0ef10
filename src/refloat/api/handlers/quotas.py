"""Quotas of projects, and quota classes."""

from __future__ import annotations

from typing import Any

from refloat.api.call import Call
from refloat.api.faults import Fault


def show(call: Call) -> dict[str, Any]:
    """A project's limits."""
    project = _target(call)
    return {"quota": {**call.site.quotas.of_project(project), "id": project}}


def detail(call: Call) -> dict[str, Any]:
    """A project's limits and what it uses."""
    project = _target(call)
    usage = {
        name: {"limit": item.limit, "in_use": item.in_use, "reserved": 0}
        for name, item in call.site.quotas.usage(project).items()
    }
    return {"quota": {**usage, "id": project}}


def defaults(call: Call) -> dict[str, Any]:
    """The limits of projects for which nothing is set."""
    return {"quota": {**call.site.quotas.of_class(), "id": call.path["target_id"]}}


def change(call: Call) -> dict[str, Any]:
    """Set a project's limits."""
    return {"quota": call.site.quotas.set_project(call.path["target_id"], _known(call, "quota"))}


def reset(call: Call) -> None:
    """Go back to the defaults."""
    call.site.quotas.reset_project(call.path["target_id"])


def show_class(call: Call) -> dict[str, Any]:
    """A class's limits."""
    name = call.path["class_name"]
    return {"quota_class": {**call.site.quotas.of_class(name), "id": name}}


def change_class(call: Call) -> dict[str, Any]:
    """Set a class's limits."""
    return {"quota_class": call.site.quotas.set_class(call.path["class_name"], _known(call, "quota_class"))}


def _target(call: Call) -> str:
    project = call.path["target_id"]
    if not call.is_admin and project.replace("-", "") != call.project_id.replace("-", ""):
        # Says nothing about whether there is such a project.
        raise Fault(403, "only an administrator may see the quotas of other projects")
    return project


def _known(call: Call, name: str) -> dict[str, int]:
    return {key: limit for key, limit in call.body[name].items() if key in call.site.quotas.names}

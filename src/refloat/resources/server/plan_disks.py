"""Plans what a restored server boots from and which volumes it gets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refloat.graph import ResourceKey
from refloat.resources.base import PlanContext
from refloat.resources.server.plan_builder import PlanBuilder

IMAGE = "OS::Glance::Image"
VOLUME = "OS::Cinder::Volume"


def plan_disks(context: PlanContext, plan: PlanBuilder) -> None:
    """Decide about the boot image and every volume; ends in ``decisions["image"]`` and ``["volumes"]``."""
    plan.decisions["image"] = _plan_image(context, plan)
    decided = (_plan_volume(volume, context, plan) for volume in context.section["volumes"])
    plan.decisions["volumes"] = [volume for volume in decided if volume is not None]


def _plan_image(context: PlanContext, plan: PlanBuilder) -> dict[str, str] | None:
    image_id = context.section["image_id"]
    if not image_id:
        return None
    if ResourceKey(IMAGE, image_id) in context.graph:
        return {"source": image_id, "original": ""}
    if context.cloud.find("image", image_id) is None:
        plan.problems.append(f"the image {image_id} that it boots from is gone and not part of the restore")
    else:
        plan.conflict(
            "image_id",
            image_id,
            "degraded",
            f"the image {image_id} is not part of the restore: the server boots from it as it is, "
            "without what was on its own disk",
        )
    return {"source": image_id, "original": image_id}


def _plan_volume(volume: Mapping[str, Any], context: PlanContext, plan: PlanBuilder) -> dict[str, Any] | None:
    key = ResourceKey(VOLUME, volume["id"])
    if key in context.graph:
        return dict(volume)
    live = context.listed("volume", volume["id"])
    usable = live is not None and (
        live.status == "available" or (live.status == "in-use" and live.is_multiattach)
    )
    if live is not None and usable:
        plan.conflict(
            "volumes",
            volume["id"],
            "degraded",
            f"the volume {live.name or live.id} is not part of the restore: the server gets the original one",
        )
        return dict(volume)
    state = "gone" if live is None else f"{live.status}"
    name = (live.name if live is not None else "") or volume["id"]
    if volume["root"]:
        plan.problems.append(f"the volume {name} that it boots from is {state} and not part of the restore")
        return None
    plan.conflict(
        "volumes",
        None,
        "lost",
        f"the volume {name} ({volume['device']}) is {state} and not part of the restore: it is left out",
    )
    return None

"""Protects a pod: its manifest goes into the bank, its volumes are protected as what they are, Cinder's.

A restored volume is a new one. So a restored pod does not claim what the original claimed: for each new
volume of Cinder's a persistent volume is made, a claim on it, and the pod with these claims. Claims behind
which there is no volume of Cinder's are used as they are.
"""

from __future__ import annotations

from typing import ClassVar

from refloat.resources.base import RESTORE_NAME, PlanContext, Planned, ProtectionPlugin, hooks
from refloat.resources.pod.attributes import ATTRIBUTES
from refloat.resources.pod.plan import plan
from refloat.resources.pod.protectable import TYPE
from refloat.resources.pod.restore import restore
from refloat.resources.pod.section import read
from refloat.resources.verifying import data_is


class PodPlugin(ProtectionPlugin):
    """Pods, by manifest and volumes."""

    name = "pod-manifest"
    resource_type = TYPE
    description = "Keeps the manifest in the bank; makes the pod again with its restored volumes"
    attributes = ATTRIBUTES
    options: ClassVar = {"restore": (RESTORE_NAME,)}

    protect = hooks(on_main=read)
    restore = hooks(on_complete=restore)
    verify = data_is(lambda section: {"manifest": section["manifest"]})

    def plan_restore(self, context: PlanContext) -> Planned:
        return plan(context)

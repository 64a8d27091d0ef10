"""Pods of a Kubernetes cluster: their manifests are kept in the bank, their volumes by Cinder's plugins.

A restored volume is a new one. So a restored pod does not claim what the original claimed: for each new
volume of Cinder's a persistent volume is made, a claim on it, and the pod with these claims. Claims behind
which there is no volume of Cinder's are used as they are.
"""

from __future__ import annotations

from refloat.resources.base import hooks
from refloat.resources.declared import Declared
from refloat.resources.pod.cluster import KINDS
from refloat.resources.pod.plan import plan
from refloat.resources.pod.protectable import TYPE, PodProtectable
from refloat.resources.pod.restore import restore
from refloat.resources.pod.section import ATTRIBUTES, read
from refloat.resources.verifying import data_is

PODS = Declared(
    type=TYPE,
    name="pod-manifest",
    description="Keeps the manifest in the bank; makes the pod again with its restored volumes",
    kind=KINDS[0],
    more_kinds=KINDS[1:],
    finder=PodProtectable,
    attributes=ATTRIBUTES,
    protect=read,
    restore=hooks(on_complete=restore),
    verify=data_is(lambda section: {"manifest": section["manifest"]}),
    plan=plan,
)

"""Pods of a Kubernetes cluster: their manifests are kept in the bank, their volumes by Cinder's plugins."""

from refloat.resources.pod.cluster import KINDS
from refloat.resources.pod.plugin import PodPlugin
from refloat.resources.pod.protectable import PodProtectable

__all__ = ["KINDS", "PLUGINS", "PROTECTABLE"]

PROTECTABLE = PodProtectable
PLUGINS = (PodPlugin,)

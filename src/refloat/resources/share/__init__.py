"""Shares: protected as Manila snapshots, restored as new shares made from these."""

from refloat.resources.share.manila import KINDS, QUOTAS
from refloat.resources.share.plugin import SharePlugin
from refloat.resources.share.protectable import ShareProtectable

__all__ = ["KINDS", "PLUGINS", "PROTECTABLE", "QUOTAS"]

PROTECTABLE = ShareProtectable
PLUGINS = (SharePlugin,)

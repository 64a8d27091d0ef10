"""Shares: protected as Manila snapshots, restored as new shares made from these."""

from refloat.resources.share.manila import KINDS
from refloat.resources.share.plugin import SharePlugin
from refloat.resources.share.protectable import ShareProtectable

__all__ = ["KINDS", "PLUGINS", "PROTECTABLE"]

PROTECTABLE = ShareProtectable
PLUGINS = (SharePlugin,)

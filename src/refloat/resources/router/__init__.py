"""Routers: their interfaces, gateways and static routes."""

from refloat.resources.router.plugin import RouterPlugin
from refloat.resources.router.protectable import RouterProtectable

PROTECTABLE = RouterProtectable
PLUGINS = (RouterPlugin,)

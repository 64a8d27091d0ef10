"""Servers: Nova's virtual machines."""

from refloat.resources.server.plugin import ServerPlugin
from refloat.resources.server.protectable import ServerProtectable

PROTECTABLE = ServerProtectable
PLUGINS = (ServerPlugin,)

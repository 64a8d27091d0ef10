"""Server groups: which servers are to be kept together, and which apart."""

from refloat.resources.servergroup.plugin import ServerGroupPlugin
from refloat.resources.servergroup.protectable import ServerGroupProtectable

PROTECTABLE = ServerGroupProtectable
PLUGINS = (ServerGroupPlugin,)

"""Networks with their subnets, as far as the project owns them."""

from refloat.resources.network.plugin import NetworkPlugin
from refloat.resources.network.protectable import NetworkProtectable

PROTECTABLE = NetworkProtectable
PLUGINS = (NetworkPlugin,)

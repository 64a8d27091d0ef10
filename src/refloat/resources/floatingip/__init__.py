"""Floating IP addresses. To which port one leads is the business of the server that needs it."""

from refloat.resources.floatingip.plugin import FloatingIPPlugin
from refloat.resources.floatingip.protectable import FloatingIPProtectable

PROTECTABLE = FloatingIPProtectable
PLUGINS = (FloatingIPPlugin,)

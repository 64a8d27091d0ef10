"""Resources that are nowhere: for trying Refloat out and for measuring it, without any cloud."""

from refloat.resources.noop.plugin import NoopPlugin
from refloat.resources.noop.protectable import NoopProtectable

PROTECTABLE = NoopProtectable
PLUGINS = (NoopPlugin,)

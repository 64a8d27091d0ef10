"""Images: their data goes through the bank; so does the disk of a server that was booted from one."""

from refloat.resources.image.plugin import ImagePlugin
from refloat.resources.image.protectable import ImageProtectable

PROTECTABLE = ImageProtectable
PLUGINS = (ImagePlugin,)

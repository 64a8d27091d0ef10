"""Database instances: protected as Trove backups, restored as new instances made from these."""

from refloat.resources.database.plugin import DatabasePlugin
from refloat.resources.database.protectable import DatabaseProtectable
from refloat.resources.database.trove import KINDS

__all__ = ["KINDS", "PLUGINS", "PROTECTABLE"]

PROTECTABLE = DatabaseProtectable
PLUGINS = (DatabasePlugin,)

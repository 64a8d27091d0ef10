"""Key pairs: the public keys that Nova hands to new servers. They belong to a user, not to a project."""

from refloat.resources.keypair.plugin import KeypairPlugin
from refloat.resources.keypair.protectable import KeypairProtectable

PROTECTABLE = KeypairProtectable
PLUGINS = (KeypairPlugin,)

"""Networks with their subnets, as far as the project owns them: protected by their settings."""

from __future__ import annotations

from refloat.cloud.kinds import KINDS
from refloat.resources.declared import Declared
from refloat.resources.network.attributes import ATTRIBUTES, NETWORK_FIELDS
from refloat.resources.network.plan import plan
from refloat.resources.network.protectable import ROUTER, NetworkProtectable
from refloat.resources.network.restore import restore
from refloat.resources.network.section import read
from refloat.resources.networking import NETWORK, RESTORE_OPTIONS, SERVER
from refloat.resources.verifying import section_has

NETWORKS = Declared(
    type=NETWORK,
    name="network",
    description="Keeps the settings of a network and its subnets and creates them again",
    kind=KINDS["network"],
    finder=NetworkProtectable,
    parents={SERVER: None, ROUTER: None},
    selectors=("tag",),
    attributes=ATTRIBUTES,
    options=RESTORE_OPTIONS,
    protect=read,
    restore=restore,
    verify=section_has("id", *NETWORK_FIELDS, "subnets"),
    plan=plan,
)

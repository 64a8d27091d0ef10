"""Routers: their interfaces, gateways and static routes, protected by their settings."""

from __future__ import annotations

from refloat.cloud.kinds import KINDS
from refloat.resources.declared import Declared
from refloat.resources.networking import RESTORE_OPTIONS, SERVER
from refloat.resources.router.attributes import ATTRIBUTES, ROUTER_FIELDS
from refloat.resources.router.plan import plan
from refloat.resources.router.protectable import RouterProtectable
from refloat.resources.router.restore import RouterRestore
from refloat.resources.router.section import read
from refloat.resources.verifying import section_has

ROUTER = "OS::Neutron::Router"

ROUTERS = Declared(
    type=ROUTER,
    name="router",
    description="Keeps a router's settings, interfaces, gateway and routes and creates them again",
    kind=KINDS["router"],
    finder=RouterProtectable,
    parents={SERVER: None},
    selectors=("tag",),
    attributes=ATTRIBUTES,
    options=RESTORE_OPTIONS,
    protect=read,
    restore=RouterRestore,
    verify=section_has("id", *ROUTER_FIELDS, "interfaces", "gateway"),
    plan=plan,
)

"""How faithfully floating IPs come back."""

from __future__ import annotations

from refloat.resources.attributes import Attribute, exact

FLOATING_IP_FIELDS = (
    "floating_ip_address",
    "floating_network_id",
    "description",
    "tags",
    "dns_name",
    "dns_domain",
    "qos_policy_id",
    "port_id",
    "fixed_ip_address",
)
"""What a section keeps of a floating IP, under Neutron's own names."""

ATTRIBUTES = (
    Attribute("id", "mapped", "Neutron chooses ids; the same one while the project still holds it"),
    *exact("floating_ip_address", "floating_network_id", "description", "tags", "dns_name", "dns_domain"),
    Attribute("port_id", "mapped", "leads to the restored server, which sees to that"),
    Attribute("fixed_ip_address", "mapped", "leads to the restored server, which sees to that"),
    Attribute("qos_policy_id", "lost", "set it again"),
    Attribute("port_forwardings", "lost", "make them again"),
)

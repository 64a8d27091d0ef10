"""How faithfully security groups come back."""

from __future__ import annotations

from refloat.resources.attributes import Attribute

GROUP_FIELDS = ("name", "description", "stateful", "tags")
"""What a section keeps of a group, under Neutron's own names."""

ATTRIBUTES = (
    Attribute("id", "mapped", "Neutron chooses ids; the default group is the project's own"),
    Attribute("name", "exact"),
    Attribute("description", "exact"),
    Attribute("stateful", "exact"),
    Attribute("tags", "exact"),
    Attribute("rules", "mapped", "the same rules under other ids; groups they name are the restored ones"),
    Attribute("rbac_policies", "exact", "which other projects may use the group"),
)

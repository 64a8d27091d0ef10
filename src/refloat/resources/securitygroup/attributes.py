"""How faithfully security groups come back."""

from __future__ import annotations

from refloat.resources.attributes import Attribute, exact

GROUP_FIELDS = ("name", "description", "stateful", "tags")
"""What a section keeps of a group, under Neutron's own names."""

ATTRIBUTES = (
    Attribute("id", "mapped", "Neutron chooses ids; the default group is the project's own"),
    *exact("name", "description", "stateful", "tags"),
    Attribute("rules", "mapped", "the same rules under other ids; groups they name are the restored ones"),
    Attribute("rbac_policies", "exact", "which other projects may use the group"),
)

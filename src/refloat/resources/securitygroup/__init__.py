"""Security groups with their rules."""

from refloat.resources.securitygroup.plugin import SecurityGroupPlugin
from refloat.resources.securitygroup.protectable import SecurityGroupProtectable

PROTECTABLE = SecurityGroupProtectable
PLUGINS = (SecurityGroupPlugin,)

"""The project: everything that a user has in one place of a cloud."""

from refloat.resources.project.plugin import ProjectPlugin
from refloat.resources.project.protectable import ProjectProtectable

PROTECTABLE = ProjectProtectable
PLUGINS = (ProjectPlugin,)

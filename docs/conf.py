"""Sphinx: `make docs`."""

import sys
from pathlib import Path

from refloat import __version__

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "Refloat"
release = version = __version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "cliff.sphinxext",
    "references",
    "unreleased",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build", "_ext"]
html_theme = "alabaster"
html_theme_options = {"description": "Protects whole OpenStack applications", "page_width": "1100px"}
myst_heading_anchors = 4
myst_links_external_new_tab = False
nitpicky = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"
# Examples of configuration files and of what terminals print are no language.
suppress_warnings = ["misc.highlighting_failure"]

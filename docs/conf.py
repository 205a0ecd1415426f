"""Settings of the documentation: `make docs` builds it from docs/ into build/docs."""

from __future__ import annotations

import sys
from pathlib import Path

import ibdesk

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "ibdesk"
author = "the ibdesk authors"
copyright = author  # noqa: A001  # Sphinx's name
version = release = ibdesk.__version__

# `ibdesk_reference`, in _extensions, writes what the reference lists from the code.
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "ibdesk_reference"]
exclude_patterns = ["_extensions"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
# A link that leads nowhere and a name that is not found are warnings, and `make docs` fails on warnings.
nitpicky = False

# Docstrings have Google's sections; a word in single backticks is code, as in Markdown.
default_role = "code"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 4
# The words of a console or of a configuration file, which Pygments knows by other names or not at all.
highlight_language = "text"

html_theme = "furo"
html_title = "ibdesk"
html_show_sphinx = False
html_copy_source = False
# Nothing is fetched: neither fonts nor scripts nor the objects of other projects.
html_theme_options = {"top_of_page_buttons": []}
html_static_path: list[str] = []

"""Sphinx builds the documentation: ``make docs``.

Pages are Markdown, and templates as well: before Sphinx parses a page, Jinja fills in what
`docs.context` gives, so that no figure, no option and no public name is written twice.
"""

import os
import sys
from pathlib import Path

import jinja2
from docutils.nodes import Element, TextElement
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

HERE = Path(__file__).parent
# For the flows and the benchmarks, which are not installed.
sys.path.insert(0, str(HERE.parent))
# Flows and tasks are imported to be documented; nothing of Prefect's may be left behind by that.
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "ERROR")

from docs.context import context  # noqa: E402  # needs the path
from imdb_classifier import __version__ as release  # noqa: E402

project = "imdb-classifier"
version = release
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
# Docstrings put code and names into single backticks; what is public becomes a link.
default_role = "py:obj"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
# Types stand in signatures; by default, words before a colon would be taken for one.
napoleon_custom_sections = ["Returns"]

html_theme = "furo"
html_title = f"imdb-classifier {release}"
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False


def _fill(app: Sphinx, page: str, source: list[str]) -> None:
    template = jinja2.Template(source[0], undefined=jinja2.StrictUndefined, trim_blocks=True)
    source[0] = template.render(app.config["page_context"])


def _public(
    app: Sphinx, environment: BuildEnvironment, node: pending_xref, content: TextElement
) -> Element | None:
    """Docstrings name what is public as one imports it: without its module."""
    target = f"imdb_classifier.{node['reftarget']}"
    python = environment.domains.python_domain
    return python.resolve_xref(
        environment, node["refdoc"], app.builder, "obj", target, node, content
    )


def setup(app: Sphinx) -> None:
    """Fill in each page as it is read, and link the names in docstrings."""
    app.add_config_value("page_context", context(), rebuild="")
    app.connect("source-read", _fill)
    app.connect("missing-reference", _public)

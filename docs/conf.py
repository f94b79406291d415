"""Sphinx configuration of the documentation (``make docs``).

Pages are Markdown and Jinja templates: before Sphinx parses a page, Jinja fills in the values of
`docs.context`, so that no figure, option or public name is written twice.
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
# Autodoc imports flows and tasks; Prefect's log does not belong into the output of the build.
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
# Docstrings put names into single backticks; those of public names become links.
default_role = "py:obj"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
# Types are in signatures. By default, Napoleon takes words before a colon for the type.
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
    """Resolve public names, which docstrings write without their module."""
    target = f"imdb_classifier.{node['reftarget']}"
    python = environment.domains.python_domain
    return python.resolve_xref(
        environment, node["refdoc"], app.builder, "obj", target, node, content
    )


def setup(app: Sphinx) -> None:
    """Register the hooks that fill in pages and link names in docstrings."""
    app.add_config_value("page_context", context(), rebuild="")
    app.connect("source-read", _fill)
    app.connect("missing-reference", _public)

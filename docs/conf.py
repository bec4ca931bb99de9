"""How Sphinx makes the pages: Markdown in, HTML out, formulas as MathML so that nothing comes from elsewhere."""

from __future__ import annotations

import importlib.metadata

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

project = "Blondel"
project_copyright = "the Blondel contributors, BSD-2-Clause"
release = importlib.metadata.version("blondel")

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nitpicky = True

html_theme = "furo"
html_title = "Blondel"
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["formulas.css"]
html_copy_source = False
html_show_sphinx = False


def inline_math(self, node: nodes.math) -> None:
    """Write a formula within a line."""
    self.body.append(tex2mathml(node.astext(), as_block=False))
    raise nodes.SkipNode


def block_math(self, node: nodes.math_block) -> None:
    """Write a formula on its own line."""
    self.body.append(tex2mathml(node.astext(), as_block=True))
    raise nodes.SkipNode


def setup(app) -> None:
    """Add the MathML renderer to Sphinx."""
    app.add_html_math_renderer("mathml", (inline_math, None), (block_math, None))

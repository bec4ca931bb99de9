"""How Sphinx makes the pages: Markdown in, HTML out, formulas as MathML so that nothing comes from elsewhere.

A board's wiring, its tables and drawings, is made from the board's file.
"""

from __future__ import annotations

import base64
import importlib.metadata

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util.docutils import SphinxDirective

from blondel.boards import BOARDS
from blondel.host import drawing, wiring

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


class Wiring(SphinxDirective):
    """Show a board's drawings and tables: ``wiring``, with the board's name."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return what is shown."""
        board = BOARDS[self.arguments[0]]
        # Whatever has changed since, the page follows.
        self.env.note_reread()
        pictures = []
        for draw, what in ((drawing.draw_outputs, "outputs"), (drawing.draw_converter, "converter")):
            data = base64.b64encode(drawing.to_svg(draw(board)).encode()).decode()
            html = f'<p><img alt="{board.title}: {what}" src="data:image/svg+xml;base64,{data}"></p>'
            pictures.append(nodes.raw("", html, format="html"))
        return [*pictures, *self.parse_text_to_nodes(wiring.to_markdown(board))]


def setup(app) -> None:
    """Add the MathML renderer and the boards' wiring to Sphinx."""
    app.add_html_math_renderer("mathml", (inline_math, None), (block_math, None))
    app.add_directive("wiring", Wiring)

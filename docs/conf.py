"""How Sphinx makes the site: all pages as they stand, and an API reference from the docstrings.

The sources are the repository and not this folder, so that a link such as `../README.md` leads on
the site where it leads on the disk. `make docs` builds it.
"""

import importlib
import os
import re
import sys
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils import unescape
from latex2mathml import converter
from sphinx.domains.python import PyXRefRole
from sphinx.util.math import get_node_equation_number

project = "somaflow"
author = "The authors of somaflow"
copyright = author
version = release = version_of("somaflow")

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
root_doc = "docs/contents"
include_patterns = ["*.md", "docs/**.md", "docs/api/generated/*.rst"]
exclude_patterns = [".*", "docs/_build", "src", "tests", "benchmarks"]
templates_path = [str(Path(__file__).parent / "_templates")]  # autosummary looks elsewhere

html_theme = "furo"
html_title = "somaflow"
html_additional_pages = {"index": "redirect.html"}  # where the pages begin is docs/index.html
html_copy_source = False
html_static_path = [str(Path(__file__).parent / "_static")]
html_css_files = ["somaflow.css"]
html_favicon = str(Path(__file__).parent / "_static" / "icon.svg")
html_math_renderer = "mathml"

myst_heading_anchors = 4
myst_enable_extensions = ["dollarmath"]

# The sessions of the course are computed when the site is made, and their figures stand in it.
os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
nb_execution_mode = "force"
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_merge_streams = True
nb_output_stderr = "remove"

sys.path.insert(0, str(Path(__file__).parent))
mechanism_pages = importlib.import_module("mechanism_pages")
mechanism_pages.write(Path(__file__).parent / "mechanisms")

# Pages of names that are no longer there would stay, and fail.
for page in (Path(__file__).parent / "api" / "generated").glob("*.rst"):
    page.unlink()

autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
napoleon_numpy_docstring = False
napoleon_use_ivar = True
add_module_names = False
default_role = "quoted"


def quoted(
    role: str, raw: str, text: str, line: int, inliner: Any, options: Any = None, content: Any = ()
) -> tuple[list[Any], list[Any]]:
    """Show code that a docstring quotes with single marks; names of ours become links."""
    if not re.fullmatch(r"[A-Za-z_][\w.]*", text):
        return [nodes.literal(raw, unescape(text, restore_backslashes=True))], []
    target = re.sub(r"^sf\.", "somaflow.", text)
    return PyXRefRole()("py:obj", raw, f"{text} <{target}>", line, inliner, options or {}, content)


def left_out(app: Any, what: str, name: str, found: Any, skip: bool, options: Any) -> bool | None:
    """Leave out the fields of named tuples, which the docstring of their class describes."""
    return True if type(found).__name__ == "_tuplegetter" else None


def described(app: Any, what: str, name: str, found: Any, options: Any, lines: list[str]) -> None:
    """Keep Napoleon from reading what stands before a colon as the type of a property."""
    if what in ("property", "attribute"):
        lines.insert(0, "")


def signed(
    app: Any, what: str, name: str, found: Any, options: Any, arguments: str, returns: str
) -> tuple[str, str] | None:
    """Write a quantity in a signature as a user writes it; of a protocol nobody makes one."""
    if getattr(found, "_is_protocol", False):
        return "", ""
    if not arguments:
        return None
    return re.sub(r"<Quantity\((\S+), '(\w+)'\)>", r"\1*\2", arguments), returns


def inline_math(writer: Any, node: nodes.math) -> None:
    """Write mathematics as MathML, which browsers draw by themselves: no script, no other host."""
    writer.body.append(converter.convert(node.astext()))
    raise nodes.SkipNode


def display_math(writer: Any, node: nodes.math_block) -> None:
    """Write a line of mathematics likewise."""
    number = f"({get_node_equation_number(writer, node)})" if node.get("number") else ""
    drawn = converter.convert(node.astext(), display="block")
    writer.body.append(f'<div class="math">{drawn}{number}</div>\n')
    raise nodes.SkipNode


def setup(app: Any) -> None:
    """Add to Sphinx what is particular to this site."""
    app.add_html_math_renderer("mathml", (inline_math, None), (display_math, None))
    app.add_role("quoted", quoted)
    app.connect("autodoc-skip-member", left_out)
    app.connect("autodoc-process-docstring", described, priority=0)  # before Napoleon
    app.connect("autodoc-process-signature", signed)

"""Configuration of the documentation: ``sphinx-build -W -b html docs docs/_build/html``."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterable, Iterator
from importlib.metadata import version as version_of
from pathlib import Path

from pybtex.database import Entry
from pybtex.plugin import register_plugin
from pybtex.style.formatting.unsrt import Style as Unsorted
from pybtex.style.labels import BaseLabelStyle
from sphinx.application import Sphinx
from sphinx.ext.napoleon.docstring import NumpyDocstring

HERE = Path(__file__).parent

# --- the project ---

project = "epiattn"
author = "epiattn developers"
copyright = f"2026, {author}"
release = version = version_of("epiattn")

# --- what Sphinx reads ---

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",  # formulas need no other site
    "sphinx.ext.napoleon",
    "sphinxcontrib.bibtex",
    "sphinx_autodoc_typehints",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "**.ipynb_checkpoints"]
templates_path = ["_templates"]
bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "author_year"
bibtex_reference_style = "author_year"

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # the notebooks are committed with their outputs

autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # sphinx-autodoc-typehints writes them
napoleon_google_docstring = False
napoleon_use_param = True
napoleon_use_rtype = False
typehints_defaults = "braces"
typehints_use_rtype = False
always_use_bars_union = True
suppress_warnings = ["sphinx_autodoc_typehints.forward_reference", "sphinx_autodoc_typehints.guarded_import"]

nitpicky = True
# Names of other projects are links where their indices are at hand (below), and words where they are not.
_OTHERS = ["AnnData", "anndata", "captum", "dask", "distributed", "igraph", "lightning", "matplotlib", "mudata"]
_OTHERS += ["numpy", "pandas", "pytorch", "scanpy", "scipy", "scvi", "sklearn", "torch"]
_OTHERS += ["Ellipsis", "abc", "collections", "contextlib", "functools", "pathlib", "typing"]
nitpick_ignore_regex = [
    ("py:.*", rf"({'|'.join(_OTHERS)})(\..*)?"),
    # seen only as parts of others
    ("py:class", r"epiattn\.(models\._(inference|outputs|training)\.\w+|io\._signal\.Sums|tl\._edits\.Edit)"),
]

if "READTHEDOCS" in os.environ:  # other projects' indices need a network, which a local build need not have
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "anndata": ("https://anndata.readthedocs.io/en/stable/", None),
        "mudata": ("https://mudata.readthedocs.io/stable/", None),
        "numpy": ("https://numpy.org/doc/stable/", None),
        "pandas": ("https://pandas.pydata.org/docs/", None),
        "python": ("https://docs.python.org/3/", None),
        "scanpy": ("https://scanpy.readthedocs.io/en/stable/", None),
        "scipy": ("https://docs.scipy.org/doc/scipy/", None),
        "scvi": ("https://docs.scvi-tools.org/en/stable/", None),
        "torch": ("https://docs.pytorch.org/docs/stable/", None),
    }

# --- what it looks like ---

html_theme = "sphinx_book_theme"
html_title = "epiattn"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_theme_options = {
    "repository_url": "https://github.com/scverse/epiattn",
    "use_download_button": False,
    "use_repository_button": True,
    "show_toc_level": 2,
}
html_copy_source = False
html_show_sourcelink = False


# --- what Sphinx does not do by itself ---


def _returns_as_prose(self: NumpyDocstring, _section: str) -> list[str]:
    """Our "Returns" sections say what comes back; its type is taken from the annotation, not from the first line."""
    lines = self._dedent(self._consume_to_next_section())
    if lines[:1] == [":"]:  # a hint that sphinx-autodoc-typehints leaves for the parser that this one replaces
        del lines[0]
    return [*self._format_block(":returns: ", lines), ""]


NumpyDocstring._parse_returns_section = _returns_as_prose


class AuthorYear(BaseLabelStyle):
    """Labels of the references: ``Kang et al. 2020``."""

    def format_labels(self, sorted_entries: Iterable[Entry]) -> Iterator[str]:
        for entry in sorted_entries:
            names = [" ".join(person.last_names) for person in entry.persons["author"]]
            several = f"{names[0]} et al." if len(names) > 2 or names[1:] == ["others"] else " and ".join(names)
            yield f"{several} {entry.fields['year']}"


class References(Unsorted):
    """Plain references with these labels, by author."""

    default_label_style = AuthorYear
    default_sorting_style = "author_year_title"


register_plugin("pybtex.style.formatting", "author_year", References)

warnings.filterwarnings("ignore", module="sphinx_autodoc_typehints")  # its own deprecations

tutorials = HERE / "tutorials"
tutorials.mkdir(exist_ok=True)
for notebook in sorted((HERE.parent / "tutorials").glob("*.ipynb")):
    shutil.copy2(notebook, tutorials)


def setup(app: Sphinx) -> None:
    """Leave out what a NamedTuple says of its fields; its docstring says more."""

    def skip(_app: Sphinx, _what: str, _name: str, member: object, _skip: object, _options: object) -> bool | None:
        return True if str(getattr(member, "__doc__", "")).startswith("Alias for field number") else None

    app.connect("autodoc-skip-member", skip)

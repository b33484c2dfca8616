"""The check of the built site finds what is wrong with a page, and nothing where nothing is."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

PATH = Path(__file__).parents[2] / "docs" / "check_site.py"
pytestmark = pytest.mark.skipif(not PATH.exists(), reason="the documentation is not here")

GOOD = """<html><body><h1 id="start">A page</h1>
<p>Costs $5 &amp; more, <code>$x$</code>, <span class="math">\\(\\alpha\\)</span>.
<a href="#start">up</a> <a href="b/c.html#there">other</a> <a href="https://example.org/missing#x">away</a>
<img src="a.png" alt="A drawing"><svg role="img" aria-labelledby="x"></svg></p></body></html>"""
OTHER = """<html><body><h1>Fit</h1><p id="there"><a href="../index.html">back</a>
<code><span>obs["attn_score"]</span></code></p></body></html>"""


@pytest.fixture(scope="module")
def check_site():
    spec = importlib.util.spec_from_file_location("check_site", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def site(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "index.html").write_text(GOOD)
    (tmp_path / "b" / "c.html").write_text(OTHER)
    objects = {"epiattn.tl": [[0, 0, 1, "", "fit"]]}
    index = {"docnames": ["b/c", "index"], "terms": {"fit": 0}, "titleterms": {}, "objects": objects}
    (tmp_path / "searchindex.js").write_text(f"Search.setIndex({json.dumps(index)})")
    return tmp_path


@pytest.fixture
def check(check_site, site):
    return lambda fields=('obs["attn_score"]',): check_site.check(site, fields=list(fields), fit_page="b/c")


def test_a_good_site_has_no_problems(check):
    assert check() == []


@pytest.mark.parametrize(
    ("what", "problem"),
    [
        ('<a href="nowhere.html">x</a>', "<a> leads to 'nowhere.html', which is not there"),
        ('<a href="b/c.html#nowhere">x</a>', "<a> leads to 'b/c.html#nowhere', but there is no such anchor"),
        ('<a href="#nowhere">x</a>', "<a> leads to '#nowhere', but there is no such anchor"),
        ('<img src="b.png" alt="x">', "<img> leads to 'b.png', which is not there"),
        ('<link href="style.css">', "<link> leads to 'style.css', which is not there"),
        ('<script src="https://example.org/a.js"></script>', "<script> asks another site: 'https://example.org/a.js'"),
        ('<img src="a.png">', "the image 'a.png' has no text"),
        ('<img src="a.png" alt="a.png">', "the text of the image 'a.png' is its address"),
        ('<svg role="img"></svg>', "a drawing has no text"),
        ("<p>\nso $x^2$ is</p>", "a formula is left over: '$x^2$'"),
        ("<p>\\frac 1 2</p>", "a formula is left over: '\\\\frac'"),
        ("<p>see {func}`fit`</p>", "a role is left over: '{func}`'"),
        ("<p>a **word** is</p>", "an emphasis is left over: '**word**'"),
        ("<p>\n.. note:: this</p>", "a directive is left over: '.. note::'"),
    ],
)
def test_what_is_wrong_with_a_page_is_found(what, problem, check, site):
    (site / "index.html").write_text(GOOD.replace("</body>", f"{what}</body>"))
    assert [found.strip() for found in check()] == [f"index.html: {problem}"]


def test_a_page_without_a_title_is_found(check, site):
    (site / "b" / "c.html").write_text(OTHER.replace("h1", "h2"))
    assert check() == ["b/c.html: no title (h1)"]


def test_a_field_that_the_page_of_fit_does_not_name_is_found(check):
    assert check(['obs["attn_score"]', 'obs["attn_x"]']) == ['b/c.html does not name obs["attn_x"]']


def test_a_search_that_does_not_find_fit_is_found(check, site):
    index = (site / "searchindex.js").read_text()
    (site / "searchindex.js").write_text(index.replace('"fit"', '"fitness"'))
    assert check() == ["the search does not find the word 'fit'", "the search does not find the function 'fit'"]
    (site / "searchindex.js").unlink()
    assert check() == ["there is no searchindex.js"]


def test_an_empty_site_is_found(check_site, tmp_path):
    assert check_site.check(tmp_path, fields=[])[0] == f"{tmp_path}: no pages"


def test_fields_of_fit_are_read_from_its_docstring(check_site):
    fields = check_site.fields_of_fit()
    assert {'obsm["X_attn"]', 'mdata["tf"].obs["attn_unbound"]', 'obs["split"]'} <= set(fields)

"""Read the built site as a reader would, and say what is wrong: ``python docs/check_site.py docs/_build/html``.

Every internal link, anchor and image leads somewhere, images have a text, formulas are set, no markup is left over, the
search finds `fit`, and the page of `tl.fit` names all that the function writes.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

FIT_PAGE = "generated/epiattn.tl.fit"
#: Elements without an end tag.
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
#: Elements whose text is shown as it stands, or not at all.
VERBATIM = {"code", "kbd", "pre", "samp", "script", "style", "textarea"}
#: What markup looks like when it was not understood.
LEFT_OVER = {
    "a formula": re.compile(r"\$[^$\s][^$\n]*[^$\s]\$|\\(?:frac|sum|alpha|mathbb|operatorname)\b"),
    "a role": re.compile(r"\{[a-z:]+\}`|:[a-z]+:`"),
    "an emphasis": re.compile(r"\*\*\w[^*\n]*\*\*"),
    "a directive": re.compile(r"\.\. [a-z]+::|:::\{|```"),
}


class Link(NamedTuple):
    """An address in a page, and what it is for."""

    target: str
    tag: str


class Page(HTMLParser):
    """What a page holds."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.anchors: set[str] = {"", "top"}
        self.links: list[Link] = []
        self.problems: list[str] = []
        self.text: list[str] = []
        self.everything: list[str] = []
        self.n_titles = 0
        self._open: list[tuple[str, bool]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note anchors, addresses and images."""
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        address = given.get("src") if tag in ("img", "script", "source", "iframe") else given.get("href")
        if address is not None and not (tag == "link" and given.get("rel") == "canonical"):
            self.links.append(Link(address, tag))
        if tag == "img" and not given.get("alt", "").strip():
            self.problems.append(f"the image {given.get('src', '')[:60]!r} has no text")
        if tag == "img" and given.get("alt") == given.get("src"):
            self.problems.append(f"the text of the image {given['src'][:60]!r} is its address")
        if tag == "svg" and given.get("role") == "img" and not given.keys() & {"aria-label", "aria-labelledby"}:
            self.problems.append("a drawing has no text")
        self.n_titles += tag == "h1"
        if tag not in VOID:
            classes = given.get("class", "").split()
            hidden = tag in VERBATIM or "math" in classes or "literal" in classes
            self._open.append((tag, hidden))

    def handle_endtag(self, tag: str) -> None:
        """Go back to where the element began."""
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        """Keep the text that a reader sees."""
        self.everything.append(data)
        if not any(hidden for _, hidden in self._open):
            self.text.append(data)


def check(site: Path, *, fields: list[str], fit_page: str = FIT_PAGE) -> list[str]:
    """What is wrong with a site."""
    paths = sorted(path for path in site.rglob("*.html") if "_static" not in path.relative_to(site).parts)
    pages = {path.resolve(): Page(path.read_text(encoding="utf-8")) for path in paths}
    problems = [] if pages else [f"{site}: no pages"]
    for path, page in pages.items():
        name = path.relative_to(site.resolve()).as_posix()
        problems += [f"{name}: {problem}" for problem in [*page.problems, *left_over(page)]]
        problems += [f"{name}: {problem}" for link in page.links if (problem := broken(path, link, pages))]
        if not page.n_titles:
            problems.append(f"{name}: no title (h1)")
    return problems + missing_fields(site, fit_page, pages, fields) + unfound(site, fit_page)


def left_over(page: Page) -> list[str]:
    """Markup that a reader sees."""
    text = "".join(page.text)
    return [
        f"{what} is left over: {found[0][:60]!r}" for what, regex in LEFT_OVER.items() if (found := regex.search(text))
    ]


def broken(path: Path, link: Link, pages: dict[Path, Page]) -> str:
    """Why a link leads nowhere; empty if it does not, or leads away, which scripts must not."""
    address = urlsplit(link.target)
    if address.scheme or address.netloc:
        return f"<{link.tag}> asks another site: {link.target!r}" if link.tag == "script" else ""
    target = (path.parent / unquote(address.path)).resolve() if address.path else path
    target = target / "index.html" if target.is_dir() else target
    if not target.is_file():
        return f"<{link.tag}> leads to {link.target!r}, which is not there"
    if address.fragment and target in pages and unquote(address.fragment) not in pages[target].anchors:
        return f"<{link.tag}> leads to {link.target!r}, but there is no such anchor"
    return ""


def missing_fields(site: Path, fit_page: str, pages: dict[Path, Page], fields: list[str]) -> list[str]:
    """Fields that the page of `tl.fit` does not name."""
    page = pages.get((site / f"{fit_page}.html").resolve())
    text = "".join(page.everything) if page else ""
    return [f"{fit_page}.html does not name {field}" for field in fields if field not in text]


def unfound(site: Path, fit_page: str) -> list[str]:
    """Whether the search for `fit` leads to its page, as a word and as a function."""
    path = site / "searchindex.js"
    if not path.exists():
        return ["there is no searchindex.js"]
    index = json.loads(path.read_text(encoding="utf-8").removeprefix("Search.setIndex(").rstrip().removesuffix(")"))
    number = index["docnames"].index(fit_page) if fit_page in index["docnames"] else -1
    word = {name: index[name].get("fit", []) for name in ("terms", "titleterms")}
    by_word = any(number in (found if isinstance(found, list) else [found]) for found in word.values())
    functions = [
        entry for each in index["objects"].values() for entry in each if entry[-1] == "fit" or entry[4] == "fit"
    ]
    by_name = any(entry[0] == number for entry in functions)
    return [
        f"the search does not find {what}"
        for what, found in {"the word 'fit'": by_word, "the function 'fit'": by_name}.items()
        if not found
    ]


def fields_of_fit() -> list[str]:
    """Fields that the docstring of `tl.fit` says it writes; a test compares them with what it does write."""
    package = importlib.util.find_spec("epiattn")
    source = Path(str(package.origin)).parent / "tl" / "_fit.py" if package is not None else Path("epiattn")
    tree = ast.parse(source.read_text(encoding="utf-8"))
    function = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "fit")
    returns = (ast.get_docstring(function) or "").partition("Returns\n-------")[2].partition("Raises\n------")[0]
    return re.findall(r'``((?:mdata\["\w+"\]\.)?\w+\["[^"]+"\])``', returns)


if __name__ == "__main__":
    found = check(Path(sys.argv[1]), fields=fields_of_fit())
    print("\n".join(found) or f"{sys.argv[1]}: every link, anchor, image and formula is as it should be")
    sys.exit(bool(found))

"""Pages of HTML that need no other file: tables, pictures and text, for light and dark screens of any width."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NUMBERS = ("number", "good", "bad")
_LARGEST_SVG = 600_000  # bytes; a picture of more shapes is a PNG

_STYLE = """
:root { color-scheme: light dark; --back: #ffffff; --text: #1f2328; --soft: #59636e; --line: #d1d9e0; --shade: #f6f8fa;
  --accent: #0059a1; --good: #0b6e4f; --bad: #b3261e; }
@media (prefers-color-scheme: dark) {
  :root { --back: #14181d; --text: #e6e9ed; --soft: #9aa5b1; --line: #333c47; --shade: #1c2229; --accent: #78b7f0;
    --good: #5ecfa5; --bad: #ff8a80; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--text); font: 16px/1.55 system-ui, -apple-system, "Segoe UI",
  Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .75rem; padding-top: 1rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
p { margin: .5rem 0; max-width: 46rem; }
a { color: var(--accent); }
.soft, caption, figcaption { color: var(--soft); font-size: .875rem; }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; margin: 1rem 0 0; font-size: .875rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: .75rem; margin: 1.25rem 0; }
.card { background: var(--shade); border: 1px solid var(--line); border-radius: .5rem; padding: .75rem 1rem; }
.card b { display: block; font-size: 1.35rem; line-height: 1.3; font-weight: 600; overflow-wrap: anywhere; }
.card span { color: var(--soft); font-size: .8125rem; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: .5rem; margin: .75rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .875rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: .5rem .75rem; }
th, td { padding: .4rem .6rem; text-align: left; border-top: 1px solid var(--line); white-space: nowrap; }
td.long { white-space: normal; min-width: 16rem; }
thead th { background: var(--shade); border-top: 0; font-weight: 600; }
th.number, td.number { text-align: right; }
th:first-child, td:first-child { position: sticky; left: 0; background: var(--back); }
thead th:first-child { background: var(--shade); }
tbody tr:hover td { background: var(--shade); }
td.good { color: var(--good); } td.bad { color: var(--bad); }
figure { margin: 1rem 0; }
figure img { display: block; max-width: 100%; height: auto; background: #ffffff; border: 1px solid var(--line);
  border-radius: .5rem; padding: .75rem; width: 100%; }
figure.wide { max-width: 46rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 0 1.25rem;
  align-items: start; }
pre { background: var(--shade); border: 1px solid var(--line); border-radius: .5rem; padding: .75rem 1rem;
  overflow-x: auto; font-size: .8125rem; }
code { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
@media (max-width: 40rem) { main { padding: 1.25rem 1rem 3rem; } h1 { font-size: 1.4rem; } }
@media print { nav { display: none; } .scroll { overflow: visible; } }
"""


def page(title: str, parts: Iterable[str]) -> str:
    """A whole page.

    Parameters
    ----------
    title
        Of the page, as plain text.
    parts
        What stands on it, as HTML.
    """
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(parts)
        + "\n</main>\n</body>\n</html>\n"
    )


class Cell(NamedTuple):
    """Text of a cell that is of a kind: ``number``, ``good`` or ``bad`` (numbers too), or ``long``."""

    text: str
    kind: str = "number"


def table(header: Sequence[str], rows: Iterable[Sequence[str | Cell]], *, caption: str = "") -> str:
    """A table that scrolls sideways where a screen is narrow; columns of numbers are aligned to the right."""
    cells = [[cell if isinstance(cell, Cell) else Cell(cell, "") for cell in row] for row in rows]
    numbers = [any(row[i].kind in _NUMBERS for row in cells) for i in range(len(header))]
    head = "".join(
        f'<th scope="col"{_class("number" if number else "")}>{escape(name)}</th>'
        for name, number in zip(header, numbers, strict=True)
    )
    body = "\n".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in cells)
    label = escape(caption or ", ".join(header), quote=True)
    said = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{label}"><table>{said}'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def _cell(cell: Cell) -> str:
    kind = f"number {cell.kind}" if cell.kind in ("good", "bad") else cell.kind
    return f"<td{_class(kind)}>{escape(cell.text)}</td>"


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""


def cards(items: Iterable[tuple[str, str]]) -> str:
    """Large values with a line below each."""
    inner = "".join(
        f'<div class="card"><b>{escape(value)}</b><span>{escape(what)}</span></div>' for value, what in items
    )
    return f'<div class="cards">{inner}</div>'


def picture(figure: Figure, alt: str, caption: str = "", kind: str = "") -> str:
    """A figure, drawn into the page; one of the kind ``wide`` stands alone."""
    import matplotlib as mpl

    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "epiattn"}):  # the same figure gives the same text
        figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    media = "svg+xml"
    if buffer.tell() > _LARGEST_SVG:
        buffer, media = io.BytesIO(), "png"
        figure.savefig(buffer, format="png", bbox_inches="tight", dpi=200)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    said = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    source = f"data:image/{media};base64,{data}"
    return f'<figure{_class(kind)}><img src="{source}" alt="{escape(alt, quote=True)}">{said}</figure>'


def heading(text: str, name: str) -> str:
    """A heading that can be linked to."""
    return f'<h2 id="{name}">{escape(text)}</h2>'


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph."""
    return f"<p{_class(kind)}>{escape(text)}</p>"

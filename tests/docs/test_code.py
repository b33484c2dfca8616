"""Code on the pages and in the README can be parsed, and what it calls is there.

The page "Extend it" has a test of its own, and tutorials are executed.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import epiattn as attn
from epiattn._registry import models
from epiattn.tl._fit import _sort_options

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for pattern in ("docs/*.md", "docs/user_guide/*.md", "README.md")
    for path in ROOT.glob(pattern)
    if path.name != "extend.md"
)
#: Functions that pass options on to another one.
PASSED_TO = {"datasets.roadmap": attn.io.build}
pytestmark = pytest.mark.skipif(not PAGES, reason="the documentation is not here")


def blocks_of(path: Path) -> list[str]:
    """Python code of a page."""
    return re.findall(r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def name_of(node: ast.expr) -> str | None:
    """``"tl.fit"`` for ``attn.tl.fit``; ``None`` for what does not start with the package."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join(reversed(parts)) if isinstance(node, ast.Name) and node.id == "attn" and parts else None


def problems(code: str) -> Iterator[str]:
    """Names of the package that it does not have, and arguments that its functions do not take."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Attribute) and (name := name_of(node)) is not None and found(name) is None:
            yield f"attn.{name}"
        if not (isinstance(node, ast.Call) and (name := name_of(node.func)) is not None):
            continue
        function = found(name)
        if not (inspect.isfunction(function) or inspect.isclass(function)):
            continue
        parameters = inspect.signature(function).parameters
        unknown = [each.arg for each in node.keywords if each.arg is not None and each.arg not in parameters]
        if unknown and any(each.kind is each.VAR_KEYWORD for each in parameters.values()):
            unknown = refused(name, node, unknown)
        yield from (f"attn.{name}({argument}=)" for argument in unknown)


def found(name: str) -> object | None:
    value: object = attn
    for part in name.split("."):
        value = getattr(value, part, None)
    return value


def refused(name: str, node: ast.Call, options: list[str]) -> list[str]:
    """Options that are not taken where a function passes them on: to the model that is named, or to another one."""
    if name in PASSED_TO:
        return [each for each in options if each not in inspect.signature(PASSED_TO[name]).parameters]
    chosen = next((each.value for each in node.keywords if each.arg == "model"), None)
    model = chosen.value if isinstance(chosen, ast.Constant) and chosen.value in models else "multi_attention"
    try:
        _sort_options(models[model].load(), dict.fromkeys(options))
    except TypeError:
        return options
    return []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_the_code_calls_is_there(path):
    assert [problem for block in blocks_of(path) for problem in problems(block)] == []


def test_what_is_not_there_would_be_noticed():
    code = """
attn.tl.fitt(mdata)
attn.tl.fit(mdata, n_queries=4, epochs=3)
attn.pp.split(mdata, bye="chrom")
attn.models.MultiAttention(mdata, n_querys=4)
attn.tl.fit(mdata, model="kang2020", n_queries=4)
attn.datasets.roadmap(["E003"], output="a.h5mu", colour=1)
other.thing(a=1)
"""
    assert sorted(problems(code)) == sorted(
        [
            "attn.tl.fitt",
            "attn.tl.fit(n_queries=)",
            "attn.tl.fit(epochs=)",
            "attn.pp.split(bye=)",
            "attn.models.MultiAttention(n_querys=)",
            "attn.tl.fit(n_queries=)",
            "attn.datasets.roadmap(colour=)",
        ]
    )
    assert found("tl.fit") is attn.tl.fit

"""The report of a benchmark: one file with the numbers of the tables and what the splits leak, nothing from outside."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

import matplotlib.pyplot as plt
import numpy as np
import pytest

import epiattn as attn
from epiattn import _html
from epiattn._html import Cell, picture, table
from epiattn._report import write_report

VOID = {"meta", "img"}


class Page(HTMLParser):
    """Checks that elements nest; keeps tables as texts, attributes of all elements, and ids."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
        if self.stack and self.stack[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data

    def table(self, *names: str) -> dict[str, list[str]]:
        """The table whose header begins so: rows by their first cell."""
        found = next(rows for rows in self.tables if rows[0][: len(names)] == list(names))
        return {row[0]: row[1:] for row in found[1:]}


@pytest.fixture(scope="module")
def run():
    """A benchmark by cell type, whose test genes are in training too."""
    mdata = attn.datasets.simulate(n_genes=80, cell_types=["a<b", "liver", "brain"], n_tfs=5, max_cpgs=5, seed=1)
    attn.settings.verbosity = "warning"
    attn.tl.benchmark(mdata, models=["logistic", "gene_mean"], by="cell_type", seeds=(3, 4), n_jobs=1)
    return mdata


@pytest.fixture(scope="module")
def page(run, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    figures = {"benchmark": attn.pl.benchmark(run).figure, "roc": attn.pl.roc(run).figure}
    columns = list(run.obs)
    write_report(run, path, figures=figures, command="epiattn benchmark 'a & b.h5mu'", data="a & b.h5mu")
    assert list(run.obs) == columns
    assert [each.name for each in path.parent.iterdir()] == ["report.html"]
    return Page(path.read_text(encoding="utf-8"))


def test_nothing_comes_from_outside(page):
    sources = [value for _, given in page.elements for name, value in given.items() if name in ("src", "href")]
    assert all(value.startswith(("data:image/", "#")) for value in sources)
    assert {tag for tag, _ in page.elements}.isdisjoint({"script", "link", "iframe"})
    style = next(text for text in page.texts if "prefers-color-scheme" in text)
    assert "url(" not in style
    assert "@import" not in style


def test_links_lead_somewhere_and_pictures_say_what_they_show(page):
    ids = {given["id"] for _, given in page.elements if "id" in given}
    links = [given["href"][1:] for tag, given in page.elements if tag == "a"]
    assert links
    assert set(links) <= ids
    pictures = [given for tag, given in page.elements if tag == "img"]
    assert len(pictures) == 2
    assert all(given["alt"] for given in pictures)
    for given in pictures:
        data = base64.b64decode(given["src"].split("base64,")[1])
        assert data.startswith(b"<?xml")
        assert data.rstrip().endswith(b"</svg>")


def test_the_numbers_are_those_of_the_tables(page, run):
    expected = attn.get.benchmark(run)
    rows = page.table("model", "kind", "ROC AUC")
    assert list(rows) == expected["model"].tolist()
    for _, row in expected.iterrows():
        kind, value, interval, *_ = rows[row["model"]]
        assert (kind, value) == (row["kind"], f"{row['value']:.3f}")
        assert interval == f"{row['low']:.3f} to {row['high']:.3f}"
    best = expected.attrs["best_baseline"]
    other = expected[expected["model"] != best].iloc[0]
    assert rows[best][3:5] == ["–", "–"]
    assert rows[other["model"]][3] == f"{other['difference']:+.3f}"
    summary = run.uns["benchmark"]["summary"].set_index(["metric", "model"])["value"]
    metrics = page.table("metric")
    header = next(rows[0] for rows in page.tables if rows[0][0] == "metric")[1:]
    assert metrics["Brier score (lower is better)"] == [f"{summary['brier', model]:.3f}" for model in header]


def test_splits_and_what_they_leak(page, run):
    folds = page.table("fold", "train")
    records = run.uns["benchmark"]["splits"]
    for name, record in records.items():
        parts = [f"{record[f'n_{part}']:,}" for part in ("train", "validation", "test")]
        assert folds[name] == [*parts, ", ".join(record["test"])]
    leaks = page.table("test against training")
    assert leaks["cell type in training"] == ["0.0%"] * 3
    for i in range(3):
        split = attn.pp.split(run, by="cell_type", n_folds=3, fold=i, copy=True)
        report = attn.pp.leakage(split)
        seen = report[(report["part"] == "test") & (report["leak"] == "same_gene")]["share"].iloc[0]
        assert seen > 0
        assert leaks["same gene in training"][i] == f"{seen:.1%}"


def test_it_says_how_to_do_it_again(page):
    rows = page.table("", "")
    assert rows["seeds"] == ["3, 4"]
    assert rows["epiattn"] == [attn.__version__]
    assert {"torch", "numpy", "Python"} <= set(rows)
    assert "epiattn benchmark 'a & b.h5mu'" in page.texts


def test_names_are_never_taken_for_markup(page):
    assert page.table("cell type", "labelled genes")["a<b"][0] == "80"
    assert "Benchmark of a & b.h5mu" in page.texts
    found = table(["<i>"], [[Cell('"<b>', "long")]], caption="<u>")
    assert re.findall(r"</?[iub]>", found) == []
    assert picture(plt.figure(), alt='"<b>').endswith('alt="&quot;&lt;b&gt;"></figure>')


def test_verbosity_stays_as_it_was(run, tmp_path):
    attn.settings.verbosity = "info"
    write_report(run, tmp_path / "report.html", figures={})
    assert attn.settings.verbosity == "info"


def test_a_picture_of_many_shapes_is_a_png(monkeypatch):
    figure, ax = plt.subplots()
    ax.plot(np.arange(3))
    assert picture(figure, alt="line") == picture(figure, alt="line")
    assert "data:image/svg+xml" in picture(figure, alt="line")
    monkeypatch.setattr(_html, "_LARGEST_SVG", 100)
    assert "data:image/png" in picture(figure, alt="line")


def test_expression_and_a_model_without_value(tmp_path):
    mdata = attn.datasets.simulate(n_genes=120, cell_types=1, n_tfs=5, max_cpgs=5)
    attn.tl.benchmark(mdata, models=["ridge", "gene_mean"], target="expression", n_folds=2, n_jobs=1)
    write_report(mdata, tmp_path / "report.html", figures={})
    found = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    rows = found.table("model", "kind", "Pearson correlation")
    assert float(rows["ridge"][1]) > 0
    assert rows["gene_mean"] == ["baseline", *["–"] * 6]
    assert "needs the gene in training" in found.table("model", "note")["gene_mean"][0]

"""The report of a benchmark: one page with tables, plots, splits, what they leak, and how to do it again."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator, Mapping
from html import escape
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from epiattn import _keys as k
from epiattn._html import Cell, cards, heading, page, paragraph, picture, table
from epiattn._modalities import find_channels
from epiattn._validation import as_mudata

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from mudata import MuData

Row = list[str | Cell]

_VERSIONS = ("epiattn", "scvi-tools", "torch", "scikit-learn", "scanpy", "anndata", "mudata", "numpy", "pandas")
_LEAKS = {
    "overlap": "windows overlap",
    "near": "within 20 kb",
    "same_gene": "same gene in training",
    "identical": "identical signal",
    "cell_type": "cell type in training",
}
#: File of a plot: what it shows, for those who cannot see it and for all others.
_PLOTS = {
    "benchmark": "Models and baselines from the best to the worst, with 95 % intervals.",
    "roc": "ROC curves on test observations.",
    "precision_recall": "Precision and recall on test observations.",
    "calibration": "Predicted probability against the share of high genes.",
    "by_cell_type": "Each cell type by itself.",
}
_MOST_GROUPS = 12  # that are named in a cell


def write_report(
    mdata: MuData,
    path: Path,
    *,
    figures: Mapping[str, Figure],
    command: str = "",
    data: str = "",
    key: str = "benchmark",
) -> None:
    """Write what :func:`epiattn.tl.benchmark` found as one file of HTML that needs no other.

    Parameters
    ----------
    mdata
        The object.
    path
        File to write.
    figures
        Plots by name, see :data:`_PLOTS`.
    command
        How to do it again.
    data
        What the data is called.
    key
        The ``key_added`` of the run.
    """
    mdata = as_mudata(mdata)
    sections = {
        "results": ("Results", _results(mdata, key, figures)),
        "metrics": ("All metrics", _metrics(mdata, key)),
        "plots": ("Plots", _plots(figures)),
        "splits": ("Splits and leakage", _splits(mdata, key)),
        "data": ("Data", _data(mdata)),
        "again": ("How to do it again", _again(mdata, key, command)),
    }
    title = "Benchmark" + (f" of {data}" if data else "")
    links = "".join(f'<a href="#{name}">{escape(text)}</a>' for name, (text, _) in sections.items())
    parts = [
        f"<header><h1>{escape(title)}</h1>",
        paragraph(f"epiattn {version('epiattn')}, {time.strftime('%d %B %Y, %H:%M')}", "soft"),
        f"<nav>{links}</nav></header>",
    ]
    for name, (text, content) in sections.items():
        parts += [heading(text, name), *content]
    text = page(title, parts)
    temporary = path.with_name(f".{path.name}.writing")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


# --- sections ---------------------------------------------------------------------------------------------------------


def _results(mdata: MuData, key: str, figures: Mapping[str, Figure]) -> Iterator[str]:
    from epiattn.get import benchmark
    from epiattn.pl._results import title_of, with_interval

    found = benchmark(mdata, key=key)
    metric, best = title_of(found.attrs["metric"]), found.attrs["best_baseline"]
    defined = found[np.isfinite(found["value"])]
    if len(defined):
        first = defined.iloc[0]
        items = [(str(first["model"]), "is the best"), (with_interval(first), f"its {metric}, with its 95 % interval")]
        models = defined[defined["kind"] == "model"]
        if best and len(models) and np.isfinite(models.iloc[0]["difference"]):
            row = models.iloc[0]
            between = f"{row['difference_low']:+.3f} to {row['difference_high']:+.3f}"
            items.append((f"{row['difference']:+.3f}", f"{row['model']} less the best baseline, {best} ({between})"))
        yield cards(items)
    rows: list[Row] = [
        [
            str(row["model"]),
            str(row["kind"]),
            _number(row["value"]),
            _between(row["low"], row["high"]),
            _difference(row),
            _between(row["difference_low"], row["difference_high"], sign="+"),
            _number(row["p_value"], ".2g"),
            _number(row["seconds"] if np.isfinite(row["value"]) else np.nan, ".1f"),
        ]
        for _, row in found.iterrows()
    ]
    header = ["model", "kind", metric, "95 % interval", f"difference to {best or 'the best baseline'}"]
    yield table([*header, "its interval", "p", "seconds"], rows, caption="Means over folds and seeds.")
    methods = ", ".join(dict.fromkeys(str(each) for each in defined["method"] if each))
    yield paragraph(
        f"Intervals: {methods or 'none'}. The p-value comes from swapping the scores of two models. Seconds are those "
        "of one training and prediction.",
        "soft",
    )
    reasons: list[Row] = [
        [str(row["model"]), Cell(str(row["note"]), "long")] for _, row in found.iterrows() if row["note"]
    ]
    if reasons:
        yield table(["model", "note"], reasons)
    if "benchmark" in figures:
        yield picture(
            figures["benchmark"], alt=f"{metric} of {len(defined)} models", caption=_PLOTS["benchmark"], kind="wide"
        )


def _metrics(mdata: MuData, key: str) -> Iterator[str]:
    from epiattn.pl._results import title_of

    summary = mdata.uns[key]["summary"]
    metrics = list(dict.fromkeys(summary["metric"].astype(str)))
    models = list(dict.fromkeys(summary["model"].astype(str)))
    by_pair = {(str(row["metric"]), str(row["model"])): row for _, row in summary.iterrows()}
    rows: list[Row] = []
    for metric in metrics:
        values = [by_pair[metric, model]["value"] for model in models]
        if np.isfinite(np.asarray(values, float)).any():
            rows.append([title_of(metric), *(_number(value) for value in values)])
    yield table(["metric", *models], rows)
    lacking = [title_of(metric) for metric in metrics if title_of(metric) not in [row[0] for row in rows]]
    if lacking:
        notes = summary.loc[summary["metric"].astype(str) == metrics[-1], "note"].astype(str)
        reason = next((note for note in notes if note), "")
        yield paragraph(f"Not defined here: {', '.join(lacking)}. {reason}".strip(), "soft")


def _plots(figures: Mapping[str, Figure]) -> Iterator[str]:
    drawn = [picture(figure, alt=_PLOTS.get(name, name), caption=_PLOTS.get(name, name))
             for name, figure in figures.items() if name != "benchmark"]  # fmt: skip
    yield f'<div class="figures">{"".join(drawn)}</div>' if drawn else paragraph("None for this target.", "soft")


def _splits(mdata: MuData, key: str) -> Iterator[str]:
    from epiattn.pp import leakage
    from epiattn.pp._folds import folds

    record = mdata.uns[key]
    preset = record.get("preset") or None
    made = folds(mdata, by=str(record["by"]), n_folds=None if preset else len(record["splits"]), preset=preset)
    what = f"by {record['by']}" + (f", the preset {preset}" if preset else "")
    yield paragraph(f"{len(made)} folds {what}. Each observation is scored by a model that did not see it.")
    rows: list[Row] = [
        [
            fold.name,
            *(Cell(f"{int((fold.values == part).sum()):,}") for part in k.PARTS),
            Cell(_names(fold.record.get(k.TEST, ())), "long"),
        ]
        for fold in made
    ]
    yield table(["fold", *k.PARTS, "test groups"], rows, caption="Observations of each part.")
    reports = {fold.name: _leakage_of(mdata, fold.values, leakage) for fold in made}
    shares: dict[tuple[str, str], dict[str, Any]] = {}
    for name, report in reports.items():
        for _, row in report.iterrows():
            if row["part"] == k.TEST:
                shares.setdefault((row["leak"], row["cell_types"]), {})[name] = row["share"]
    leaks: list[Row] = [
        [_LEAKS.get(leak, leak) + ("" if which == "all" else f" ({which} cell types)"),
         *(_share(by_fold.get(name, np.nan), of_cell_types=leak == "cell_type") for name in reports)]
        for (leak, which), by_fold in shares.items()
    ]  # fmt: skip
    yield table(["test against training", *reports], leaks, caption="Leakage: share of test genes, or observations.")
    yield paragraph(
        "A model can be right about what it shares with its training part without having learned a rule. Zero is "
        "honest; cell types that are in training are no leak where new genes are asked for.",
        "soft",
    )


def _leakage_of(mdata: MuData, values: pd.Categorical, leakage: Any) -> pd.DataFrame:
    """The leakage of a fold, without a word; the object stays as it is."""
    import pandas as pd

    from epiattn._settings import settings

    column, verbosity = "_report_split", settings.verbosity
    mdata.obs[column] = values
    settings.verbosity = "error"
    try:
        return leakage(mdata, split_key=column)
    except ValueError:  # no test part
        return pd.DataFrame(columns=["part", "cell_types", "leak", "share"])
    finally:
        settings.verbosity = verbosity
        del mdata.obs[column]


def _data(mdata: MuData) -> Iterator[str]:
    obs = mdata.obs
    items = [(f"{mdata.n_obs:,}", "observations"), (f"{obs.get(k.GENE_ID, obs.index).nunique():,}", "genes")]
    if k.CELL_TYPE in obs:
        items.append((f"{obs[k.CELL_TYPE].nunique()}", "cell types"))
    yield cards(items)
    channels = find_channels(mdata)
    rows: list[Row] = [
        [name, Cell(f"{adata.n_vars:,}"), Cell(_names(channels.get(name, ())) or "–", "long")]
        for name, adata in mdata.mod.items()
    ]
    yield table(["modality", "columns", "channels"], rows)
    if k.CELL_TYPE in obs and k.LABEL in obs:
        counts = obs.groupby(obs[k.CELL_TYPE].astype(str), sort=True)[k.LABEL]
        rows = [
            [str(name), Cell(f"{labels.notna().sum():,}"), Cell(f"{(labels.astype(str) == k.HIGH).sum():,}")]
            for name, labels in counts
        ]
        yield table(["cell type", "labelled genes", "high"], rows)


def _again(mdata: MuData, key: str, command: str) -> Iterator[str]:
    record = mdata.uns[key]
    if command:
        yield f"<pre><code>{escape(command)}</code></pre>"
    seeds = ", ".join(map(str, np.atleast_1d(record["seeds"]).tolist()))
    rows = [["target", str(record["target"])], ["seeds", seeds]]
    for name, options in dict(record["models"]).items():
        if options:
            rows.append([f"options of {name}", ", ".join(f"{what}={value}" for what, value in dict(options).items())])
    rows += [[name, _version(name)] for name in _VERSIONS]
    rows += [["Python", platform.python_version()], ["machine", f"{platform.system()} {platform.machine()}"]]
    yield table(["", ""], [[name, Cell(value, "long")] for name, value in rows])


# --- cells ------------------------------------------------------------------------------------------------------------


def _number(value: Any, how: str = ".3f") -> Cell:
    return Cell(format(float(value), how) if np.isfinite(float(value)) else "–")


def _between(low: Any, high: Any, sign: str = "") -> Cell:
    if not (np.isfinite(float(low)) and np.isfinite(float(high))):
        return Cell("–")
    return Cell(f"{float(low):{sign}.3f} to {float(high):{sign}.3f}")


def _difference(row: Any) -> Cell:
    """Coloured where the interval leaves no doubt about the sign."""
    if not np.isfinite(row["difference"]):
        return Cell("–")
    kind = "good" if row["difference_low"] > 0 else "bad" if row["difference_high"] < 0 else "number"
    return Cell(f"{row['difference']:+.3f}", kind)


def _share(value: float, *, of_cell_types: bool) -> Cell:
    if not np.isfinite(value):
        return Cell("–")
    return Cell(f"{value:.1%}", "bad" if value > 0 and not of_cell_types else "number")


def _names(names: Any) -> str:
    names = [str(name) for name in np.atleast_1d(np.asarray(names, dtype=object)).ravel()]
    return ", ".join(names[:_MOST_GROUPS]) + (f", … ({len(names)})" if len(names) > _MOST_GROUPS else "")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"

"""What plots of an evaluation read: tables, out-of-fold scores, folds and truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from epiattn import _keys as k
from epiattn import metrics
from epiattn._columns import column_of
from epiattn._logging import logger
from epiattn._modalities import expression_of
from epiattn.metrics._traits import traits_of

from ._data import MAX_GROUPS
from ._style import DASHED, PALETTE

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from mudata import MuData

BASELINE = "baseline"
N_SHOWN = 5  # models whose curves are drawn if none are named

#: Names of metrics on axes; others are shown as they are.
TITLES = {
    "auc": "ROC AUC",
    "average_precision": "Average precision",
    "mcc": "Matthews correlation",
    "kendall_tau": "Kendall's τ",
    "brier": "Brier score",
    "ece": "Expected calibration error",
    "differing_gene_auc": "ROC AUC on genes that differ",
    "difference_correlation": "Correlation of differences",
    "sign_agreement": "Sign agreement of differences",
    "within_gene_correlation": "Within-gene correlation",
    "residual_correlation": "Residual correlation",
    "pearson": "Pearson correlation",
    "spearman": "Spearman correlation",
    "r2": "R²",
    "mse": "Mean squared error",
}

#: Metrics of labels; all others compare scores with expression, where there is any.
_OF_LABELS = ("auc", "average_precision", "mcc", "brier", "ece", "differing_gene_auc")


def function_of(metric: str) -> Callable[..., Any]:
    """The function behind the name of a metric in the tables."""
    return getattr(metrics, {"auc": "roc_auc"}.get(metric, metric))


def higher_is_better(metric: str) -> bool:
    return traits_of(function_of(metric)).higher_is_better


def title_of(metric: str) -> str:
    """Name of a metric for an axis."""
    return TITLES.get(metric, metric) + ("" if higher_is_better(metric) else " (lower is better)")


@dataclass(frozen=True)
class Tables:
    """The tables of ``tl.benchmark`` or ``tl.cross_validate``."""

    key: str
    record: Mapping[str, Any]

    @property
    def target(self) -> str:
        return str(self.record["target"])

    @property
    def folds(self) -> pd.DataFrame:
        return self.record["folds"]

    @property
    def metrics(self) -> list[str]:
        """Names of the metrics, the most important one first."""
        return list(dict.fromkeys(self.record["summary"]["metric"].astype(str)))

    def summary(self, metric: str | None = None) -> pd.DataFrame:
        """Rows of a metric, models from the best to the worst, indexed by model; ``None``: the first metric.

        Raises
        ------
        ValueError
            If there is no such metric.
        """
        metric = self.metrics[0] if metric is None else metric
        if metric not in self.metrics:
            msg = f"metric must be one of {self.metrics}, not {metric!r}."
            raise ValueError(msg)
        table = self.record["summary"]
        rows = table[(table["metric"] == metric).to_numpy()].astype(
            dict.fromkeys(("metric", "model", "kind", "method", "note", "best_baseline"), str)
        )
        return rows.set_index("model", drop=False)

    def values(self, metric: str, model: str) -> np.ndarray:
        """The metric of a model in each fold and with each seed."""
        rows = (self.folds["metric"] == metric) & (self.folds["model"] == model)
        values = self.folds.loc[rows.to_numpy(), "value"].to_numpy(dtype=float)
        return values[np.isfinite(values)]


@dataclass(frozen=True)
class Scores(Tables):
    """The tables with what they were computed from."""

    scores: Mapping[str, np.ndarray]
    """Out-of-fold score of each observation, by model; NaN where it was not tested."""
    fold: np.ndarray
    """In which fold an observation was tested; -1: in none."""
    label: np.ndarray | None
    """1 for high and 0 for low; NaN: missing."""
    expression: np.ndarray | None

    def truth(self, metric: str) -> np.ndarray:
        """What the metric compares scores with."""
        found = self.label if metric in _OF_LABELS or self.expression is None else self.expression
        return np.full(len(self.fold), np.nan) if found is None else found

    def rows(self, metric: str, model: str) -> Iterator[np.ndarray]:
        """Tested observations of a model that have a truth, fold by fold: scores of folds are never pooled."""
        known = np.isfinite(self.truth(metric)) & np.isfinite(self.scores[model])
        for fold in range(self.fold.max() + 1):
            yield np.flatnonzero(known & (self.fold == fold))

    def choose(self, models: str | Sequence[str] | None, n: int | None = N_SHOWN) -> list[str]:
        """Names of the models to show: those that were asked for, or the ``n`` best and the best baseline.

        Raises
        ------
        ValueError
            If a model is unknown or was not trained, or there are too many to tell apart.
        """
        summary = self.summary()
        if models is None:
            ranked = [name for name in summary["model"] if np.isfinite(self.scores[name]).any()]
            shown = ranked if n is None else ranked[:n]
            best = summary["best_baseline"].iloc[0]
            return shown if best not in ranked or best in shown else [*shown[:-1], best]
        named = [models] if isinstance(models, str) else list(dict.fromkeys(map(str, models)))
        if unknown := [name for name in named if name not in self.scores]:
            msg = f"models names {unknown}; under the key {self.key!r} there are {list(self.scores)}."
            raise ValueError(msg)
        if empty := [name for name in named if not np.isfinite(self.scores[name]).any()]:
            msg = f"There are no scores of {empty}: {summary['note'][empty[0]]}."
            raise ValueError(msg)
        if not named:
            msg = f"models names no model; under the key {self.key!r} there are {list(self.scores)}."
            raise ValueError(msg)
        if n is not None and len(named) > MAX_GROUPS:
            msg = f"models names {len(named)} models, and no more than {MAX_GROUPS} can be told apart."
            raise ValueError(msg)
        return named

    def lines(self, models: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Colour and stroke of each model's line; those of baselines are dashed."""
        kinds = self.summary()["kind"]
        return {
            name: {"color": color, "linestyle": DASHED if kinds[name] == BASELINE else "-"}
            for name, color in zip(models, PALETTE, strict=False)
        }

    def labels(self, metric: str, models: Sequence[str]) -> tuple[dict[str, str], str]:
        """Each model with its metric and interval, and a title that says what these are, for a legend."""
        summary = self.summary(metric)
        labels = {name: f"{name}  {with_interval(summary.loc[name])}" for name in models}
        methods = {method for method in summary.loc[list(models), "method"] if method}
        title = f"{TITLES[metric]}, 95\N{NO-BREAK SPACE}% interval"
        return labels, f"{title}\n{methods.pop()}" if len(methods) == 1 else title


def tables_of(mdata: MuData, key: str) -> Tables:
    """The tables that a run of ``tl.benchmark`` or ``tl.cross_validate`` wrote.

    Raises
    ------
    ValueError
        If there was no run under the key.
    """
    record = mdata.uns.get(key)
    if not isinstance(record, Mapping) or "summary" not in record:
        held = [name for name, other in mdata.uns.items() if isinstance(other, Mapping) and "summary" in other]
        msg = (
            f"No evaluation under key {key!r}: uns holds {f'those of {held}' if held else 'none'}; run "
            f"attn.tl.benchmark(mdata, key_added={key!r}), or attn.tl.cross_validate for a single model."
        )
        raise ValueError(msg)
    return Tables(key, record)


def scores_of(mdata: MuData, key: str) -> Scores:
    """The same with out-of-fold scores and truth.

    Raises
    ------
    ValueError
        If there was no run under the key, or what it wrote is gone.
    """
    tables = tables_of(mdata, key)
    if k.scores(key) in mdata.obsm:
        table = mdata.obsm[k.scores(key)]
        scores = {str(name): table[name].to_numpy(dtype=float) for name in table}
    elif k.score(key) in mdata.obs and "model" in tables.record:
        scores = {str(tables.record["model"]): mdata.obs[k.score(key)].to_numpy(dtype=float)}
    else:
        msg = (
            f"Neither obsm[{k.scores(key)!r}] nor obs[{k.score(key)!r}] is there: the out-of-fold scores of the run "
            f"{key!r} are gone; run attn.tl.benchmark(mdata, key_added={key!r}) again."
        )
        raise ValueError(msg)
    fold = column_of(mdata, k.fold(key)).astype("category").cat.codes.to_numpy().astype(int)
    expression = expression_of(mdata) if k.RNA in mdata.mod else None
    label = _labels(mdata, str(tables.record.get("label_key", k.LABEL))) if tables.target == "label" else None
    found = Scores(key, tables.record, scores, fold, label, expression)
    _warn_of_parts(found)
    return found


def _labels(mdata: MuData, name: str) -> np.ndarray:
    values = column_of(mdata, name)
    return np.where(values.isna(), np.nan, (values.astype(str) == k.HIGH).to_numpy(dtype=float))


def _warn_of_parts(found: Scores) -> None:
    """Say so where the object is a part of what was evaluated: the tables are of the whole."""
    metric = found.metrics[0]
    of_metric = found.folds[(found.folds["metric"] == metric).to_numpy()]
    tested = int(of_metric.groupby(["model", "seed"], observed=True)["n_obs"].sum().max())
    here = max(sum(map(len, found.rows(metric, model))) for model in found.scores)
    if here < tested:
        logger.warning(
            "The object holds %d of the %d observations that were evaluated under the key %r: curves are of these, "
            "numbers from the tables of all.",
            here,
            tested,
            found.key,
        )


def with_interval(row: pd.Series) -> str:
    """A value with its interval."""
    value = f"{row['value']:.3f}" if np.isfinite(row["value"]) else "not defined"
    return f"{value} ({row['low']:.3f}–{row['high']:.3f})" if np.isfinite(row["low"]) else value


def legend_of_models(ax: Axes, title: str) -> None:
    """A legend above the data, a line for each model, or two where Axes are narrow."""
    width = ax.get_window_extent().width / ax.figure.dpi
    handles, labels = ax.get_legend_handles_labels()
    lines = [part for line in title.split("\n") for part in wrap(line, max(20, int(18 * width)))]
    ax.legend(
        handles,
        labels if width > 2.2 else [label.replace("  ", "\n") for label in labels],
        loc="lower left",
        bbox_to_anchor=(0, 1),
        borderaxespad=0.2,
        handlelength=2.2,
        title="\n".join(lines),
        title_fontsize=7,
        alignment="left",
    )

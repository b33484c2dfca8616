"""Which metrics there are for a target, and what they are computed from."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from epiattn import _keys as k
from epiattn import metrics
from epiattn._modalities import expression_of

if TYPE_CHECKING:
    from mudata import MuData


class Measure(NamedTuple):
    """A metric, the truth that it takes (``"label"`` or ``"expression"``), and whether scores must be probabilities."""

    function: Callable[..., Any]
    truth: str
    of_probabilities: bool = False


#: Metrics of each target, the most important one first. Those that need several cell types are NaN where there is one.
MEASURES: dict[str, dict[str, Measure]] = {
    "label": {
        "auc": Measure(metrics.roc_auc, "label"),
        "average_precision": Measure(metrics.average_precision, "label"),
        "mcc": Measure(metrics.mcc, "label", of_probabilities=True),
        "kendall_tau": Measure(metrics.kendall_tau, "expression"),
        "brier": Measure(metrics.brier, "label", of_probabilities=True),
        "ece": Measure(metrics.ece, "label", of_probabilities=True),
        "differing_gene_auc": Measure(metrics.differing_gene_auc, "label"),
        "difference_correlation": Measure(metrics.difference_correlation, "expression"),
        "sign_agreement": Measure(metrics.sign_agreement, "expression"),
        "within_gene_correlation": Measure(metrics.within_gene_correlation, "expression"),
        "residual_correlation": Measure(metrics.residual_correlation, "expression"),
    },
    "expression": {
        "pearson": Measure(metrics.pearson, "expression"),
        "spearman": Measure(metrics.spearman, "expression"),
        "r2": Measure(metrics.r2, "expression"),
        "mse": Measure(metrics.mse, "expression"),
        "kendall_tau": Measure(metrics.kendall_tau, "expression"),
        "difference_correlation": Measure(metrics.difference_correlation, "expression"),
        "sign_agreement": Measure(metrics.sign_agreement, "expression"),
        "within_gene_correlation": Measure(metrics.within_gene_correlation, "expression"),
        "residual_correlation": Measure(metrics.residual_correlation, "expression"),
    },
}


class Truth:
    """What is known of the observations: labels, expression, genes, cell types, chromosomes.

    Parameters
    ----------
    mdata
        The object.
    target
        What is predicted: ``"label"`` or ``"expression"``.
    label_key
        Column of ``obs`` with the labels.
    """

    def __init__(self, mdata: MuData, target: str, label_key: str) -> None:
        from epiattn.models._targets import encode_labels

        self.target = target
        self.values: dict[str, np.ndarray] = {}
        if target == "label":
            self.values["label"] = encode_labels(mdata.obs[label_key].to_numpy(dtype=object))
        if k.RNA in mdata.mod:
            self.values["expression"] = expression_of(mdata)
        self.gene = _column(mdata, k.GENE_ID, mdata.obs_names)
        self.cell_type = _column(mdata, k.CELL_TYPE, "all")
        self.chrom = _column(mdata, k.CHROM, "unknown") if k.CHROM in mdata.obs else None

    @property
    def known(self) -> np.ndarray:
        """Which observations have a target."""
        return np.isfinite(self.values[self.target])

    def of(self, measure: Measure) -> np.ndarray:
        """The truth for a metric: labels take the place of expression where there is none."""
        return self.values.get(measure.truth, self.values[self.target])

    def arrays(self, measure: Measure, rows: np.ndarray, train: np.ndarray) -> dict[str, np.ndarray]:
        """What else a metric takes, of some observations; ``train``: which ones the model learned from."""
        from inspect import signature

        wanted = signature(measure.function).parameters
        arrays = {"gene": self.gene[rows], "cell_type": self.cell_type[rows]}
        if "gene_mean" in wanted:
            truth = self.of(measure)
            there = np.isfinite(truth)
            mean = np.full(len(truth), np.nan)
            mean[there] = metrics.training_gene_mean(truth[there], gene=self.gene[there], train=train[there])
            arrays["gene_mean"] = mean[rows]
        return {name: values for name, values in arrays.items() if name in wanted}


def _column(mdata: MuData, name: str, default: Any) -> np.ndarray:
    if name in mdata.obs:
        return mdata.obs[name].astype(str).to_numpy(dtype=object)
    return np.asarray(default, dtype=object) if not isinstance(default, str) else np.full(mdata.n_obs, default, object)


def evaluate(
    measure: Measure, truth: Truth, score: np.ndarray, rows: np.ndarray, train: np.ndarray
) -> tuple[float, int, str]:
    """A metric on some observations, on how many, and why it is NaN.

    Parameters
    ----------
    measure
        The metric.
    truth
        What is known.
    score
        Of all observations; NaN where there is none.
    rows, train
        Which observations to look at, and which ones the model learned from, boolean.
    """
    values = truth.of(measure)
    rows = rows & np.isfinite(values) & np.isfinite(score)
    if reason := why_not(measure, score[rows]):
        return float("nan"), int(rows.sum()), reason
    found = measure.function(values[rows], score[rows], **truth.arrays(measure, rows, train))
    value, note = (found.value, found.note) if isinstance(found, metrics.WithinGene) else (found, "")
    if not np.isfinite(value) and not note:
        note = "the truth has one class only, or does not vary"
    return float(value), int(rows.sum()), note


def why_not(measure: Measure, score: np.ndarray) -> str:
    """Why a metric is not defined for these scores; empty: it is."""
    if not len(score):
        return "no observation has both a truth and a score"
    if measure.of_probabilities and ((score < 0) | (score > 1)).any():
        return "the scores are no probabilities"
    return ""

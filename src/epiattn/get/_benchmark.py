"""The comparison of models as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from epiattn._results import record_of

if TYPE_CHECKING:
    import pandas as pd
    from mudata import MuData

COLUMNS = ("model", "kind", "value", "low", "high", "difference", "difference_low", "difference_high", "p_value")


def benchmark(mdata: MuData, *, metric: str | None = None, key: str = "benchmark") -> pd.DataFrame:
    """What :func:`epiattn.tl.benchmark` found, for one metric: models from the best to the worst.

    Parameters
    ----------
    mdata
        The object.
    metric
        One of its metrics; ``None``: the first one, ``"auc"`` for labels and ``"pearson"`` for expression.
    key
        The ``key_added`` of :func:`epiattn.tl.benchmark`, or of :func:`epiattn.tl.cross_validate`.

    Returns
    -------
    One row for each model: ``model``, ``kind`` (``model`` or ``baseline``), ``value`` (mean over folds and seeds) with
    its 95 % interval ``low`` to ``high``; ``difference`` to the best baseline (which is named in
    ``attrs["best_baseline"]``) with its interval, for the first metric with a permutation
    ``p_value``; mean ``seconds`` of a run; ``method`` of the interval; and ``note``.

    Raises
    ------
    ValueError
        If there is no such result or metric.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=300, cell_types=1)
    >>> _ = attn.tl.benchmark(mdata, models=["logistic", "prevalence"], n_folds=3)
    >>> attn.get.benchmark(mdata, metric="brier")["model"].tolist()
    ['logistic', 'prevalence']
    """
    record = record_of(mdata, key)
    if "summary" not in record:
        msg = f"No result in mdata.uns[{key!r}]: run epiattn.tl.benchmark(mdata) first."
        raise ValueError(msg)
    summary = record["summary"]
    metrics = summary["metric"].astype(str)
    metric = metrics.iloc[0] if metric is None else metric
    if metric not in set(metrics):
        msg = f"metric must be one of {list(dict.fromkeys(metrics))}, not {metric!r}."
        raise ValueError(msg)
    rows = summary[(metrics == metric).to_numpy()]
    best = str(rows["best_baseline"].iloc[0])
    table = rows[[*COLUMNS, "seconds", "method", "note"]].reset_index(drop=True)
    table.attrs.update(metric=metric, best_baseline=best)
    return table

"""Results of many runs as tables: each run, and the summary with intervals and differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from epiattn import _keys as k
from epiattn._registry import baselines
from epiattn.metrics import interval, paired_difference
from epiattn.metrics._traits import traits_of

from ._jobs import Job, Result
from ._scoring import MEASURES, Measure, Truth, evaluate, why_not

if TYPE_CHECKING:
    import pandas as pd

    from epiattn.pp._folds import Fold

N_PERMUTATIONS = 1_000


def fold_table(results: Mapping[Job, Result], folds: Sequence[Fold], truth: Truth) -> pd.DataFrame:
    """One row for each model, fold, seed and metric."""
    import pandas as pd

    rows = []
    for job, result in results.items():
        test, train = (np.asarray(folds[job.fold].values == part) for part in (k.TEST, k.TRAIN))
        for name, measure in MEASURES[truth.target].items():
            value, n_obs, note = evaluate(measure, truth, result.score, test, train)
            rows.append(
                {
                    "model": job.model,
                    "kind": kind_of(job.model),
                    "fold": folds[job.fold].name,
                    "seed": job.seed,
                    "metric": name,
                    "value": value,
                    "n_obs": n_obs,
                    "seconds": result.seconds,
                    "note": result.reason or note,
                }
            )
    return pd.DataFrame(rows)


def kind_of(model: str) -> str:
    """``"baseline"`` or ``"model"``."""
    return "baseline" if model in baselines else "model"


class Stacked:
    """Scores of one model, test observations of all folds and seeds one after the other."""

    def __init__(self, results: Mapping[Job, Result], folds: Sequence[Fold], truth: Truth, model: str) -> None:
        jobs = [job for job in results if job.model == model]
        tests = [np.flatnonzero(np.asarray(folds[job.fold].values == k.TEST)) for job in jobs]
        self.rows = np.concatenate(tests)
        self.score = np.concatenate([results[job].score[rows] for job, rows in zip(jobs, tests, strict=True)])
        self.run = np.repeat([f"{job.fold}/{job.seed}" for job in jobs], [len(rows) for rows in tests])
        self.seconds = float(np.mean([results[job].seconds for job in jobs]))
        self.reason = next((results[job].reason for job in jobs if results[job].reason), "")
        self.folds, self.truth = folds, truth
        self._jobs, self._tests = jobs, tests

    def usable(self, measure: Measure) -> np.ndarray:
        """Which entries have a truth and a score."""
        return np.isfinite(self.truth.of(measure)[self.rows]) & np.isfinite(self.score)

    def arrays(self, measure: Measure) -> dict[str, np.ndarray]:
        """What else the metric takes, for all entries."""
        parts = [
            self.truth.arrays(measure, rows, np.asarray(self.folds[job.fold].values == k.TRAIN))
            for job, rows in zip(self._jobs, self._tests, strict=True)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def summarize(results: Mapping[Job, Result], folds: Sequence[Fold], truth: Truth) -> pd.DataFrame:
    """Each model's metrics with 95 % intervals, and the difference to the best baseline; best models first.

    The value is the mean over folds and seeds of the metric in each. There is a p-value of the first metric only, by
    which models are compared: many permutations of all others would take longer than the training.
    """
    import pandas as pd

    stacked = {model: Stacked(results, folds, truth, model) for model in dict.fromkeys(job.model for job in results)}
    measures = MEASURES[truth.target]
    first = next(iter(measures))
    tables = [
        _summarize_metric(name, measure, stacked, truth, N_PERMUTATIONS if name == first else 0)
        for name, measure in measures.items()
    ]
    return pd.concat(tables, ignore_index=True)


def _summarize_metric(
    name: str, measure: Measure, stacked: Mapping[str, Stacked], truth: Truth, n_permutations: int
) -> pd.DataFrame:
    import pandas as pd

    values = truth.of(measure)
    rows, arrays = [], {model: each.arrays(measure) for model, each in stacked.items()}
    for model, each in stacked.items():
        row: dict[str, Any] = {"metric": name, "model": model, "kind": kind_of(model), "seconds": each.seconds}
        use = each.usable(measure)
        if reason := each.reason or why_not(measure, each.score[use]):
            rows.append({**row, "value": np.nan, "low": np.nan, "high": np.nan, "method": "", "note": reason})
            continue
        found = interval(
            measure.function, values[each.rows][use], each.score[use], **_design(each, use, truth, arrays[model])
        )
        rows.append(
            {
                **row,
                "value": found.value,
                "low": found.low,
                "high": found.high,
                "method": found.method,
                "note": found.note,
            }
        )
    table = pd.DataFrame(rows)
    ascending = not traits_of(measure.function).higher_is_better
    table = table.sort_values("value", ascending=ascending, na_position="last", kind="stable", ignore_index=True)
    of_baselines = table[(table["kind"] == "baseline") & table["value"].notna()]
    best = of_baselines["model"].iloc[0] if len(of_baselines) else ""
    differences = [
        _difference(measure, stacked[model], stacked[best], truth, arrays[model], n_permutations)
        if best and model != best and np.isfinite(value)
        else {}
        for model, value in zip(table["model"], table["value"], strict=True)
    ]
    columns = ("difference", "difference_low", "difference_high", "p_value")
    return table.assign(
        best_baseline=best, **{column: [each.get(column, np.nan) for each in differences] for column in columns}
    )


def _difference(
    measure: Measure, one: Stacked, other: Stacked, truth: Truth, arrays: dict[str, np.ndarray], n_permutations: int
) -> dict[str, float]:
    """A model less the best baseline, on the observations that both score."""
    use = one.usable(measure) & other.usable(measure)
    if not use.any():
        return {}
    found = paired_difference(
        measure.function,
        truth.of(measure)[one.rows][use],
        one.score[use],
        score_b=other.score[use],
        n_permutations=n_permutations,
        **_design(one, use, truth, arrays),
    )
    return {
        "difference": found.value,
        "difference_low": found.low,
        "difference_high": found.high,
        "p_value": found.p_value,
    }


def _design(each: Stacked, use: np.ndarray, truth: Truth, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    rows = each.rows[use]
    return {
        "groups": None if truth.chrom is None else truth.chrom[rows],
        "fold": each.run[use],
        "gene": truth.gene[rows],
        "arrays": {name: values[use] for name, values in arrays.items() if name != "gene"},
    }

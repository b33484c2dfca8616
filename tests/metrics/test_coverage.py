"""How often intervals hold the truth, and p-values are small by chance, in simulations like real data.

Scores, and how well they tell the classes apart, differ between chromosomes about as much as those of a logistic
regression on real data. Loose bounds: few repetitions; but a wrong formula falls out of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from epiattn import metrics

from .conftest import simulate, true_auc

SIZES = [90, 80, 75, 70, 60, 60, 50, 45, 40, 35, 30, 25]
INDEPENDENT = {"shift": 0.0, "slope": 0.0}
STRONG = {"shift": 0.5, "slope": 0.5}


def coverage(n, *, given=True, n_folds=1, metric=metrics.roc_auc, truth=None, **effects):
    truth = true_auc(**effects) if truth is None else truth
    rng, hits = np.random.default_rng(0), 0
    for i in range(n):
        data = simulate(rng, sizes=SIZES, n_folds=n_folds, **effects)
        groups = data.groups if given else None
        found = metrics.interval(
            metric, data.y_true, data.scores[0], groups=groups, fold=data.fold, n_resamples=60, seed=i
        )
        hits += found.low <= truth <= found.high
    return hits / n


class Case(NamedTuple):
    n_folds: int
    effects: dict


@pytest.mark.parametrize(
    "case", [Case(1, {}), Case(3, {}), Case(1, INDEPENDENT), Case(3, INDEPENDENT)], ids=lambda case: str(tuple(case))
)
def test_the_jackknife_over_chromosomes_holds_the_true_auc(case):
    assert 0.915 <= coverage(300, n_folds=case.n_folds, **case.effects) <= 0.99


def test_delong_holds_the_true_auc_of_independent_genes_only():
    assert 0.915 <= coverage(300, given=False, **INDEPENDENT) <= 0.985
    assert coverage(200, given=False, **STRONG) < 0.8 < 0.88 < coverage(200, **STRONG)


def test_the_bootstrap_holds_the_true_value_of_independent_genes():
    rng = np.random.default_rng(1)
    draws = [simulate(rng, sizes=SIZES, **INDEPENDENT) for _ in range(400)]
    truth = np.mean([metrics.pearson(draw.y_true, draw.scores[0]) for draw in draws])
    assert 0.89 <= coverage(150, given=False, metric=metrics.pearson, truth=truth, **INDEPENDENT) <= 0.99


def differences(n, *, given, **effects):
    rng = np.random.default_rng(0)
    for i in range(n):
        data = simulate(rng, sizes=SIZES, n_scores=2, n_folds=3, **effects)
        groups = data.groups if given else None
        yield metrics.paired_difference(
            metrics.roc_auc,
            data.y_true,
            data.scores[0],
            score_b=data.scores[1],
            groups=groups,
            fold=data.fold,
            n_permutations=39,
            seed=i,
        )


@pytest.mark.parametrize(("given", "effects"), [(True, {}), (True, STRONG), (False, INDEPENDENT)])
def test_equally_good_models_differ_in_one_of_twenty_tests(given, effects):
    found = list(differences(160, given=given, **effects))
    assert 0.005 <= np.mean([each.p_value <= 0.05 for each in found]) <= 0.09
    assert 0.38 <= np.mean([each.p_value <= 0.5 for each in found]) <= 0.62
    assert 0.91 <= np.mean([each.low <= 0 <= each.high for each in found]) <= 0.995


def test_swapping_genes_is_not_enough_where_chromosomes_differ():
    assert np.mean([each.p_value <= 0.05 for each in differences(60, given=False, **STRONG)]) > 0.2

"""Rank sums of many features against scipy, feature by feature."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from epiattn.tl._rank_sum import rank_sum


@pytest.mark.parametrize("decimals", [6, 0])
def test_as_scipy(decimals):
    rng = np.random.default_rng(0)
    group, reference = rng.normal(0.3, 1, (40, 5)).round(decimals), rng.normal(size=(60, 5)).round(decimals)
    group[:7, 2] = np.nan
    reference[5:9, 3] = np.nan
    found = rank_sum(group, reference)
    for i in range(5):
        one, other = (each[np.isfinite(each[:, i]), i] for each in (group, reference))
        expected = mannwhitneyu(one, other, method="asymptotic", use_continuity=False)
        assert found.p_value[i] == pytest.approx(expected.pvalue, rel=1e-9)
        assert found.auc[i] == pytest.approx(expected.statistic / (len(one) * len(other)))
        assert (found.score[i] > 0) == (found.auc[i] > 0.5)
        assert (found.n_group[i], found.n_reference[i]) == (len(one), len(other))


def test_what_says_nothing_has_a_p_value_of_1():
    found = rank_sum(np.array([[1.0, np.nan], [1, np.nan]]), np.array([[1.0, 2], [1, 3]]))
    np.testing.assert_array_equal(found.p_value, [1, 1])
    np.testing.assert_array_equal(found.auc, [0.5, 0.5])
    np.testing.assert_array_equal(found.score, [0, 0])

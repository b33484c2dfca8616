"""What is learned: how two readings of one thing are put together."""

from __future__ import annotations

import numpy as np

from epiattn.models._targets import combine


def test_two_readings_are_weighed_as_the_labels_were_drawn():
    rng = np.random.default_rng(0)
    score, expression = rng.normal(size=(2, 200_000))
    logit = (score + 2 * expression - 0.5) / 0.8
    truth = (rng.random(len(logit)) < 1 / (1 + np.exp(-logit))).astype(float)
    np.testing.assert_allclose(combine(truth, score, expression), [0.8, 2, -0.5], atol=0.03)


def test_a_reading_that_says_nothing_or_the_contrary_gets_no_weight():
    rng = np.random.default_rng(0)
    score = rng.normal(size=5_000)
    truth = (rng.random(5_000) < 1 / (1 + np.exp(-score))).astype(float)
    temperature, weight, _ = combine(truth, score, -truth)
    assert weight == 0
    assert abs(temperature - 1) < 0.1


def test_labels_that_are_parted_do_not_run_away():
    truth = np.array([0.0, 0, 1, 1])
    found = combine(truth, np.array([-1.0, -2, 1, 2]), np.zeros(4))
    assert np.isfinite(found).all()
    assert found[0] >= 0.05

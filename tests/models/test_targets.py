"""What is learned: labels as probabilities, and how two readings of one thing are put together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

import epiattn as attn
from epiattn.models._targets import combine, soften_labels


def test_labels_are_softened_by_hand() -> None:
    expression = np.array([0.0, 1.0, 3.0, 5.0, 9.0, np.nan])
    target = np.array([0, 0, 1, 1, np.nan, 1])
    soft = soften_labels(target, expression, np.zeros(6), noise=2.0)
    low = 0.5 * (expit(-0.5) - expit(-1)) / (0.5 - expit(-1))
    high = 0.5 + 0.5 * (expit(0.5) - 0.5) / (expit(1.5) - 0.5)
    np.testing.assert_allclose(soft, [0, low, high, 1, np.nan, 1])  # threshold 2


def test_each_group_has_its_threshold() -> None:
    expression = np.array([0.0, 1.0, 2.0, 3.0, 10.0, 11.0, 12.0, 13.0])
    target = np.array([0, 0, 1, 1, 0, 0, 1, 1])
    soft = soften_labels(target, expression, np.repeat(["a", "b"], 4), noise=1.0)
    assert 0 < soft[1] < 0.5 < soft[2] < 1
    np.testing.assert_allclose(soft[[0, 3]], [0, 1])
    np.testing.assert_allclose(soft[4:], soft[:4])


def test_labels_that_are_no_threshold_stay() -> None:
    expression = np.array([0.0, 5.0, 4.0, 9.0])
    target = np.array([0.0, 0.0, 1.0, 1.0])
    np.testing.assert_array_equal(soften_labels(target, expression, np.zeros(4), noise=1.0), target)
    one_class = np.ones(4)
    np.testing.assert_array_equal(soften_labels(one_class, expression, np.zeros(4), noise=1.0), one_class)


@given(st.lists(st.floats(-20, 20), min_size=2, max_size=30), st.floats(-10, 10), st.floats(0.01, 5))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_sides_and_order_stay(expression: list[float], threshold: float, noise: float) -> None:
    values = np.array(expression)
    target = (values > threshold).astype(float)
    soft = soften_labels(target, values, np.zeros(len(values)), noise=noise)
    assert ((soft > 0.5) == (target == 1)).all()
    assert (soft != 0.5).all()
    assert ((soft >= 0) & (soft <= 1)).all()
    assert (np.diff(soft[np.argsort(values)]) >= -1e-5).all()


def test_the_model_learns_from_soft_labels_where_expression_is_known(simulated, monkeypatch) -> None:
    seen = []

    def remember(*args, **kwargs):
        seen.append((soften_labels(*args, **kwargs), kwargs["noise"]))
        return seen[-1][0]

    monkeypatch.setattr("epiattn.models._training.soften_labels", remember)
    quick = {"model": "multi_attention", "max_epochs": 1, "copy": True}
    simulated = attn.pp.split(simulated.copy())
    attn.tl.fit(simulated, **quick)
    labels, noise = seen.pop()
    assert noise == 0.2
    obs = simulated.obs
    rows = np.concatenate([np.flatnonzero(obs["split"] == part) for part in ("train", "validation")])
    np.testing.assert_array_equal(labels > 0.5, obs["label"].to_numpy()[rows] == "high")  # nothing of the test part
    assert len(np.unique(labels)) > 100
    attn.tl.fit(simulated, label_noise=0, **quick)
    attn.tl.fit(simulated, loss="focal", **quick)
    attn.tl.fit(simulated, target="expression", **quick)
    assert not seen
    with pytest.raises(ValueError, match="label_noise must be 0 or more, not -1"):
        attn.tl.fit(simulated, label_noise=-1, **quick)


def test_two_readings_are_weighed_as_the_labels_were_drawn() -> None:
    rng = np.random.default_rng(0)
    score, expression = rng.normal(size=(2, 200_000))
    logit = (score + 2 * expression - 0.5) / 0.8
    truth = (rng.random(len(logit)) < 1 / (1 + np.exp(-logit))).astype(float)
    np.testing.assert_allclose(combine(truth, score, expression), [0.8, 2, -0.5], atol=0.03)


def test_a_reading_that_says_nothing_or_the_contrary_gets_no_weight() -> None:
    rng = np.random.default_rng(0)
    score = rng.normal(size=5_000)
    truth = (rng.random(5_000) < 1 / (1 + np.exp(-score))).astype(float)
    temperature, weight, _ = combine(truth, score, -truth)
    assert weight == 0
    assert abs(temperature - 1) < 0.1


def test_labels_that_are_parted_do_not_run_away() -> None:
    truth = np.array([0.0, 0, 1, 1])
    found = combine(truth, np.array([-1.0, -2, 1, 2]), np.zeros(4))
    assert np.isfinite(found).all()
    assert found[0] >= 0.05

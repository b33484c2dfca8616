"""Curves of toy models whose answers are known on paper."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score

from epiattn.nn import ModalityBatch
from epiattn.tl._explanations import rank_correlation
from epiattn.tl._faithfulness_tables import Sample, Trial, verdicts
from epiattn.tl._planted import planted_causes, precision_of_each
from epiattn.tl._removal import Walk, area, ground_of, order_by, output_without, walk

N_OBS, N_MARKS, N_BINS = 40, 2, 5


class Linear:
    """A model whose output is a weighted sum of the signal; the baseline is no signal."""

    channels = {"histone": ["A", "B"]}

    def __init__(self, x: np.ndarray, weights: np.ndarray) -> None:
        self.x, self.weights = torch.from_numpy(x), torch.from_numpy(weights)

    def baseline(self, batch):
        return {"histone": batch["histone"]._replace(values=torch.zeros_like(batch["histone"].values))}

    def output(self, rows, change=None):
        batch = {"histone": ModalityBatch(self.x[rows], None, torch.ones(len(rows), dtype=torch.bool))}
        batch = batch if change is None else change(batch, rows)
        return (batch["histone"].values * self.weights).sum((1, 2)).numpy()


def asked(*members: Linear):
    """Takes the place of the models of a run."""

    def inside(rows):
        return [(np.arange(len(rows)), rows, list(members))]

    return SimpleNamespace(inside=inside, n_members=len(members))


@pytest.fixture
def x():
    rng = np.random.default_rng(0)
    return rng.gamma(1, size=(N_OBS, N_MARKS, N_BINS)) * (rng.random((N_OBS, N_MARKS, N_BINS)) < 0.8)


@pytest.fixture
def weights():
    return np.random.default_rng(1).normal(size=(N_MARKS, N_BINS))


def trial_of(x, weights, n_points=10, chrom=None, seed=0):
    """A trial of a linear model, and what each value truly adds."""
    trained, rows = asked(Linear(x, weights)), np.arange(len(x))
    obs = pd.DataFrame({"gene_id": [f"g{i}" for i in rows]}, index=[f"o{i}" for i in rows])
    if chrom is not None:
        obs["chrom"] = chrom
    ground = ground_of(trained, rows, "histone", x.reshape(len(x), -1))
    trial = Trial(Sample.of(trained, rows, obs), "histone", ground, n_points, np.random.default_rng(seed))
    return trial, (x * weights).reshape(len(x), -1)


def test_the_ground_is_the_output_with_and_without_all_values(x, weights):
    trial, true = trial_of(x, weights)
    np.testing.assert_allclose(trial.ground.full, true.sum(1))
    np.testing.assert_allclose(trial.ground.empty, 0, atol=1e-12)
    np.testing.assert_array_equal(trial.ground.there, x.reshape(N_OBS, -1) > 0)
    np.testing.assert_array_equal(trial.ground.direction[:, 0], np.where(true.sum(1) >= 0, 1, -1))


def test_values_leave_in_the_order_of_their_scores(x, weights):
    """Against a plain loop: at each share, the first values are gone."""
    trial, true = trial_of(x, weights, n_points=4)
    found = trial.walk_by(trial.toward("integrated_gradients", true)).deletion(trial.ground)
    for i in range(N_OBS):
        direction = 1 if true[i].sum() >= 0 else -1
        values = np.sort(direction * true[i][x[i].ravel() > 0])[::-1]
        n_gone = [round(share * len(values)) for share in (0, 0.25, 0.5, 0.75, 1)]
        np.testing.assert_allclose(found[i], [values[:n].sum() for n in n_gone], atol=1e-10)


def test_no_order_is_steeper_than_that_of_the_true_weights(x, weights):
    trial, true = trial_of(x, weights)
    best = trial.walk_by(trial.toward("integrated_gradients", true))
    heights = best.deletion(trial.ground)
    for seed in range(20):
        other = trial.walk_by(np.random.default_rng(seed).random(true.shape)).deletion(trial.ground)
        assert (heights >= other - 1e-10).all()
    worst = best.reversed().deletion(trial.ground)
    assert (area(heights) > area(worst)).all()
    np.testing.assert_allclose(worst[:, -1], heights[:, -1])


def test_what_a_linear_model_loses_by_deletion_it_gains_by_insertion(x, weights):
    x = np.where(x > 0, x, 1)  # all are there, so that the shares are whole numbers
    trial, true = trial_of(x, weights)
    found = trial.walk_by(true)
    np.testing.assert_allclose(found.insertion(trial.ground), found.deletion(trial.ground), atol=1e-10)


def test_a_gene_that_is_pushed_down_is_treated_as_one_that_is_pushed_up(x, weights):
    up, true = trial_of(x, np.abs(weights), seed=4)
    down, mirrored = trial_of(x, -np.abs(weights), seed=4)
    of_up = up.walk_by(up.toward("occlusion", true)).deletion(up.ground)
    of_down = down.walk_by(down.toward("occlusion", mirrored)).deletion(down.ground)
    np.testing.assert_allclose(of_up, of_down, atol=1e-10)
    assert (area(of_down) > 0).all()


def test_attention_and_signal_have_no_direction(x, weights):
    trial, _ = trial_of(x, -np.abs(weights))
    scores = x.reshape(N_OBS, -1)
    for method in ("attention", "signal"):
        assert trial.toward(method, scores) is scores
    np.testing.assert_array_equal(trial.toward("occlusion", scores), -scores)


def test_several_members_answer_with_their_mean(x, weights):
    both = asked(Linear(x, weights), Linear(x, -3 * weights))
    gone = np.zeros((N_OBS, N_MARKS * N_BINS), bool)
    gone[:, 0] = True
    kept = (x * weights).reshape(N_OBS, -1)[:, 1:].sum(1)
    np.testing.assert_allclose(output_without(both, np.arange(N_OBS), "histone", gone), -kept)


def test_area_is_the_mean_height():
    np.testing.assert_allclose(area(np.array([[0.0, 1, 2], [0, 0, 1]])), [1, 0.25])


def test_ties_are_broken_at_random_and_absent_values_come_last():
    there = np.array([[True, False, True, True]] * 2000)
    rank = order_by(np.array([[0.0, 9, 0, 5]] * 2000), there, np.random.default_rng(0))
    assert (rank[:, 3] == 0).all()
    assert (rank[:, 1] == 3).all()
    assert abs((rank[:, 0] == 1).mean() - 0.5) < 0.05
    again = order_by(np.array([[0.0, 9, 0, 5]] * 2000), there, np.random.default_rng(0))
    np.testing.assert_array_equal(rank, again)


def test_a_reversed_walk_starts_at_the_other_end(x, weights):
    trial, true = trial_of(x, weights)
    rank = order_by(true, trial.ground.there, np.random.default_rng(0))
    n = trial.ground.there.sum(1, keepdims=True)
    there = walk(trial.sample.trained, trial.sample.rows, "histone", trial.ground, rank, 5)
    back = walk(trial.sample.trained, trial.sample.rows, "histone", trial.ground, n - 1 - rank, 5)
    for one, other in zip(there.reversed(), back, strict=True):
        np.testing.assert_allclose(one, other)
    assert isinstance(there.reversed(), Walk)


# --- what is made of the curves --------------------------------------------------------------------------------------


@pytest.mark.parametrize("chrom", [None, np.arange(N_OBS) % 12, np.arange(N_OBS) % 3])
def test_true_weights_pass_and_others_do_not(x, weights, chrom):
    trial, true = trial_of(x, weights, chrom=chrom)
    random = trial.walk_at_random(5)
    wrong = x.reshape(N_OBS, -1) * np.random.default_rng(8).normal(size=N_MARKS * N_BINS)
    rows = [
        row
        for method, scores in {"integrated_gradients": true, "occlusion": wrong}.items()
        for row in trial.tests_of(method, trial.walk_by(trial.toward(method, scores)), random)
    ]
    table = pd.DataFrame(rows)
    expected = "jackknife-t over 12 groups" if chrom is not None and max(chrom) > 9 else "bootstrap over genes"
    assert set(table["interval"]) == {expected}
    found = verdicts(table).set_index("method")
    assert found["passes"].to_dict() == {"integrated_gradients": True, "occlusion": False}
    of_true = table[(table["method"] == "integrated_gradients") & (table["against"] == "reversed")]
    assert (of_true["low"] > 0).all()
    np.testing.assert_allclose(of_true["difference"], of_true["area"] - of_true["area_against"])


def test_scores_that_say_nothing_pass_no_more_often_than_by_chance():
    n_passed = 0
    for seed in range(25):
        rng = np.random.default_rng(seed)
        trial, true = trial_of(
            rng.gamma(1, size=(N_OBS, N_MARKS, N_BINS)),
            rng.normal(size=(N_MARKS, N_BINS)),
            5,
            np.arange(N_OBS) % 12,
            seed,
        )
        scores = rng.random(true.shape)
        n_passed += verdicts(pd.DataFrame(trial.tests_of("attention", trial.walk_by(scores), trial.walk_at_random(2))))[
            "passes"
        ].sum()
    assert n_passed <= 3  # 2.5 % of 25 are expected, more than 3 in one of 250 cases


def table_of(low_deletion, low_insertion, method="attention", against="random"):
    rows = {"modality": "histone", "method": method, "against": against, "difference": 0.5}
    return pd.DataFrame(
        [rows | {"curve": "deletion", "low": low_deletion}, rows | {"curve": "insertion", "low": low_insertion}]
    )


@pytest.mark.parametrize(
    ("low", "passes"),
    [((0.1, 0.1), True), ((0.1, -0.1), False), ((-0.1, 0.1), False), ((0.0, 0.1), False), ((np.nan, 1), False)],
)
def test_an_explanation_passes_by_both_curves(low, passes):
    table = pd.concat([table_of(*low), table_of(9, 9, against="reversed"), table_of(9, 9, method="signal")])
    found = verdicts(table)
    assert found.to_dict("records") == [
        {"modality": "histone", "method": "attention", "deletion": 0.5, "insertion": 0.5, "passes": passes}
    ]


def test_the_explanation_of_a_model_that_learned_nothing_is_told_apart(x, weights):
    trial, true = trial_of(x, weights)
    other = np.random.default_rng(3).normal(size=weights.shape)
    ground = ground_of(asked(Linear(x, other)), np.arange(N_OBS), "histone", x.reshape(N_OBS, -1))
    best = trial.walk_by(trial.toward("occlusion", true))
    theirs = (x * other).reshape(N_OBS, -1)
    row = trial.sanity_of("weights", "occlusion", true, best, theirs, ground)
    assert row["passes"]
    assert row["low"] > 0
    assert row["correlation"] < 0.9
    same = trial.sanity_of("weights", "occlusion", true, best, true, trial.ground)
    assert not same["passes"]
    assert same["correlation"] == pytest.approx(1)
    assert same["difference"] == pytest.approx(0)


def test_rank_correlation_is_that_of_sizes():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 5, 8)).round(1)
    there = rng.random((5, 8)) < 0.8
    there[3] = [True, True, *[False] * 6]
    there[:3, :4] = True
    one[4] = 2.0
    found = rank_correlation(one, other, there)
    for i in range(3):
        expected = spearmanr(np.abs(one[i, there[i]]), np.abs(other[i, there[i]])).statistic
        assert found[i] == pytest.approx(expected)
    assert np.isnan(found[3:]).all()


def test_agreement_and_stability_are_of_pairs(x, weights):
    trial, true = trial_of(x, weights)
    rows = list(trial.agreement_of({"occlusion": true, "attention": -true, "signal": x.reshape(N_OBS, -1)}))
    assert [(row["method"], row["other"]) for row in rows] == [
        ("occlusion", "attention"), ("occlusion", "signal"), ("attention", "signal"),
    ]  # fmt: skip
    assert rows[0]["correlation"] == pytest.approx(1)
    assert all(-1 <= row["low"] <= row["correlation"] <= row["high"] <= 1 for row in rows[1:])
    assert list(trial.stability_of([{"occlusion": true}])) == []
    found = list(trial.stability_of([{"occlusion": true}, {"occlusion": -true}, {"occlusion": 2 * true}]))
    assert [(row["n_models"], round(row["correlation"], 6)) for row in found] == [(3, 1.0)]


def test_too_few_observations_have_no_interval(x, weights):
    trial, _ = trial_of(x, weights)
    values = np.full(N_OBS, np.nan)
    assert np.isnan(trial.sample.compare(values)["value"])
    values[3] = 2.0
    found = trial.sample.compare(values)
    assert (found["value"], found["n_obs"]) == (2.0, 1)
    assert np.isnan(found["low"])


def test_observations_of_one_gene_are_no_independent_ones():
    values = np.random.default_rng(0).normal(size=(50, 1))
    alone = Sample(None, np.arange(50), None, np.arange(50).astype(str))
    twice = Sample(None, np.arange(100), None, np.tile(np.arange(50).astype(str), 2))
    expected = values.std() / np.sqrt(50)
    np.testing.assert_allclose(alone.standard_error(values), expected)
    np.testing.assert_allclose(twice.standard_error(np.tile(values, (2, 1))), expected)


# --- planted causes --------------------------------------------------------------------------------------------------


def test_precision_is_of_candidates_only():
    rng = np.random.default_rng(0)
    causes, candidates = rng.random((2, 30, 9)) < 0.5
    causes[0], causes[1] = False, True
    scores = rng.normal(size=(30, 9))
    found = precision_of_each(causes, candidates, scores)
    assert np.isnan(found[:2]).all()
    for i in range(2, 30):
        truth = causes[i, candidates[i]]
        if truth.any() and not truth.all():
            assert found[i] == pytest.approx(average_precision_score(truth, scores[i, candidates[i]]))


def test_planted_causes_are_read_where_they_lie(simulated):
    rows = np.array([3, 50, 399])
    marks = ["H3K27me3", "H3K4me3"]
    channels = {"histone": marks, "methylation": ["beta", "position"], "tf": ["binding"]}
    found = planted_causes(simulated, channels, rows)
    causes, candidates = found["histone"]
    assert candidates.all()
    layers = simulated["histone"].layers
    np.testing.assert_array_equal(causes[:, 40:], layers["truth_H3K4me3"][rows].toarray() != 0)
    np.testing.assert_array_equal(found["methylation"][1].sum(1), simulated["methylation"].obs["n_cpg"].iloc[rows])
    np.testing.assert_array_equal(found["tf"][1], simulated["tf"].layers["binding"][rows].toarray() > 0)
    assert not (found["tf"][0] & ~found["tf"][1]).any()
    assert planted_causes(simulated, {"histone": ["elsewhere"]}, rows) == {}


def test_of_planted_causes_the_true_order_finds_all(x, weights):
    trial, true = trial_of(x, weights)
    causes = trial.toward("occlusion", true) > 0.3
    scores = {"occlusion": true, "attention": np.zeros_like(true)}
    found = {row["method"]: row for row in trial.planted_in(scores, causes, np.ones_like(causes))}
    assert found["occlusion"]["average_precision"] == found["occlusion"]["pooled"] == 1
    some = causes[causes.any(1)]
    assert found["attention"]["pooled"] == pytest.approx(found["attention"]["chance"]) == pytest.approx(some.mean())
    assert list(trial.planted_in(scores, np.zeros_like(causes), np.ones_like(causes))) == []

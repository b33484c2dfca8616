"""The table is drawn, row by row."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

import epiattn as attn
from epiattn.pl._benchmark import together


def rows(ax):
    return {label.get_text(): float(y) for label, y in zip(ax.get_yticklabels(), ax.get_yticks(), strict=True)}


def points(ax):
    """Value and colour of each row's mean."""
    found = {}
    for part in ax.collections:
        if part.get_label() in ("model", "baseline"):
            for x, y in part.get_offsets():
                found[y] = (x, to_hex(part.get_facecolors()[0]))
    return found


def intervals(ax):
    lines = [line for part in ax.collections if hasattr(part, "get_segments") for line in part.get_segments()]
    return {line[0, 1]: line[:, 0] for line in lines}


def texts(ax):
    return [text.get_text().replace("\n", " ").replace("\N{NO-BREAK SPACE}", " ") for text in ax.texts]


def change(mdata, metric, model, **values):
    """Other values in the table."""
    table = mdata.uns["benchmark"]["summary"].copy()
    for column, value in values.items():
        table.loc[(table["metric"] == metric) & (table["model"] == model), column] = value
    mdata.uns["benchmark"]["summary"] = table


@pytest.mark.parametrize("metric", ["auc", "brier", "difference_correlation"])
def test_rows_are_those_of_the_table_from_the_best_to_the_worst(evaluated, summary, metric):
    ax = attn.pl.benchmark(evaluated, metric=metric)
    table = summary(metric)
    assert list(rows(ax)) == list(table.index) == attn.get.benchmark(evaluated, metric=metric)["model"].tolist()
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first row is at the top
    for model, y in rows(ax).items():
        row = table.loc[model]
        if np.isfinite(row["value"]):
            assert points(ax)[y] == (row["value"], {"model": "#0072b2", "baseline": "#d55e00"}[row["kind"]])
            np.testing.assert_array_equal(intervals(ax)[y], [row["low"], row["high"]])
        else:
            assert y not in points(ax)
    assert ("lower is better" in ax.get_xlabel()) == (metric == "brier")


def test_the_first_metric_is_the_default(evaluated):
    assert attn.pl.benchmark(evaluated).get_xlabel() == "ROC AUC"
    assert attn.pl.benchmark(evaluated, key="expression").get_xlabel() == "Pearson correlation"


def test_single_folds_and_seeds_are_below_their_row(evaluated):
    ax = attn.pl.benchmark(evaluated)
    found = np.concatenate([part.get_offsets() for part in ax.collections if part.get_alpha() == 0.35])
    table = evaluated.uns["benchmark"]["folds"]
    for model in ("noisy", "flat", "deep_chrome"):
        drawn = found[(found[:, 1] > rows(ax)[model]) & (found[:, 1] < rows(ax)[model] + 0.5), 0]
        values = table["value"][(table["model"] == model) & (table["metric"] == "auc")]
        assert len(values) == 6
        np.testing.assert_allclose(np.sort(drawn), np.sort(values))


def test_the_best_baseline_is_marked_beside_rows_with_values(evaluated, summary):
    ax = attn.pl.benchmark(evaluated)
    (line,) = ax.get_lines()
    assert line.get_label() == "best baseline: noisy"
    np.testing.assert_array_equal(line.get_xdata(), summary("auc").loc["noisy", "value"])
    assert max(line.get_ydata()) < rows(ax)["impossible"]


def test_one_model_is_compared_with_nothing(evaluated):
    ax = attn.pl.benchmark(evaluated, key="cv")
    assert list(rows(ax)) == ["noisy"]
    assert not ax.get_lines()


def test_the_legend_names_what_is_there(evaluated):
    texts = [text.get_text() for text in attn.pl.benchmark(evaluated).get_legend().get_texts()]
    assert texts == ["model", "baseline", "single folds and seeds", "best baseline: noisy"]


def test_models_without_a_value_come_last_with_their_reason(evaluated):
    ax = attn.pl.benchmark(evaluated)
    assert list(rows(ax))[-1] == "impossible"
    (text,) = (text for text in ax.texts if "moon" in text.get_text())
    assert text.get_text().replace("\n", " ") == "not defined: this object has no moon phase"
    assert text.get_position()[1] == rows(ax)["impossible"]


@pytest.mark.parametrize(
    ("note", "text"),
    [
        ("", "not defined"),
        ("the metric is not defined in any fold: no gene is in two", "not defined in any fold: no gene is in two"),
    ],
)
def test_reasons_are_short(evaluated, note, text):
    change(evaluated, "auc", "impossible", note=note)
    assert text in texts(attn.pl.benchmark(evaluated))


def test_long_reasons_are_cut_to_the_width_of_the_axes(evaluated):
    change(evaluated, "auc", "impossible", note=" ".join(["reason"] * 100))
    for ax in (None, plt.subplots(figsize=(3, 2))[1]):
        ax = attn.pl.benchmark(evaluated, ax=ax)
        ax.figure.canvas.draw()
        (text,) = (text for text in ax.texts if "reason" in text.get_text())
        assert text.get_text().endswith(" …")
        assert text.get_window_extent().x1 <= ax.get_window_extent().x1


def test_how_intervals_were_found_is_noted(evaluated):
    change(evaluated, "auc", "flat", low=0.4)  # an interval of no width says nothing
    assert texts(attn.pl.benchmark(evaluated))[-1].startswith("95 % intervals: jackknife-t over 23 groups")
    change(evaluated, "auc", "noisy", method="bootstrap over genes", note="1 of 6 folds left out")
    note = texts(attn.pl.benchmark(evaluated))[-1]
    assert "jackknife-t over 23 groups (deep_chrome, flat)" in note
    assert "95 % intervals: bootstrap over genes (noisy)" in note
    assert "1 of 6 folds left out (noisy)" in note


def test_a_value_without_an_interval_is_drawn(evaluated):
    change(evaluated, "auc", "noisy", low=np.nan, high=np.nan, note="no interval: too few parts")
    ax = attn.pl.benchmark(evaluated)
    assert rows(ax)["noisy"] in points(ax)
    assert "no interval: too few parts (noisy)" in texts(ax)[-1]


def test_an_unknown_or_undefined_metric(evaluated):
    with pytest.raises(ValueError, match=r"metric must be one of \['auc', 'average_precision', .*not 'f1'"):
        attn.pl.benchmark(evaluated, metric="f1")
    for model in ("noisy", "flat", "deep_chrome"):
        change(evaluated, "auc", model, value=np.nan)
    with pytest.raises(ValueError, match="'auc' is not defined for any model: "):
        attn.pl.benchmark(evaluated)


def test_many_models_have_room(evaluated):
    table = evaluated.uns["benchmark"]["summary"]
    row = table[(table["metric"] == "auc") & (table["model"] == "noisy")]
    copies = [row.assign(model=f"some_long_name_of_model_{i}") for i in range(20)]
    evaluated.uns["benchmark"]["summary"] = pd.concat([table, *copies], ignore_index=True)
    ax = attn.pl.benchmark(evaluated)
    ax.figure.canvas.draw()
    boxes = [label.get_window_extent() for label in ax.get_yticklabels()]
    assert len(boxes) == 24
    assert all(lower.y1 < upper.y0 for upper, lower in zip(boxes, boxes[1:], strict=False))


@pytest.mark.parametrize(
    ("values", "width", "n"),
    [
        ([0.9], 0.01, 1),
        ([0.9, 0.5], 0.01, 2),
        ([0.9, 0.89, 0.5], 0.01, 3),
        ([0.9, 0.89, 0.88, 0.5], 0.01, 3),
        ([0.9, 0.89, 0.88, 0.5], np.nan, 3),
        ([0.9, 0.89, 0.88, 0.5], 0.2, 4),  # intervals are as wide as the gap
        ([0.98, 0.97, 0.96, 0.95, 0.8, 0.5], 0.01, 4),
        ([0.99, 0.9, 0.89, 0.88, 0.5], 0.01, 4),
        ([0.9, 0.8, 0.7, 0.6, 0.5], 0.01, 5),
        ([0.5] * 5, 0.0, 5),
        ([0.01, 0.02, 0.03, 0.3], 0.01, 3),
    ],
)
def test_which_models_are_drawn_to_scale(values, width, n):
    value = np.array(values)
    assert together(pd.DataFrame({"value": value, "low": value - width, "high": value + width})) == n


@pytest.mark.parametrize(("metric", "far", "side"), [("auc", 0.1, 0), ("brier", 0.99, 1)])
def test_models_far_behind_are_written(evaluated, metric, far, side):
    best = {"auc": 0.9, "brier": 0.1}[metric]
    for i, model in enumerate(("deep_chrome", "noisy", "flat")):
        change(evaluated, metric, model, value=best + (i - 1) / 100 * (1 if side else -1), low=best, high=best + 0.01)
    add(evaluated, metric, value=far, low=far - 0.01, high=far + 0.01)
    ax = attn.pl.benchmark(evaluated, metric=metric)
    assert list(rows(ax)) == ["deep_chrome", "noisy", "flat", "far", "impossible"]
    assert len(points(ax)) == 3
    assert not ax.get_xlim()[0] <= far <= ax.get_xlim()[1]
    (arrow,) = (part for part in ax.collections if part.get_label() == "_far")
    assert round(arrow.get_offsets()[0, 0]) == side
    assert arrow.get_offsets()[0, 1] == 3
    assert "baseline" in [text.get_text() for text in ax.get_legend().get_texts()]
    (text,) = (text for text in ax.texts if text.get_position()[1] == 3)
    assert text.get_text() == f"{far:.3f} ({far - 0.01:.3f}–{far + 0.01:.3f})"


def add(mdata, metric, **values):
    """A model after those that have a value."""
    table = mdata.uns["benchmark"]["summary"]
    of_metric = table[(table["metric"] == metric).to_numpy()]
    known = of_metric[of_metric["value"].notna()]
    one = known.iloc[:1].assign(model="far", kind="baseline", **values)
    known = known.assign(kind="model")  # all that are near
    others = table[(table["metric"] != metric).to_numpy()]
    mdata.uns["benchmark"]["summary"] = pd.concat(
        [
            known.set_index("model", drop=False).loc[["deep_chrome", "noisy", "flat"]],
            one,
            of_metric[of_metric["value"].isna()],
            others,
        ]
    )

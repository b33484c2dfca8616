"""Arrows are the strongest pairs, points the TFs that they join."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.patches import FancyArrowPatch

import epiattn as attn
from epiattn.pl._tf_network import share_bound, strongest


def test_the_strongest_pairs_among_some_without_those_of_a_factor_with_itself():
    pairs = np.array([[0.9, 0.2, 0.5], [0.4, 0.8, 0.1], [0.3, 0.6, 0.7]])
    assert strongest(pairs, np.array([0, 1, 2]), 3).tolist() == [[1, 0], [0, 2], [2, 1]]  # the weakest first
    assert strongest(pairs, np.array([0, 1]), 9).tolist() == [[0, 1], [1, 0]]
    assert strongest(np.eye(3), np.arange(3), 9).tolist() == []


def test_nodes_and_arrows(made):
    ax = attn.pl.tf_network(made, n_edges=6)
    pairs, names = made["tf"].varp["attn_attention"], list(made["tf"].var_names)
    edges = strongest(pairs, np.arange(len(names)), 6)
    drawn = {text.get_text() for text in ax.texts if text.get_text() in names}
    assert drawn == {names[i] for i in edges.ravel()}
    assert sum(isinstance(patch, FancyArrowPatch) for patch in ax.patches) == 6
    shown = [names.index(text.get_text()) for text in ax.texts if text.get_text() in names]
    received = pairs.mean(0)[shown]
    (nodes,) = ax.collections
    np.testing.assert_allclose(nodes.get_sizes(), 25 + 300 * received / received.max())
    bound = (made["tf"].layers["binding"].toarray() != 0).mean(0)
    np.testing.assert_allclose(nodes.get_array(), bound[shown])


def test_of_a_group_the_share_of_its_own_observations_counts(made):
    rows = (made.obs["cell_type"] == "lung").to_numpy()
    expected = (made["tf"].layers["binding"].toarray()[rows] != 0).mean(0)
    np.testing.assert_allclose(share_bound(made, "cell_type", "lung"), expected)
    assert attn.pl.tf_network(made, group="lung").get_title() == "lung"


def test_all_observations_may_be_one_group(made):
    del made.uns["attn_attention"]["groupby"]  # as tl.attention(groupby=None) writes it: None cannot be stored
    assert attn.pl.tf_network(made).get_title() == "All observations"


def test_it_is_the_same_every_time_and_on_the_given_axes(made):
    _, axes = plt.subplots(1, 2)
    places = [np.asarray(attn.pl.tf_network(made, ax=ax).collections[0].get_offsets()) for ax in axes]
    np.testing.assert_array_equal(*places)


def test_errors_say_what_to_run(made):
    with pytest.raises(ValueError, match=r"no attention between TFs of the group 'heart'; the groups are \['liver'"):
        attn.pl.tf_network(made, group="heart")
    made["tf"].varp["attn_attention"] = np.eye(made["tf"].n_vars)
    with pytest.raises(ValueError, match="there is no arrow to draw"):
        attn.pl.tf_network(made)
    del made["tf"].varp["attn_attention"]
    with pytest.raises(ValueError, match=r"attn.tl.attention\(mdata, pairs=True\) first"):
        attn.pl.tf_network(made)
    with pytest.raises(ValueError, match="No result of tl.attention"):
        attn.pl.tf_network(made, key="x")

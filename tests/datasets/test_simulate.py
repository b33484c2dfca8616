"""The simulator."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

import epiattn as attn


def test_shapes_and_names_follow_the_data_model(simulated):
    assert list(simulated.mod) == ["histone", "methylation", "tf", "rna"]
    assert simulated["histone"].shape == (400, 40)
    assert {"start", "end"} <= set(simulated["histone"].var)
    assert simulated["histone"].var["start"].iloc[0] == -2000
    assert simulated["histone"].var["end"].iloc[-1] == 2000
    assert simulated.obs_names[0] == "gene_00000@cell_type_0"
    assert all(sparse.isspmatrix_csr(simulated["tf"].layers[name]) for name in ("binding", "expression", "mode"))
    assert (simulated.obs["label"] == "high").mean() == pytest.approx(0.5, abs=0.01)


def test_cpgs_are_left_aligned_and_ordered(simulated):
    adata = simulated["methylation"]
    n_cpg = adata.obs["n_cpg"].to_numpy()
    assert (n_cpg == 0).any()
    for row in range(0, 400, 37):
        position = adata.layers["position"][row, : n_cpg[row]]
        assert (np.diff(position) >= 0).all()
        assert not adata.layers["beta"][row, n_cpg[row] :].any()


def test_the_same_seed_gives_the_same_data():
    one, two, other = (attn.datasets.simulate(30, 2, seed=seed) for seed in (5, 5, 6))
    for name in one["histone"].layers:
        if name is not None:
            np.testing.assert_array_equal(one["histone"].layers[name], two["histone"].layers[name])
    assert not np.array_equal(one["rna"].X, other["rna"].X)


def test_marks_follow_activity(simulated):
    high = (simulated.obs["label"] == "high").to_numpy()
    layers = simulated["histone"].layers
    assert layers["H3K4me3"][high].mean() > 1.3 * layers["H3K4me3"][~high].mean()
    assert layers["H3K27me3"][high].mean() < layers["H3K27me3"][~high].mean()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"n_genes": 0}, "must be positive"), ({"marks": ["H3K99"]}, "Unknown marks"), ({"cell_types": 0}, "positive")],
)
def test_nonsense_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        attn.datasets.simulate(**arguments)

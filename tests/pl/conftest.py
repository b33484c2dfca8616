"""One small fitted object for all plots, and a canvas that needs no screen."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest

import epiattn as attn

mpl.use("Agg")


@pytest.fixture(scope="session")
def fitted_once(simulated):
    mdata = attn.tl.fit(simulated.copy(), max_epochs=2)
    mdata.obsm["X_umap"] = np.random.default_rng(0).normal(size=(mdata.n_obs, 2))
    return mdata


@pytest.fixture
def fitted(fitted_once):
    return fitted_once.copy()


@pytest.fixture(autouse=True)
def _close():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def _places(mdata):
    parts = {"": mdata, **mdata.mod}
    places = {f"{name}/{what}": sorted(getattr(part, what)) for name, part in parts.items() for what in ("obsm", "uns")}
    columns = {f"{name}/obs": list(part.obs) for name, part in parts.items()}
    layers = {f"{name}/layers": sorted(map(str, adata.layers)) for name, adata in mdata.mod.items()}
    return {**places, **columns, **layers}


@pytest.fixture
def unchanged(fitted):
    """The fitted object; a plot may not leave a trace on it."""
    before = _places(fitted)
    yield fitted
    assert _places(fitted) == before


@pytest.fixture
def adata(fitted):
    """The same as a histone-only AnnData."""
    adata = fitted["histone"].copy()
    adata.obs = fitted.obs.copy()
    adata.obsm.update({name: fitted.obsm[name] for name in ("X_umap", "X_attn")})
    adata.uns.update({"attn": fitted.uns["attn"]})
    return adata


@pytest.fixture
def band():
    """Lower and upper edge of the i-th band of Axes, at given positions."""

    def read(ax, i, x):
        vertices = ax.collections[i].get_paths()[0].vertices
        edges = [vertices[np.isclose(vertices[:, 0], at), 1] for at in x]
        return np.array([(values.min(), values.max()) for values in edges]).T

    return read

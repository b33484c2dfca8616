"""One small fitted object for all plots, and a canvas that needs no screen."""

from __future__ import annotations

import sys
from types import ModuleType

import matplotlib as mpl
import numpy as np
import pytest

import epiattn as attn
from epiattn._registry import Entry, baselines

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


def noisy(mdata, *, target, channels, label_key, split_key, seed):
    noise = np.random.default_rng(seed).normal(size=mdata.n_obs)
    if target == "expression":
        return mdata["rna"].X[:, 0] + noise
    return 1 / (1 + np.exp(-2 * (mdata.obs[label_key] == "high").to_numpy(float) + 1 + noise))


def flat(mdata, *, target, channels, label_key, split_key, seed):
    return np.full(mdata.n_obs, 0.25)


def impossible(mdata, *, target, channels, label_key, split_key, seed):
    msg = "this object has no moon phase"
    raise ValueError(msg)


@pytest.fixture(scope="session")
def evaluated_once(simulated):
    """Three runs: "benchmark" (two seeds), "expression", and "cv" of one model."""
    mdata, module, names = simulated.copy(), ModuleType("baselines_of_tests"), ["noisy", "flat", "impossible"]
    fakes = {name: Entry(f"{module.__name__}:{name}", "for tests") for name in names}
    module.__dict__.update({name: globals()[name] for name in names})
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, module.__name__, module)
        patch.setattr(baselines, "_entries", fakes)
        models = {**dict.fromkeys(names, {}), "deep_chrome": {"max_epochs": 2}}
        attn.tl.benchmark(mdata, models=models, n_folds=3, seeds=(0, 1))
        attn.tl.benchmark(mdata, models=names, n_folds=3, target="expression", key_added="expression")
        attn.tl.cross_validate(mdata, model="noisy", n_folds=3)
    return mdata


@pytest.fixture
def evaluated(evaluated_once):
    return evaluated_once.copy()


@pytest.fixture
def summary(evaluated):
    """Rows of a metric in a table, by model."""

    def read(metric, key="benchmark"):
        table = evaluated.uns[key]["summary"]
        return table[table["metric"] == metric].set_index("model")

    return read

"""One small fitted object for all plots, another one that is made up, and a canvas that needs no screen."""

from __future__ import annotations

import sys
from types import ModuleType

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData
from scipy import sparse

import epiattn as attn
from epiattn._registry import Entry, baselines

mpl.use("Agg")


@pytest.fixture(scope="session")
def fitted_once(simulated, tmp_path_factory):
    # saved: the models of a session are kept for the latest runs only
    mdata = attn.tl.fit(simulated.copy(), max_epochs=2, model_dir=tmp_path_factory.mktemp("model"))
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


# --- an object that is made up ---------------------------------------------------------------------------------------

CELL_TYPES = ("liver", "lung", "stem")
MARKS = ("H3K27ac", "H3K27me3", "H3K4me3")
TFS = ("SP1", "MYC", "CTCF", "NANOG", "HNF4A", "FOXA1", "TP53", "REST")
N_GENES, N_BINS, N_CPGS, WINDOW = 14, 20, 9, 2_000
RUN = {"key": "attn", "fingerprint": "f"}


def make(phase: float = 0) -> MuData:
    """A small object with everything that plots read, from formulas: no model and no random number is behind it.

    14 genes in three cell types: a run, its attribution, attention of pairs, differences between cell types,
    perturbations, ablations, a test of faithfulness, and an evaluation. All values change with the phase.
    """
    n = N_GENES * len(CELL_TYPES)
    gene, cell_type = np.arange(n) % N_GENES, np.arange(n) // N_GENES
    activity = np.sin(1.7 * gene + 2.1 * cell_type + phase) / 2 + 0.5  # of the gene in the cell type, from 0 to 1
    score = 0.05 + 0.9 * activity
    obs = pd.DataFrame(
        {
            "gene_id": [f"ENSG{i:02d}" for i in gene],
            "gene_name": [f"GENE{i}" for i in gene],
            "cell_type": pd.Categorical([CELL_TYPES[i] for i in cell_type]),
            "label": pd.Categorical(np.where(activity > 0.5, "high", "low")),
            "attn_score": score,
            "attn_score_sd": 0.04 + 0.02 * np.cos(gene),
            "leiden": pd.Categorical((gene % 3).astype(str)),
        },
        index=[f"ENSG{i:02d}@{CELL_TYPES[j]}" for i, j in zip(gene, cell_type, strict=True)],
    )
    modalities = {
        "histone": _histone(obs, activity),
        "methylation": _methylation(obs, activity),
        "tf": _tf(obs, activity, gene, cell_type + phase),
        "rna": AnnData(8 * activity[:, None], obs=obs[[]].copy(), var=pd.DataFrame(index=["expression"])),
    }
    mdata = MuData(modalities)
    mdata.obs = obs
    share = np.stack([1 + 0.5 * activity, 0.9 - 0.4 * activity, 1.1 - 0.1 * activity], axis=1)
    mdata.obsm["attn_modality"] = pd.DataFrame(share, obs.index, list(modalities)[:3])
    mdata.obsm["X_attn"] = np.stack([np.cos(gene), np.sin(gene) + cell_type], axis=1)
    mdata.obsm["X_umap"] = np.stack([np.cos(2.4 * np.arange(n)) + 3 * activity, np.sin(2.4 * np.arange(n))], axis=1)
    mdata.obsm["attn_attribution"] = pd.DataFrame(
        {
            **{mark: np.asarray(mdata["histone"].layers[f"attn_attribution_{mark}"]).sum(1) for mark in MARKS},
            "methylation": mdata["methylation"].layers["attn_attribution"].sum(1),
            "tf": np.asarray(mdata["tf"].layers["attn_attribution"].sum(1)).ravel(),
        },
        obs.index,
    )
    epochs = np.arange(12)
    history = {
        f"loss_{part}": 0.7 - (0.3 + 0.1 * phase) * (1 - np.exp(-epochs / (speed + 4 * phase)))
        for part, speed in _PARTS.items()
    }
    history |= {
        f"auc_{part}": 0.5 + (0.4 - 0.1 * phase) * (1 - np.exp(-epochs / (speed + 4 * phase)))
        for part, speed in _PARTS.items()
    }
    mdata.uns["attn"] = {
        "attends": True,
        "fingerprint": RUN["fingerprint"],
        "target": "label",
        "channels": {"histone": list(MARKS), "methylation": ["beta", "position"], "tf": ["binding"]},
        "uniform_attention": {"histone": np.full(N_BINS, 1 / N_BINS)},
        "history": history,
        "best_epoch": 9 - 4 * int(phase),
    }
    mdata.uns["attn_attribution"] = {"tool": "attribute", **RUN, "method": "integrated_gradients"}
    mdata.uns["attn_attention"] = {"tool": "attention", **RUN, "groupby": "cell_type"}
    mdata.uns["attn_differential"] = {
        "tool": "differential_regulation",
        **RUN,
        "params": {"of": "attribution"},
        "genes": _genes(phase),
        "features": _features(phase),
    }
    _perturb(mdata, activity, phase)
    _ablate(mdata, activity, phase)
    mdata.uns["attn_faithfulness"] = _faithfulness(phase)
    _evaluate(mdata, activity, gene)
    return mdata


_PARTS = {"train": 2, "validation": 4}


def _hill(at: float, width: float) -> np.ndarray:
    middle = (np.arange(N_BINS) + 0.5) / N_BINS * 2 * WINDOW - WINDOW
    return np.exp(-(((middle - at) / width) ** 2))


def _histone(obs: pd.DataFrame, activity: np.ndarray) -> AnnData:
    start = np.arange(N_BINS) * 200 - WINDOW
    var = pd.DataFrame({"start": start, "end": start + 200}, index=[f"bin_{i:02d}" for i in range(N_BINS)])
    adata = AnnData(obs=obs[[]].copy(), var=var)
    shapes = {
        "H3K27ac": (4 * activity, _hill(-500, 400) + 0.8 * _hill(700, 500), 0.15),
        "H3K27me3": (3 * (1 - activity), _hill(0, 1_500), -0.12),
        "H3K4me3": (9 * activity, _hill(150, 350), 0.3),
    }
    attention = []
    for mark, (height, shape, effect) in shapes.items():
        adata.layers[mark] = height[:, None] * shape + 0.1
        adata.layers[f"attn_attribution_{mark}"] = effect * (0.3 + height[:, None]) * shape
        attention.append((0.5 + activity[:, None]) * abs(effect) * shape + 0.01)
    attention = np.stack(attention, axis=1)
    attention /= attention.sum((1, 2), keepdims=True)
    adata.layers.update({f"attn_attention_{mark}": attention[:, i] for i, mark in enumerate(MARKS)})
    adata.layers["attn_attention"] = attention.sum(1)
    adata.uns["epiattn"] = {"channels": list(MARKS)}
    return adata


def _methylation(obs: pd.DataFrame, activity: np.ndarray) -> AnnData:
    adata = AnnData(obs=obs[[]].copy(), var=pd.DataFrame(index=[f"cpg_{i:03d}" for i in range(N_CPGS)]))
    n_cpg = np.arange(len(obs)) % (N_CPGS + 1)
    valid = np.arange(N_CPGS) < n_cpg[:, None]
    position = np.linspace(-0.9, 0.9, N_CPGS) + 0.02 * np.cos(np.arange(len(obs)))[:, None]
    beta = np.clip(1 - activity[:, None] * np.exp(-((2 * position) ** 2)), 0, 1)
    adata.layers["position"], adata.layers["beta"] = np.where(valid, position, 0), np.where(valid, beta, 0)
    adata.layers["attn_attention"] = valid / np.maximum(n_cpg, 1)[:, None] * (1 + 0.3 * np.sin(5 * position))
    adata.layers["attn_attribution"] = np.where(valid, 0.3 * (0.6 - beta), 0)
    adata.obs["n_cpg"] = n_cpg
    adata.uns.update({"window": WINDOW, "epiattn": {"channels": ["beta", "position"]}})
    return adata


def _tf(obs: pd.DataFrame, activity: np.ndarray, gene: np.ndarray, cell_type: np.ndarray) -> AnnData:
    n = len(TFS)
    adata = AnnData(obs=obs[[]].copy(), var=pd.DataFrame(index=list(TFS)))
    bound = (gene[:, None] * 3 + np.arange(n) * 5 + cell_type[:, None]) % 7 < 4 - np.arange(n) // 4
    weight = bound * (1.5 + np.cos(np.arange(n)))
    adata.layers["binding"] = sparse.csr_matrix(bound.astype(float))
    adata.layers["attn_attention"] = sparse.csr_matrix(weight / np.maximum(weight.sum(1, keepdims=True), 1))
    adata.layers["attn_attribution"] = sparse.csr_matrix(bound * np.cos(1.3 * np.arange(n)) * (0.2 + activity[:, None]))
    adata.uns["epiattn"] = {"channels": ["binding"]}
    pairs = np.exp(np.cos(np.arange(n) + cell_type[0]) + 0.8 * np.sin(1.9 * np.arange(n)[:, None] + np.arange(n)))
    pairs /= pairs.sum(1, keepdims=True)
    adata.varp["attn_attention"] = pairs
    adata.varp.update({f"attn_attention_{name}": np.roll(pairs, i, (0, 1)) for i, name in enumerate(CELL_TYPES)})
    return adata


def _genes(phase: float, n: int = 60) -> pd.DataFrame:
    """Each gene and mark in each group; a few differ in each."""
    parts = []
    for i, name in enumerate(CELL_TYPES):
        which, mark = np.arange(n * len(MARKS)) // len(MARKS), np.arange(n * len(MARKS)) % len(MARKS)
        effect = np.sin(12.9 * which + 4.1 * mark + i + phase) ** 3 * (1 + 2 * ((which + mark + i) % 11 == 0))
        p_value = np.exp(-3.5 * np.abs(effect) - 0.3 * np.cos(5 * which))
        frame = {"group": name, "reference": "rest", "gene_id": [f"ENSG{j:02d}" for j in which]}
        frame |= {"gene_name": [f"GENE{j}" for j in which], "feature": np.array(MARKS)[mark], "effect": effect}
        frame |= {"score": 3 * effect, "pvals": np.minimum(p_value, 1), "pvals_adj": np.minimum(20 * p_value, 1)}
        parts.append(pd.DataFrame(frame).sort_values("score", key=np.abs, ascending=False, kind="stable"))
    return pd.concat(parts, ignore_index=True)


def _features(phase: float) -> pd.DataFrame:
    names = [*MARKS, "methylation", "tf"]
    parts = []
    for i, group in enumerate(CELL_TYPES):
        effect = np.round(np.sin(1.3 * np.arange(len(names)) + 2 * i + phase), 3)
        frame = {"group": group, "reference": "rest", "feature": names, "effect": effect, "score": 5 * effect}
        frame |= {"pvals": np.exp(-6 * np.abs(effect)), "pvals_adj": np.exp(-5 * np.abs(effect))}
        frame |= {"low": effect - 0.3, "high": effect + 0.3, "n_units": 60}
        parts.append(pd.DataFrame(frame))
    return pd.concat(parts, ignore_index=True)


def _perturb(mdata: MuData, activity: np.ndarray, phase: float) -> None:
    """One edit, and two together."""
    names = {"no H3K27ac": "given", "both": "given", "both: H3K4me3 × 0": "single", "both: interaction": "interaction"}
    wobble = np.cos(3 * np.arange(len(activity)))
    effects = {name: (i - 1.5 + phase) * activity + 0.4 * wobble for i, name in enumerate(names)}
    changed = {name: np.arange(len(activity)) % (i + 3) > 0 for i, name in enumerate(names)}
    mdata.obsm["attn_perturbation"] = pd.DataFrame(effects, mdata.obs_names)
    mdata.obsm["attn_perturbation_changed"] = pd.DataFrame(changed, mdata.obs_names)
    about = {"perturbation": list(names), "kind": list(names.values()), "of": [name.split(":")[0] for name in names]}
    record = {"tables": ["", "changed"], "perturbations": pd.DataFrame(about)}
    mdata.uns["attn_perturbation"] = {"tool": "perturb", **RUN, "target": "label", **record}


def _ablate(mdata: MuData, activity: np.ndarray, phase: float) -> None:
    modalities = ["histone", "methylation", "tf"]
    kinds = dict.fromkeys(modalities, "modality") | dict.fromkeys(MARKS, "mark")
    wobble = np.cos(3 * np.arange(len(activity)))
    effects = {name: (0.5 - activity) * (6 - i) / 2 + 0.3 * wobble + phase for i, name in enumerate(kinds)}
    mdata.obsm["attn_ablation"] = pd.DataFrame(effects, mdata.obs_names)
    shapley = pd.DataFrame({name: -effects[name] / 2 for name in modalities}, mdata.obs_names)
    mdata.obsm["attn_ablation_shapley"] = shapley
    change = -np.exp(-np.arange(len(kinds))) * (1 + phase) / 4
    accuracy = {"ablated": list(kinds), "kind": list(kinds.values()), "metric": "auc", "part": "test", "full": 0.9}
    accuracy |= {"change": change, "low": 1.4 * change - 0.01, "high": 0.7 * change + 0.01}
    record = {"target": "label", "tables": ["", "shapley"], "kinds": kinds, "accuracy": pd.DataFrame(accuracy)}
    mdata.uns["attn_ablation"] = {"tool": "ablate", **RUN, **record}


def _faithfulness(phase: float) -> dict:
    """Two methods, the signal and random orders, over marks and TFs."""
    methods, share = ["attention", "integrated_gradients"], np.linspace(0, 1, 11)
    found: dict = {name: [] for name in ("verdicts", "tests", "curves", "agreement", "sanity", "stability", "planted")}
    for i, modality in enumerate(("histone", "tf")):
        for j, method in enumerate(["random", "signal", *methods]):
            names, better = {"modality": modality, "method": method}, 0.2 * j - 0.2 * i * (j == 2) - phase * j / 8
            for curve, sign in (("deletion", 1), ("insertion", -1)):
                mean = share + sign * better * np.sin(np.pi * share)
                found["curves"] += [
                    {**names, "curve": curve, "share": x, "mean": y, "error": 0.04}
                    for x, y in zip(share, mean, strict=True)
                ]
                if method != "random":
                    interval = {"low": better - 0.15, "high": better + 0.15}
                    found["tests"].append(
                        {**names, "curve": curve, "against": "random", "difference": better} | interval
                    )
            if method in methods:
                passes = better > 0.15
                found["verdicts"].append({**names, "deletion": better, "insertion": better, "passes": passes})
                value = 0.3 + 0.2 * j - phase / 5
                interval = {"low": value - 0.1, "high": value + 0.1}
                found["stability"].append({**names, "correlation": value} | interval)
                of_check = {"correlation_low": value / 4 - 0.05, "correlation_high": value / 4 + 0.05}
                found["sanity"].append({**names, "check": "weights", "correlation": value / 4, **of_check})
                found["planted"].append({**names, "average_precision": value, "chance": 0.1} | interval)
        pairs = [("attention", "integrated_gradients", 0.6), ("attention", "signal", -0.3 - phase / 2)]
        found["agreement"] += [
            {"modality": modality, "method": one, "other": other, "correlation": value} for one, other, value in pairs
        ]
    tables = {name: pd.DataFrame(rows) for name, rows in found.items()}
    return {"tool": "faithfulness", **RUN, "target": "label", "methods": methods, **tables}


def _evaluate(mdata: MuData, activity: np.ndarray, gene: np.ndarray) -> None:
    """Two models and a baseline in two folds; their curves are computed by the plots, the table is made up."""
    wobble = np.cos(5 * np.arange(len(gene)))
    kinds = {"multi_attention": "model", "hm_crnn": "model", "logistic": "baseline"}
    scores = {name: np.clip(activity + (0.2 + 0.2 * i) * wobble, 0.01, 0.99) for i, name in enumerate(kinds)}
    mdata.obsm["benchmark_scores"] = pd.DataFrame(scores, mdata.obs_names)
    mdata.obs["benchmark_fold"] = pd.Categorical(np.where(gene % 2, "0", "1"))
    folds, summary = [], []
    for metric in ("auc", "average_precision", "ece"):
        for i, (name, kind) in enumerate(kinds.items()):
            of_model = {"metric": metric, "model": name, "kind": kind, "seconds": 1.0, "note": ""}
            values = 0.9 - 0.08 * i - 0.2 * activity[0] + np.array([-0.02, 0.03])
            folds += [
                {**of_model, "fold": str(j), "seed": 0, "n_obs": 21, "value": value} for j, value in enumerate(values)
            ]
            interval = {"low": values.mean() - 0.04, "high": values.mean() + 0.04, "method": "bootstrap of chromosomes"}
            summary.append({**of_model, "value": values.mean(), **interval, "best_baseline": "logistic"})
    tables = {"folds": pd.DataFrame(folds), "summary": pd.DataFrame(summary)}
    mdata.uns["benchmark"] = {"target": "label", "label_key": "label", **tables}


@pytest.fixture(scope="session")
def make_object():
    """The function that makes the object up."""
    return make


@pytest.fixture
def made():
    return make()

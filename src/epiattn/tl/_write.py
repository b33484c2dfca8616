"""What a model found goes into the object: one place for everything that is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from epiattn import _keys as k
from epiattn import metrics
from epiattn._columns import parts_of_split
from epiattn._compat import layer_names
from epiattn._modalities import kind, record_written

from ._groups import ALL, Models
from ._ownership import check_places, container_of, plain, remove_places

if TYPE_CHECKING:
    from mudata import MuData

    from epiattn.models import RegulatoryModel
    from epiattn.models._outputs import Outputs


def write_results(
    mdata: MuData,
    models: Models,
    parts: Sequence[tuple[np.ndarray, Outputs]],
    key: str,
    *,
    record: Mapping[str, Any],
    split_key: str | None = None,
) -> None:
    """Write what models say, each of some rows, under a key; an earlier run's results are replaced."""
    import pandas as pd

    model = next(iter(models.values())).first
    outputs = parts[0][1] if len(parts) == 1 else type(parts[0][1]).join(parts, mdata.obs_names)
    score = outputs.prediction
    weights = pd.DataFrame(outputs.modality_weights, index=mdata.obs_names, columns=list(model.channels))
    remove_places(mdata, key)
    values: dict[str, Any] = {f"obsm/{k.latent(key)}": outputs.latent, f"obsm/{k.modality_weights(key)}": weights}
    values[f"obs/{k.score(key)}"] = score
    if outputs.prediction_sd is not None:
        values[f"obs/{k.score_sd(key)}"] = outputs.prediction_sd
    if outputs.interval is not None:
        values[f"obs/{k.score_low(key)}"], values[f"obs/{k.score_high(key)}"] = outputs.interval
    if model.target == "label":
        predicted = pd.Categorical.from_codes((score > 0.5).astype(int), categories=[k.LOW, k.HIGH])
        values[f"obs/{k.prediction(key)}"] = predicted
    for modality, context in outputs.contexts.items():
        values[f"obsm/{k.context(key, modality)}"] = context
    for modality, attention in outputs.attention.items():
        values[f"{modality}/layers/{k.attention(key)}"] = attention
        record_written(mdata[modality], k.attention(key))
    for modality, by_mark in outputs.mark_attention.items():
        for i, mark in enumerate(model.channels[modality]):
            values[f"{modality}/layers/{k.mark_attention(key, mark)}"] = by_mark[:, i]
            record_written(mdata[modality], k.mark_attention(key, mark))
    for modality, unbound in outputs.unbound.items():
        values[f"{modality}/obs/{k.unbound(key)}"] = unbound
    for place, value in values.items():
        container, name = container_of(mdata, place)
        container[name] = value
    mdata.uns[key] = {
        **plain(record),
        "uniform_attention": model.uniform_attention,
        "attends": model.module.network.attends,
        "channels": {modality: list(names) for modality, names in model.channels.items()},
        **_metrics(mdata, model, outputs, split_key, pooled=ALL in models),
        "written": list(values),
        "versions": {name: version(name) for name in ("epiattn", "scvi-tools", "torch", "anndata", "mudata")},
    }
    package = dict(mdata.uns.get(k.PACKAGE, {}))
    mdata.uns[k.PACKAGE] = {"schema_version": k.SCHEMA_VERSION, **package}


#: Metrics by target.
METRICS: dict[str, dict[str, Callable[..., float]]] = {
    "label": {"auc": metrics.roc_auc, "average_precision": metrics.average_precision},
    "expression": {"r2": metrics.r2, "pearson": metrics.pearson},
}


def _metrics(
    mdata: MuData, model: RegulatoryModel, outputs: Outputs, split_key: str | None, *, pooled: bool
) -> dict[str, Any]:
    """Metrics of each part of the split (or of all observations), and by cell type; empty where there is no truth.

    Scores of several models are never pooled: with one model per cell type a metric is the mean over the cell types.
    """
    import pandas as pd

    truth = model.get_target(mdata)
    if truth is None:  # new data need not have labels or expression
        return {"metrics": {}}
    if split_key is None:
        parts = {"all": np.isfinite(truth)}
    else:
        found = parts_of_split(mdata, split_key)
        parts = {part: (found == part) & np.isfinite(truth) for part in k.PARTS}

    def evaluate(rows: np.ndarray) -> dict[str, Any]:
        values = {name: of(truth[rows], outputs.prediction[rows]) for name, of in METRICS[model.target].items()}
        if outputs.interval is not None:
            low, high = (end[rows] for end in outputs.interval)
            width = float((high - low).mean()) if rows.any() else np.nan
            values |= {"coverage": metrics.coverage(truth[rows], low, high), "width": width}
        return {"n_obs": int(rows.sum()), **values}

    result: dict[str, Any] = {"metrics": {part: evaluate(rows) for part, rows in parts.items()}}
    if k.CELL_TYPE in mdata.obs:
        cell_type = mdata.obs[k.CELL_TYPE].astype(str).to_numpy()
        table = pd.DataFrame(
            {"cell_type": name, "part": part, **evaluate(rows & (cell_type == name))}
            for name in dict.fromkeys(cell_type)
            for part, rows in parts.items()
        )
        result["metrics_by_cell_type"] = table
        if not pooled:
            means = table.drop(columns=["cell_type", "n_obs"]).groupby("part", sort=False).mean()
            for part, values in means.iterrows():
                result["metrics"][part] |= values.to_dict()
    return result


def _places(mdata: MuData, key: str) -> list[str]:
    """All fields that a run may write, as in the record ``written``."""
    places = [f"obsm/{k.latent(key)}", f"obsm/{k.modality_weights(key)}", f"obs/{k.score(key)}"]
    places += [f"obs/{name(key)}" for name in (k.score_sd, k.score_low, k.score_high, k.prediction)]
    for modality in filter(kind, mdata.mod):
        places += [f"obsm/{k.context(key, modality)}", f"{modality}/layers/{k.attention(key)}"]
        marks = layer_names(mdata[modality])
        places += [f"{modality}/layers/{k.mark_attention(key, mark)}" for mark in marks]
        if kind(modality) == k.TF:
            places.append(f"{modality}/obs/{k.unbound(key)}")
    return places


def check_owned(mdata: MuData, key: str) -> None:
    """Refuse a key whose fields another key, or the user, wrote; see :func:`check_places`."""
    check_places(mdata, key, _places(mdata, key))


@contextmanager
def setup_undone(model_class: type[RegulatoryModel], mdata: MuData) -> Iterator[None]:
    """Leave no trace of scvi-tools' set-up on the object, and no reference to it in scvi-tools' stores."""
    from scvi.data._constants import _MANAGER_UUID_KEY, _SCVI_UUID_KEY

    keys = (_SCVI_UUID_KEY, _MANAGER_UUID_KEY)
    before = {name: mdata.uns.pop(name) for name in keys if name in mdata.uns}
    managers = set(model_class._setup_adata_manager_store)
    instances = set(model_class._per_instance_manager_store)
    try:
        yield
    finally:
        for name in keys:
            mdata.uns.pop(name, None)
        mdata.uns.update(before)
        for store, known in (
            (model_class._setup_adata_manager_store, managers),
            (model_class._per_instance_manager_store, instances),
        ):
            for name in set(store) - known:
                del store[name]

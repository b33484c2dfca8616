"""Attention by group and by head, as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from scipy import sparse

from epiattn import _keys as k
from epiattn._cpgs import by_position
from epiattn._effects import groups_of
from epiattn._modalities import kind
from epiattn._results import run_of, unfaithful, warn_if_unfaithful
from epiattn._validation import as_mudata, check_key, give_back

from ._ownership import write_places

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from mudata import MuData
    from torch import Tensor

    from ._trained import Trained

#: Observations of a batch of self-attention between all TFs, and of any other.
_FEW, _MANY = 32, 1024
_MEAN = "mean"
#: What a table is called that is about modalities, not about what is in one.
MODALITIES = "modalities"


def attention(
    mdata: MuData,
    *,
    groupby: str | None = k.LABEL,
    heads: bool = False,
    pairs: bool = False,
    n_bins: int = 20,
    key: str = "attn",
    key_added: str | None = None,
    model_dir: str | Path | None = None,
    copy: bool = False,
) -> MuData:
    """Mean attention of groups of observations: over bins and marks, CpGs, TFs and modalities; also head by head.

    Bins are those of the data: where a model attends to pooled positions, each position's weight is spread equally over
    the bins of its receptive field. Marks are told apart where the model keeps them apart (``multi_attention``,
    ``attentive_chrome``); the published convolution mixes them first, and its attention says where, never which mark.

    Attention is not explanation until tested: see :func:`epiattn.tl.faithfulness`. Where it failed that test, a warning
    is logged, and the result notes the modalities (``unfaithful``).

    Parameters
    ----------
    mdata
        Object that ``tl.fit`` or ``tl.embed`` wrote to.
    groupby
        Column of ``obs``, such as ``"cell_type"``, ``"leiden"`` or ``"label"``; ``None``: all observations together.
    heads
        Tell the heads (queries) apart; this runs the model. Heads of an ensemble are called ``"0.3"``: head 3 of the
        first member.
    pairs
        Mean attention of each TF to each TF, for models with self-attention over TFs; this runs the model, and costs
        the square of the number of TFs for each observation.
    n_bins
        Bins of CpG positions.
    key
        ``key_added`` of the run.
    key_added
        Where the result is written; ``None``: ``f"{key}_attention"``.
    model_dir
        Folder of the model (``heads`` and ``pairs``); ``None``: the model of this session, or the folder that was given
        to ``tl.fit``.
    copy
        Work on a copy.

    Returns
    -------
    The same object (a copy with ``copy=True``), with these fields written:

    ``uns["attn_attention"]``
        the table of :func:`epiattn.get.attention`, the arguments, and ``unfaithful``: modalities over which the
        attention failed the test of :func:`epiattn.tl.faithfulness`
    ``mdata["tf"].varp["attn_attention"]``, ``mdata["tf"].varp["attn_attention_<group>"]``
        mean attention of each TF (row) to each TF (column) over all observations, and over those of a group, shape
        ``(n_tfs, n_tfs)`` (``pairs`` only)

    Raises
    ------
    ValueError
        If there is no such run or column, its model is not at hand (``heads``, ``pairs``), or has no self-attention
        over TFs (``pairs``).

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=100, cell_types=2)
    >>> mdata = attn.tl.fit(mdata, max_epochs=1)
    >>> mdata = attn.tl.attention(mdata, groupby="cell_type")
    >>> attn.get.attention(mdata, modality="modalities").groupby("channel", sort=False)["n_obs"].sum().to_dict()
    {'histone': 200, 'methylation': 200, 'tf': 200}
    """
    given, mdata = mdata, as_mudata(mdata, copy=copy)
    run = run_of(mdata, key)
    key_added = k.attention(key) if key_added is None else key_added
    check_key(mdata, key_added)
    groups = groups_of(mdata, groupby)
    trained = None
    if heads or pairs:
        from ._trained import Trained

        trained = Trained(mdata, key, model_dir)
    found = _by_head(mdata, trained) if heads and trained is not None else _as_written(mdata, run, key)
    sums: dict[tuple[str, str, str], _Sums] = {}
    for rows, modality, name, values in found:
        if modality == k.METHYLATION:
            n_cpg = mdata[modality].obs[k.N_CPG].to_numpy(dtype=float)[rows, None]
            values = by_position(mdata[modality], values * n_cpg, rows, n_bins)
        elif kind(modality) == k.HISTONE:  # all 0 where it was not measured
            values = np.where(values.any(axis=tuple(range(1, values.ndim)), keepdims=True), values, np.nan)
        for group, member in groups.items():
            sums.setdefault((modality, group, name), _Sums()).add(values[member[rows]])
    parts = [_table(mdata, run["channels"], *which, total, n_bins=n_bins) for which, total in sums.items()]
    record: dict[str, Any] = {
        "tool": "attention",
        "key": key,
        "fingerprint": run.get("fingerprint"),
        "groupby": groupby,
        "heads": heads,
        "table": _concatenated(parts),
        "unfaithful": unfaithful(mdata, key),
    }
    warn_if_unfaithful(mdata, key)
    write_places(mdata, key_added, _pairs(mdata, trained, groups, key_added) if pairs and trained else {}, record)
    return give_back(mdata, given, copy=copy)


class _Sums:
    """Number, sum and sum of squares of observations' values; NaN is left out."""

    def __init__(self) -> None:
        self.n: Any = 0
        self.total: Any = 0.0
        self.squares: Any = 0.0

    def add(self, values: np.ndarray) -> None:
        known = np.isfinite(values)
        values = np.where(known, values, 0).astype(float)
        self.n = self.n + known.sum(0)
        self.total = self.total + values.sum(0)
        self.squares = self.squares + np.square(values).sum(0)

    def mean(self) -> np.ndarray:
        return np.divide(self.total, self.n, out=np.full(np.shape(self.n), np.nan), where=self.n > 0)

    def error(self) -> np.ndarray:
        """Standard error of the mean; NaN of fewer than two observations."""
        undefined = np.full(np.shape(self.n), np.nan)
        spread = np.maximum(self.squares - self.n * np.nan_to_num(self.mean()) ** 2, 0)
        return np.sqrt(np.divide(spread, self.n * (self.n - 1), out=undefined, where=self.n > 1))


Found = Iterator[tuple[np.ndarray, str, str, np.ndarray]]


def _as_written(mdata: MuData, run: Mapping[str, Any], key: str) -> Found:
    """Rows, modality, head and attention of all observations, from the layers that the run wrote."""
    weights = mdata.obsm[k.modality_weights(key)]
    for start in range(0, mdata.n_obs, _MANY):
        rows = np.arange(start, min(start + _MANY, mdata.n_obs))
        for modality, channels in run["channels"].items():
            if modality not in mdata.mod:
                continue
            layers = mdata[modality].layers
            apart = [k.mark_attention(key, mark) for mark in channels]
            if kind(modality) == k.HISTONE and all(name in layers for name in apart):
                values = np.stack([_single(layers[name][rows]) for name in apart], axis=1)
            elif kind(modality) == k.TF:
                values = _where_bound(layers[k.attention(key)][rows])
            else:
                values = _single(layers[k.attention(key)][rows])
            yield rows, modality, _MEAN, values
        yield rows, MODALITIES, _MEAN, weights.to_numpy()[rows]


def _single(weights: Any) -> np.ndarray:
    """In single precision, also where ``attention_dtype="float16"`` stored them."""
    return np.asarray(weights, dtype=np.float32)


def _where_bound(weights: Any) -> np.ndarray:
    """Attention on bound TFs, NaN on others."""
    stored = sparse.csr_matrix(weights).tocoo()
    values = np.full(stored.shape, np.nan)
    values[stored.row, stored.col] = stored.data
    return values


def _by_head(mdata: MuData, trained: Trained) -> Found:
    """Rows, modality, head and attention of all observations, from the model."""
    several = trained.n_members > 1
    for rows, i, explainer, found, masks in _run(trained, _MANY):
        prefix = f"{i}." if several else ""
        for modality, heads in found.items():
            for head in range(heads.shape[1]):
                values = heads[:, head]
                if kind(modality) == k.METHYLATION:
                    padded = np.zeros((len(rows), mdata[modality].n_vars), values.dtype)
                    padded[:, : values.shape[1]] = values
                    values = padded
                elif kind(modality) == k.TF:
                    columns = explainer.columns[modality]
                    spread = np.full((len(rows), mdata[modality].n_vars), np.nan)
                    known = columns >= 0
                    spread[:, columns[known]] = np.where(masks[modality], values, np.nan)[:, known]
                    values = spread
                yield rows, modality or MODALITIES, f"{prefix}{head}", values


def _run(trained: Trained, batch_size: int, only: str | None = None) -> Iterator[tuple]:
    """Attention by head of each batch and member: rows, member, who was asked, attention, and which TFs are bound."""
    import torch

    from epiattn.models._loader import to_numpy

    for of_part, members in trained.parts:
        for i, explainer in enumerate(members):
            explainer.batch_size, before = batch_size, explainer.batch_size
            scaling, network = explainer.module.scaling, explainer.module.network
            with explainer.evaluating(), torch.inference_mode():
                for rows, batch in explainer.batches():
                    scaled = {name: scaling(name, each) for name, each in batch.items() if only in (None, name)}
                    heads = network.head_attention(scaled) if only is None else _of_one(network, scaled, only)
                    masks = {name: to_numpy(cast("Tensor", batch[name].mask)) for name in explainer.columns}
                    yield of_part[rows], i, explainer, {name: to_numpy(each) for name, each in heads.items()}, masks
            explainer.batch_size = before


def _of_one(network: Any, scaled: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {name: network.encoders[name].head_attention(scaled[name].values, scaled[name].mask)}


def _pairs(mdata: MuData, trained: Trained, groups: Mapping[str, np.ndarray], key_added: str) -> dict[str, Any]:
    """Mean attention of each TF to each, over all observations and over each group."""
    explainer = trained.parts[0][1][0]
    name = next(iter(explainer.columns), None)
    encoders: Any = explainer.module.network.encoders
    if name is None or not getattr(encoders[name], "attends_in_pairs", False):
        msg = (
            "pairs=True needs self-attention over TFs: fit with model='kang2020', or with tf_encoder='self_attention', "
            "on data with TFs."
        )
        raise ValueError(msg)
    everyone = {"": np.ones(mdata.n_obs, bool), **({} if len(groups) == 1 else groups)}
    totals: dict[str, Any] = dict.fromkeys(everyone, 0.0)
    for rows, _, _, found, _ in _run(trained, _FEW, name):
        for group, member in everyone.items():
            totals[group] = totals[group] + found[name][member[rows]].sum(0, dtype=float)
    columns = explainer.columns[name]
    known = columns >= 0
    values = {}
    for group, total in totals.items():
        matrix = np.zeros((mdata[name].n_vars, mdata[name].n_vars), np.float32)
        n = max(int(everyone[group].sum()), 1) * trained.n_members
        matrix[np.ix_(columns[known], columns[known])] = (total / n)[np.ix_(known, known)]
        values[f"{name}/varp/{k.pairs_of_group(key_added, group) if group else key_added}"] = matrix
    return values


def _table(
    mdata: MuData,
    channels: Mapping[str, Any],
    modality: str,
    group: str,
    head: str,
    total: _Sums,
    *,
    n_bins: int,
) -> dict[str, Any]:
    """Columns of the rows of one modality, group and head."""
    mean, error, n_obs = total.mean(), total.error(), total.n
    start: Any = np.nan
    end: Any = np.nan
    if modality == MODALITIES:
        names = np.array(list(channels), dtype=object)
    elif kind(modality) == k.TF:
        names = mdata[modality].var_names.to_numpy(dtype=object)
    else:
        start, end = _edges(mdata[modality], modality, n_bins)
        names = np.array(list(channels[modality]) if mean.ndim == 2 else [""], dtype=object)
        names, start, end = np.repeat(names, len(start)), np.tile(start, len(names)), np.tile(end, len(names))
    return {
        "modality": modality,
        "group": group,
        "head": head,
        "channel": names,
        "start": start,
        "end": end,
        "mean": mean.ravel(),
        "error": error.ravel(),
        "n_obs": np.ravel(n_obs),
    }


def _edges(adata: AnnData, modality: str, n_bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Where bins, or bins of CpG positions, start and end: in bp from the TSS where that is known."""
    if kind(modality) == k.METHYLATION:
        edges = np.linspace(-1, 1, n_bins + 1) * float(adata.uns.get("window", 1))
        return edges[:-1], edges[1:]
    if {k.START, k.END} <= set(adata.var):
        return adata.var[k.START].to_numpy(dtype=float), adata.var[k.END].to_numpy(dtype=float)
    return np.arange(adata.n_vars, dtype=float), np.arange(1, adata.n_vars + 1, dtype=float)


def _concatenated(parts: list[dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    return pd.concat([pd.DataFrame(part) for part in parts], ignore_index=True)

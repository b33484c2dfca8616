"""What was measured in a cluster, and not in the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import false_discovery_control

from epiattn import _keys as k
from epiattn._modalities import find_channels, kind
from epiattn._signal_features import signal_features
from epiattn._validation import as_mudata, check_choice, check_key, give_back

from ._comparisons import REST, as_scanpy, comparisons, units_of
from ._ownership import write_places
from ._permutation import compare_units
from ._rank_sum import rank_sum

if TYPE_CHECKING:
    import pandas as pd
    from mudata import MuData


def rank_marks_groups(
    mdata: MuData,
    *,
    groupby: str = "attn_cluster",
    group: str | Sequence[str] | None = None,
    reference: str | Sequence[str] = REST,
    method: str = "wilcoxon",
    scale_by: str | None = k.CELL_TYPE,
    regions: Mapping[str, tuple[float, float]] | None = None,
    tfs: bool = False,
    n_permutations: int = 1_000,
    key_added: str | None = None,
    seed: int = 0,
    copy: bool = False,
) -> MuData:
    """Describe each cluster (or any group) by its marks, CpGs, TFs and expression.

    The features are what was measured, not what the model made of it: the mean signal of each mark, in log2 of 1 + its
    ratio to the mark's mean in the cell type; the mean beta and the number of the CpGs (in observations that have any);
    the share of the TFs that have evidence, or whether a TF has; and the expression.

    Clusters were made from the same signal, so that it differs between them is no discovery: p-values tell features
    that mark a cluster from those that do not. A gene's observations in several cell types, which are much alike, count
    each in Wilcoxon's test; ``method="permutation"`` takes a gene's mean on each side, and exchanges genes between the
    sides, or the two means of a gene that is on both.

    Parameters
    ----------
    mdata
        The object; no run is needed.
    groupby
        Column of ``obs``: the clusters of :func:`epiattn.tl.cluster`, or any other.
    group
        One or several of its values, taken together; ``None``: each value by itself.
    reference
        What they are compared with: ``"rest"`` (all others), or one or several values.
    method
        ``"wilcoxon"``: rank sums of observations; ``"permutation"``: the difference of the means of genes.
    scale_by
        Column of ``obs``, in each of whose groups the mean of a mark is 1, so that depth does not count; ``None``: the
        mean over all observations is 1. Compare cell types with ``None``.
    regions
        Parts of the window to tell apart, in bp from the TSS, such as ``{"promoter": (-500, 500)}``; features are then
        called ``"H3K4me3 promoter"``. ``None``: the window as a whole.
    tfs
        Tell single TFs apart.
    n_permutations
        Random exchanges (``"permutation"``); p-values are never below ``1 / (n_permutations + 1)``.
    key_added
        Where the result is written; ``None``: ``"attn_rank_marks_groups"``.
    seed
        Seed of the exchanges.
    copy
        Work on a copy.

    Returns
    -------
    The same object (a copy with ``copy=True``), with this field written:

    ``uns["attn_rank_marks_groups"]``
        ``features``, the table of :func:`epiattn.get.rank_marks_groups`; and the same in the layout of
        :func:`scanpy.tl.rank_genes_groups` (``names``, ``scores``, ``pvals``, ``pvals_adj``, ``logfoldchanges``, which
        are the differences of the means, and ``params``)

    Raises
    ------
    ValueError
        If there is no such column or group, nothing to compare, or a region holds no bin.

    References
    ----------
    Mann & Whitney, Ann. Math. Stat. 18:50 (1947), doi 10.1214/aoms/1177730491; Phipson & Smyth, Stat. Appl. Genet. Mol.
    Biol. 9:39 (2010), doi 10.2202/1544-6115.1585; Benjamini & Hochberg, J. R. Stat. Soc. B 57:289 (1995).

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=100, cell_types=2)
    >>> mdata = attn.tl.rank_marks_groups(mdata, groupby="label")
    >>> table = attn.get.rank_marks_groups(mdata, group="high")
    >>> table["feature"].iloc[0]
    'expression'
    """
    import pandas as pd

    check_choice("method", method, ("wilcoxon", "permutation"))
    if n_permutations < 1:
        msg = f"n_permutations must be 1 or more, not {n_permutations}."
        raise ValueError(msg)
    given, mdata = mdata, as_mudata(mdata, copy=copy)
    key_added = k.rank_marks("attn") if key_added is None else key_added
    check_key(mdata, key_added)
    compared = comparisons(mdata, groupby, group, reference)
    table = _scaled(mdata, signal_features(mdata, regions=regions, tfs=tfs), scale_by)
    values = table.to_numpy(dtype=float)
    gene = pd.factorize(mdata.obs[k.GENE_ID] if k.GENE_ID in mdata.obs else pd.Series(mdata.obs_names))[0]
    rng = np.random.default_rng(seed)
    found = []
    for (name, other), side in compared.items():
        sides = [values[side == value] for value in (1, -1)]
        tested = rank_sum(*sides)
        means, spreads = zip(*(_mean_and_spread(each) for each in sides), strict=True)
        columns: dict[str, Any] = {
            "group": name,
            "reference": other,
            "feature": table.columns,
            "effect": means[0] - means[1],
            "auc": tested.auc,
            "score": tested.score,
            "pvals": tested.p_value,
            "mean_group": means[0],
            "mean_reference": means[1],
            "n_group": tested.n_group,
            "n_reference": tested.n_reference,
        }
        pooled = np.sqrt((spreads[0] ** 2 + spreads[1] ** 2) / 2)
        columns["cohen_d"] = np.divide(columns["effect"], pooled, out=np.full(len(pooled), np.nan), where=pooled > 0)
        if method == "permutation":
            columns |= _exchanged(values, gene, side, n_permutations, rng)
        frame = pd.DataFrame(columns)
        frame["pvals_adj"] = false_discovery_control(frame["pvals"])
        found.append(frame)
    features = pd.concat(found, ignore_index=True)
    record = {
        "tool": "rank_marks_groups",
        "params": {
            "groupby": groupby,
            "reference": reference if isinstance(reference, str) else ", ".join(reference),
            "method": method,
            "scale_by": scale_by,
            "n_permutations": n_permutations if method == "permutation" else None,
            "seed": seed,
            "use_raw": False,
            "corr_method": "benjamini-hochberg",
        },
        "features": features,
    }
    write_places(mdata, key_added, {}, record)
    mdata.uns[key_added] |= as_scanpy(features)
    return give_back(mdata, given, copy=copy)


def _scaled(mdata: MuData, table: pd.DataFrame, scale_by: str | None) -> pd.DataFrame:
    """Signal as log2 of 1 + its ratio to the mark's mean over the window, in each group of a column."""
    if scale_by is not None and scale_by != k.CELL_TYPE and scale_by not in mdata.obs:
        msg = f"scale_by: obs[{scale_by!r}] is missing; the columns are {list(mdata.obs.columns)}."
        raise ValueError(msg)
    by = mdata.obs[scale_by].astype(str).to_numpy() if scale_by in mdata.obs else np.zeros(mdata.n_obs)
    whole = signal_features(mdata).groupby(by).transform("mean")
    table = table.copy()
    inputs = find_channels(mdata) if any(kind(name) for name in mdata.mod) else {}
    for modality, marks in inputs.items():
        for name in (k.feature(modality, mark) for mark in marks if kind(modality) == k.HISTONE):
            mean = whole[name].to_numpy()
            for column in (each for each in table if each == name or each.startswith(f"{name} ")):
                table[column] = np.log2(1 + table[column] / np.where(mean > 0, mean, 1))
    return table


def _mean_and_spread(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation; NaN is left out."""
    known = np.isfinite(values)
    n = np.maximum(known.sum(0), 1)
    mean = np.where(known, values, 0).sum(0) / n
    spread = np.sqrt(np.where(known, (values - mean) ** 2, 0).sum(0) / np.maximum(n - 1, 1))
    return np.where(known.any(0), mean, np.nan), spread


def _exchanged(
    values: np.ndarray, gene: np.ndarray, side: np.ndarray, n_permutations: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Score and p-value of each feature, when genes change sides; those without observations on a side: 0 and 1."""
    score, p_value = np.zeros(values.shape[1]), np.ones(values.shape[1])
    known = np.isfinite(values)
    together: dict[bytes, list[int]] = {}  # features that were measured in the same observations
    for i in range(known.shape[1]):
        together.setdefault(known[:, i].tobytes(), []).append(i)
    for these in together.values():
        pattern = known[:, these[0]]
        if not all((pattern & (side == value)).any() for value in (1, -1)):
            continue
        group, reference, n_paired = units_of(values[:, these], gene, np.where(pattern, side, 0))
        tested = compare_units(group, reference, n_permutations=n_permutations, rng=rng, n_paired=n_paired)
        score[these], p_value[these] = tested.score, tested.p_value
    return {"score": score, "pvals": p_value}

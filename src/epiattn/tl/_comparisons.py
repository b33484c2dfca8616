"""Groups that are compared, and the layout of scanpy's ``rank_genes_groups`` for what is found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from epiattn._columns import compared_groups

if TYPE_CHECKING:
    import pandas as pd
    from mudata import MuData

REST = "rest"


def comparisons(
    mdata: MuData, groupby: str, group: str | Sequence[str] | None, reference: str | Sequence[str]
) -> dict[tuple[str, str], np.ndarray]:
    """By names of group and reference: 1 in the group, -1 in the reference, 0 in neither, shape ``(n_obs,)``."""
    known, codes = compared_groups(mdata, groupby)
    names = np.array([*known, None], dtype=object)[codes]
    asked = [[name] for name in known] if group is None else [[group] if isinstance(group, str) else list(group)]
    against = None if reference == REST else [reference] if isinstance(reference, str) else list(reference)
    if unknown := sorted({name for each in (*asked, against or []) for name in each} - set(known)):
        msg = f"obs[{groupby!r}] holds {known}, not {unknown}."
        raise ValueError(msg)
    found = {}
    for each in asked:
        others = [name for name in known if name not in each] if against is None else against
        if group is None and each[0] in others:
            continue  # the reference itself
        if shared := sorted(set(each) & set(others)):
            msg = f"{shared} cannot be in the group and in the reference."
            raise ValueError(msg)
        if not others:
            msg = f"obs[{groupby!r}] holds {known} only: there is nothing to compare {each} with."
            raise ValueError(msg)
        side = np.where(np.isin(names, each), 1, np.where(np.isin(names, others), -1, 0))
        found[", ".join(each), REST if against is None else ", ".join(others)] = side
    if not found:
        msg = f"obs[{groupby!r}] holds {known} only: there is nothing to compare."
        raise ValueError(msg)
    return found


def units_of(values: np.ndarray, gene: np.ndarray, side: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Mean over the observations of each gene, on each side; genes on both sides come first, in the same order.

    Parameters
    ----------
    values
        Shape ``(n_obs, n_features)``.
    gene
        Number of each observation's gene.
    side
        1 in the group, -1 in the reference, 0 in neither.

    Returns
    -------
    Group and reference, shape ``(n_genes, n_features)`` each, and how many genes are on both sides.
    """
    of_side = [_means_by_gene(values, gene, side == value) for value in (1, -1)]
    shared = np.intersect1d(of_side[0][0], of_side[1][0])
    group, reference = (means[np.argsort(~np.isin(names, shared), kind="stable")] for names, means in of_side)
    return group, reference, len(shared)


def _means_by_gene(values: np.ndarray, gene: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Genes, sorted, and means over their observations, shape ``(n_genes, n_features)``."""
    names, code = np.unique(gene[rows], return_inverse=True)
    totals = np.zeros((len(names), values.shape[1]))
    np.add.at(totals, code, values[rows])
    return names, totals / np.bincount(code)[:, None]


def as_scanpy(features: pd.DataFrame) -> dict[str, np.ndarray]:
    """The features of each group, the largest scores first, as structured arrays."""
    by_group = {
        name: of_group.sort_values("score", ascending=False, kind="stable")
        for name, of_group in features.groupby("group", sort=False, observed=True)
    }
    fields = {"names": "feature", "scores": "score", "logfoldchanges": "effect", "pvals": "pvals"}
    found: dict[str, np.ndarray] = {}
    for field, column in {**fields, "pvals_adj": "pvals_adj"}.items():
        kind = "O" if field == "names" else "f8"
        arrays = [of_group[column].to_numpy() for of_group in by_group.values()]
        found[field] = np.rec.fromarrays(arrays, dtype=np.dtype([(str(name), kind) for name in by_group]))
    return found

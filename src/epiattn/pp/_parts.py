"""Which groups of observations go into which part of a split."""

from __future__ import annotations

import re
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from epiattn import _keys as k

if TYPE_CHECKING:
    import pandas as pd
    from mudata import MuData

#: Shares of the observations that a part gets when it is not named.
SHARES = {k.TRAIN: 0.70, k.VALIDATION: 0.15, k.TEST: 0.15}

#: Test chromosomes of each fold in published studies.
PRESETS: dict[str, tuple[tuple[str, ...], ...]] = {
    "chromoformer": (
        ("1", "5", "6", "8", "14", "Y"),
        ("7", "10", "11", "12", "15", "21"),
        ("2", "3", "4", "16", "18", "20"),
        ("9", "13", "17", "19", "22", "X"),
    )
}


def groups_of(mdata: MuData, by: str) -> pd.Series:
    """Group of each observation.

    Raises
    ------
    ValueError
        If there is no such column, or an observation has no group.
    """
    if by == "random":
        column = mdata.obs[k.GENE_ID] if k.GENE_ID in mdata.obs else mdata.obs_names.to_series()
    elif by in mdata.obs:
        column = mdata.obs[by]
    else:
        msg = f"by={by!r} is neither 'random' nor a column of mdata.obs; columns are {list(mdata.obs)}."
        raise ValueError(msg)
    if column.isna().any():
        msg = f"obs[{by!r}] is missing for {int(column.isna().sum())} observations; every one needs a group."
        raise ValueError(msg)
    return column.astype(str)


def genes_of(mdata: MuData) -> pd.Series:
    """Gene of each observation; where there is none, the observation's own name."""
    names = mdata.obs_names.to_series().astype(object)
    if k.GENE_ID not in mdata.obs:
        return names
    genes = mdata.obs[k.GENE_ID].astype(object)
    return genes.where(genes.notna(), names).astype(str)


def fill_largest_first(
    sizes: pd.Series, named: Mapping[str, list[str]], parts: Sequence[str] = k.PARTS
) -> dict[str, str]:
    """Give the groups, from the largest to the smallest, to the part that lacks most; no part stays empty.

    Parameters
    ----------
    sizes
        Observations of each group.
    named
        Groups whose part is given.
    parts
        Parts that there are to be.

    Returns
    -------
    The part of each group.
    """
    assigned = {name: part for part, names in named.items() for name in names}
    open_parts = [part for part in parts if not named.get(part)]
    missing = {part: SHARES[part] * sizes.sum() for part in open_parts}
    if k.TRAIN in missing:
        missing[k.TRAIN] = sizes.drop(list(assigned)).sum() - sum(v for p, v in missing.items() if p != k.TRAIN)
    rest = largest_first({name: sizes[name] for name in sizes.index if name not in assigned})
    for i, name in enumerate(rest):
        empty = [part for part in open_parts if part not in assigned.values()]
        candidates = empty if len(empty) >= len(rest) - i else open_parts
        part = max(candidates, key=lambda part: missing[part])
        assigned[name] = part
        missing[part] -= sizes[name]
    return assigned


def fill_in_order(order: np.ndarray, sizes: pd.Series) -> dict[str, str]:
    """Cut an order of groups where the shares of the observations are reached."""
    middle = (sizes[order].cumsum() - sizes[order] / 2) / sizes.sum()
    parts = np.where(middle < SHARES[k.TRAIN], k.TRAIN, np.where(middle < 1 - SHARES[k.TEST], k.VALIDATION, k.TEST))
    return dict(zip(order.tolist(), parts.tolist(), strict=True))


def fill_fold_in_order(order: np.ndarray, sizes: pd.Series, *, n_folds: int, fold: int) -> dict[str, str]:
    """Cut an order of groups into folds of as many groups: one is the test part, what follows it is validation.

    Raises
    ------
    ValueError
        If there are fewer groups than folds.
    """
    if len(order) < n_folds:
        msg = f"n_folds={n_folds} is more than the {len(order)} genes."
        raise ValueError(msg)
    blocks = np.array_split(order, n_folds)
    rest = np.concatenate([*blocks[fold + 1 :], *blocks[:fold]])
    middle = (sizes[rest].cumsum() - sizes[rest] / 2) / sizes.sum()
    parts = np.where(middle < SHARES[k.VALIDATION], k.VALIDATION, k.TRAIN)
    return dict.fromkeys(blocks[fold].tolist(), k.TEST) | dict(zip(rest.tolist(), parts.tolist(), strict=True))


def balanced(sizes: Mapping[str, int], n_folds: int, *, what: str) -> list[list[str]]:
    """Groups in folds of about the same size: from the largest to the smallest, each goes to the smallest fold.

    Parameters
    ----------
    sizes
        Size of each group.
    n_folds
        Number of folds.
    what
        What the groups are, for the message.

    Returns
    -------
    The groups of each fold, in natural order.

    Raises
    ------
    ValueError
        If there are fewer groups than folds.
    """
    if len(sizes) < n_folds:
        msg = f"n_folds={n_folds} is more than the {len(sizes)} groups of {what}: {shown(sizes)}."
        raise ValueError(msg)
    found: list[list[str]] = [[] for _ in range(n_folds)]
    filled = [0] * n_folds
    for name in largest_first(sizes):
        i = filled.index(min(filled))
        found[i].append(name)
        filled[i] += int(sizes[name])
    return [sorted(names, key=natural) for names in found]


def preset_folds(preset: str, chromosomes: Collection[str]) -> list[list[str]]:
    """Test chromosomes of each fold of a preset, as the object calls them; ``chr1`` and ``1`` are the same.

    Raises
    ------
    ValueError
        If a fold has none of the object's chromosomes.
    """
    folds = [[name for name in chromosomes if plain_chromosome(name) in fold] for fold in PRESETS[preset]]
    if empty := [i for i, names in enumerate(folds) if not names]:
        msg = f"preset={preset!r}: none of the chromosomes of fold {empty[0]} is in obs['chrom']: {shown(chromosomes)}."
        raise ValueError(msg)
    return [sorted(names, key=natural) for names in folds]


def preset_gaps(preset: str, chromosomes: Collection[str]) -> tuple[set[str], set[str]]:
    """Chromosomes of a preset that the object lacks, and those of the object that the preset lacks."""
    known = {name for fold in PRESETS[preset] for name in fold}
    plain = {name: plain_chromosome(name) for name in chromosomes}
    return known - set(plain.values()), {name for name in chromosomes if plain[name] not in known}


def plain_chromosome(name: str) -> str:
    """``1`` of ``chr1``, ``X`` of ``chrX``."""
    return re.sub(r"^chr", "", name, flags=re.IGNORECASE).upper()


def largest_first(sizes: Mapping[str, int]) -> list[str]:
    """Names by size, the largest first, equal ones in natural order."""
    return sorted(sizes, key=lambda name: (-sizes[name], natural(name)))


def natural(name: Hashable) -> list[tuple[bool, int, str]]:
    """Order chr2 before chr10."""
    pieces = re.split(r"(\d+)", str(name))
    return [(not piece.isdigit(), int(piece) if piece.isdigit() else 0, piece) for piece in pieces]


def shown(names: Collection[str]) -> str:
    """Names for a message."""
    ordered = sorted(names, key=natural)
    return ", ".join(ordered[:30]) + (", …" if len(ordered) > 30 else "")

"""Splits into training, validation and test observations."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np

from epiattn import _keys as k
from epiattn._logging import logger
from epiattn._validation import as_mudata, give_back

if TYPE_CHECKING:
    import pandas as pd
    from mudata import MuData

#: Shares of the observations that a part gets when it is not named.
SHARES = {k.TRAIN: 0.70, k.VALIDATION: 0.15, k.TEST: 0.15}


def split(
    mdata: MuData,
    *,
    by: str = "chrom",
    validation: Collection[str] | None = None,
    test: Collection[str] | None = None,
    seed: int = 0,
    key_added: str = k.SPLIT,
    copy: bool = False,
) -> MuData:
    """Split the observations into training, validation and test parts.

    Neighbouring genes share chromatin, so whole chromosomes are held out by default; a random split of genes is
    optimistic. All observations of a group (a chromosome; a gene) fall into one part.

    Parameters
    ----------
    mdata
        The object.
    by
        ``"chrom"`` (default) or another column of ``obs`` whose groups stay together, such as ``"cell_type"``; or
        ``"random"``: by gene.
    validation, test
        Groups of that column to hold out, such as ``("chr14", "chr19")``. What is not named is filled with groups up
        to about 15 % of the observations each, the same ones every time.
    seed
        Seed of ``by="random"``.
    key_added
        Column of ``obs`` to write.
    copy
        Work on a copy.

    Returns
    -------
    The object, with ``obs[key_added]`` (categorical: ``train``, ``validation``, ``test``) and
    ``uns["epiattn"]["splits"][key_added]`` (what was asked for, and the groups and observations of each part).

    Raises
    ------
    ValueError
        If a column or a group does not exist, a group is named twice, or a part would be empty.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=200, cell_types=1)
    >>> mdata = attn.pp.split(mdata, test=("chr1",))
    >>> mdata.obs.loc[mdata.obs["chrom"] == "chr1", "split"].unique().tolist()
    ['test']
    """
    import pandas as pd

    given, mdata = mdata, as_mudata(mdata, copy=copy)
    groups = _groups(mdata, by)
    named = {k.VALIDATION: _named(validation, "validation"), k.TEST: _named(test, "test")}
    sizes = groups.value_counts()
    _check_named(named, sizes, by)
    if by == "random":
        order = np.random.default_rng(seed).permutation(sorted(sizes.index))
        assigned = _fill_in_order(order, sizes)
    else:
        assigned = _fill_largest_first(sizes, named)
    values = groups.map(assigned)
    if empty := [part for part in k.PARTS if not (values == part).any()]:
        msg = (
            f"The split by {by!r} leaves {empty} empty: there are {len(sizes)} groups ({_shown(sizes.index)}); name "
            "fewer of them, or split by='random'."
        )
        raise ValueError(msg)
    mdata.obs[key_added] = pd.Categorical(values.to_numpy(), categories=list(k.PARTS))
    _record(mdata, key_added, by=by, seed=seed, assigned=assigned, values=values)
    return give_back(mdata, given, copy=copy)


def ensure_split(mdata: MuData, *, key: str = k.SPLIT, seed: int = 0) -> None:
    """Write the default split where there is none: by chromosome, or by gene if there are too few chromosomes."""
    if key in mdata.obs:
        return
    n_chromosomes = mdata.obs[k.CHROM].nunique() if k.CHROM in mdata.obs else 0
    if n_chromosomes >= len(k.PARTS):
        split(mdata, key_added=key)
    else:
        logger.warning(
            "obs['chrom'] has %d chromosomes, too few to hold whole ones out: splitting at random by gene (seed %d). "
            "Neighbouring genes on both sides make the test metrics optimistic.",
            n_chromosomes,
            seed,
        )
        split(mdata, by="random", seed=seed, key_added=key)


def _groups(mdata: MuData, by: str) -> pd.Series:
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


def _named(groups: Collection[str] | None, part: str) -> list[str]:
    if groups is None:
        return []
    names = [groups] if isinstance(groups, str) else [str(group) for group in groups]
    if not names:
        msg = f"{part}=() names no group; leave it out (None) to have the part filled."
        raise ValueError(msg)
    return names


def _check_named(named: Mapping[str, list[str]], sizes: pd.Series, by: str) -> None:
    for part, names in named.items():
        if names and by == "random":
            msg = f"{part}= names groups, which by='random' does not have."
            raise ValueError(msg)
        if unknown := [name for name in names if name not in sizes.index]:
            msg = f"{part}= names {unknown}, not in obs[{by!r}]: it has {_shown(sizes.index)}."
            raise ValueError(msg)
    if both := sorted(set(named[k.VALIDATION]) & set(named[k.TEST])):
        msg = f"{both} are named both in validation= and in test=."
        raise ValueError(msg)


def _fill_largest_first(sizes: pd.Series, named: Mapping[str, list[str]]) -> dict[str, str]:
    """Give the groups, from the largest to the smallest, to the part that lacks most; no part stays empty."""
    assigned = {name: part for part, names in named.items() for name in names}
    open_parts = [part for part in k.PARTS if not named.get(part)]
    missing = {part: SHARES[part] * sizes.sum() for part in open_parts}
    if k.TRAIN in missing:
        missing[k.TRAIN] = sizes.drop(list(assigned)).sum() - sum(v for p, v in missing.items() if p != k.TRAIN)
    rest = sorted(
        (name for name in sizes.index if name not in assigned), key=lambda name: (-sizes[name], _natural(name))
    )
    for i, name in enumerate(rest):
        empty = [part for part in open_parts if part not in assigned.values()]
        candidates = empty if len(empty) >= len(rest) - i else open_parts
        part = max(candidates, key=lambda part: missing[part])
        assigned[name] = part
        missing[part] -= sizes[name]
    return assigned


def _fill_in_order(order: np.ndarray, sizes: pd.Series) -> dict[str, str]:
    """Cut an order of groups where the shares of the observations are reached."""
    middle = (sizes[order].cumsum() - sizes[order] / 2) / sizes.sum()
    parts = np.where(middle < SHARES[k.TRAIN], k.TRAIN, np.where(middle < 1 - SHARES[k.TEST], k.VALIDATION, k.TEST))
    return dict(zip(order.tolist(), parts.tolist(), strict=True))


def _record(mdata: MuData, key: str, *, by: str, seed: int, assigned: Mapping[str, str], values: pd.Series) -> None:
    package = dict(mdata.uns.get(k.PACKAGE, {}))
    record: dict[str, object] = {"by": by, "seed": seed}
    for part in k.PARTS:
        record[f"n_{part}"] = int((values == part).sum())
        if by != "random":
            record[part] = sorted((name for name, value in assigned.items() if value == part), key=_natural)
    package["splits"] = {**package.get("splits", {}), key: record}
    package.setdefault("schema_version", k.SCHEMA_VERSION)
    mdata.uns[k.PACKAGE] = package


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """Order chr2 before chr10."""
    return [(not piece.isdigit(), int(piece) if piece.isdigit() else 0, piece) for piece in re.split(r"(\d+)", name)]


def _shown(names: Collection[str]) -> str:
    ordered = sorted(names, key=_natural)
    return ", ".join(ordered[:30]) + (", …" if len(ordered) > 30 else "")

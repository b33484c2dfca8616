"""Effects on single observations, summarised over genes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import _keys as k
from ._columns import levels_of

if TYPE_CHECKING:
    import pandas as pd
    from mudata import MuData


def groups_of(mdata: MuData, groupby: str | None) -> dict[str, np.ndarray]:
    """Mask of the observations of each group; those without a value are in none.

    Raises
    ------
    ValueError
        If there is no such column.
    """
    if groupby is None:
        return {"all": np.ones(mdata.n_obs, bool)}
    names, codes = levels_of(mdata, groupby)
    return {names[i]: codes == i for i in np.unique(codes[codes >= 0])}


def over_genes(mdata: MuData, values: np.ndarray) -> dict[str, float]:
    """Mean over genes, and its 95 % interval, in which a gene's observations count as one.

    Parameters
    ----------
    mdata
        The object.
    values
        Shape ``(n_obs,)``; NaN is left out.

    Returns
    -------
    ``mean``, ``low`` and ``high``, ``n_obs`` and ``n_genes``; ends are NaN with fewer than two genes.

    References
    ----------
    Student, Biometrika 6:1 (1908) (the t interval).
    """
    import pandas as pd
    from scipy.stats import t as student

    known = np.isfinite(values)
    names = mdata.obs[k.GENE_ID].astype(str).to_numpy() if k.GENE_ID in mdata.obs else mdata.obs_names.to_numpy()
    means = pd.Series(values[known], dtype=float).groupby(names[known]).mean().to_numpy()
    n = len(means)
    mean = means.mean() if n else np.nan
    half = student.ppf(0.975, n - 1) * means.std(ddof=1) / np.sqrt(n) if n > 1 else np.nan
    return {"mean": mean, "low": mean - half, "high": mean + half, "n_obs": int(known.sum()), "n_genes": n}


def tables_of(mdata: MuData, key: str, names: list[str]) -> dict[str, pd.DataFrame]:
    """Tables of a tool in ``obsm``, by what they are; the one without a name is ``""``.

    Raises
    ------
    ValueError
        If one is not there any more.
    """
    places = {name: k.part_of(key, name) if name else key for name in map(str, names)}
    if gone := [place for place in places.values() if place not in mdata.obsm]:
        msg = f"obsm lacks {gone}, which belong to uns[{key!r}]: run the tool again."
        raise ValueError(msg)
    return {name: mdata.obsm[place] for name, place in places.items()}

"""What plots read: the object, the record of a run, columns and groups of ``obs``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from epiattn import _keys as k
from epiattn._columns import column_of, levels_of
from epiattn._validation import as_mudata

if TYPE_CHECKING:
    from mudata import MuData

MAX_GROUPS = 12  # lines and colours that can be told apart


def read(data: Any) -> MuData:
    """The object as a MuData, to look at: a view or a histone-only AnnData is welcome too."""
    return as_mudata(data, copy=bool(getattr(data, "is_view", False)))


def groups_of(mdata: MuData, groupby: str | None, within: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Rows of each group, by its name; observations without a group are left out.

    Parameters
    ----------
    mdata
        The object.
    groupby
        Column of ``obs``; ``None``: one group of all observations.
    within
        Mask of the observations to use; ``None``: all.

    Raises
    ------
    ValueError
        If the column is missing or has too many groups, or no observation is left.
    """
    within = np.ones(mdata.n_obs, dtype=bool) if within is None else within
    if groupby is None:
        return {"all": np.flatnonzero(within)}
    names, codes = levels_of(mdata, groupby)
    used = np.unique(codes[within & (codes >= 0)])
    if len(used) > MAX_GROUPS:
        msg = (
            f"obs[{groupby!r}] has {len(used):,} groups, and no more than {MAX_GROUPS} can be told apart: choose "
            "another column with groupby=, or groupby=None for one group."
        )
        raise ValueError(msg)
    if not len(used):
        msg = f"No observation has a value in obs[{groupby!r}]: choose another column with groupby=, or groupby=None."
        raise ValueError(msg)
    return {names[code]: np.flatnonzero(within & (codes == code)) for code in used}


def rows_of_cell_types(mdata: MuData, cell_type: Any) -> np.ndarray | None:
    """Mask of the observations of one or several cell types; ``None`` for all of them.

    Raises
    ------
    ValueError
        If a cell type does not occur.
    """
    if cell_type is None:
        return None
    chosen = [cell_type] if isinstance(cell_type, str) else [str(name) for name in cell_type]
    values = column_of(mdata, k.CELL_TYPE).astype(str)
    known = sorted(set(values))
    if unknown := [name for name in chosen if name not in known]:
        msg = f"Unknown cell types {unknown}; obs['cell_type'] holds {known}."
        raise ValueError(msg)
    return values.isin(chosen).to_numpy()


def dense(values: Any) -> np.ndarray:
    """A matrix as an array of floats."""
    return np.asarray(values.toarray() if sparse.issparse(values) else values, dtype=float)


def mean_and_error(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean over the observations, and 1.96 times its standard error.

    Parameters
    ----------
    values
        Shape ``(n_obs, n_positions)``; NaN is left out.

    Returns
    -------
    Both of shape ``(n_positions,)``; NaN where there is no observation (mean) or fewer than two (error).
    """
    known = np.isfinite(values)
    n = known.sum(0)
    undefined = np.full(n.shape, np.nan)
    mean = np.divide(np.where(known, values, 0).sum(0), n, out=undefined.copy(), where=n > 0)
    squares = np.where(known, (values - mean) ** 2, 0).sum(0)
    variance = np.divide(squares, n - 1, out=undefined, where=n > 1)
    return mean, 1.96 * np.sqrt(variance / np.maximum(n, 1))

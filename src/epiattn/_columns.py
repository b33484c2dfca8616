"""Columns of ``obs``, and the groups of observations that they name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import _keys as k
from ._messages import did_you_mean
from ._results import record_of, result_of

if TYPE_CHECKING:
    import pandas as pd
    from mudata import MuData


def column_of(mdata: MuData, name: str) -> pd.Series:
    """A column of ``obs``.

    Raises
    ------
    ValueError
        If there is no such column.
    """
    if name not in mdata.obs:
        columns = [str(column) for column in mdata.obs.columns]
        unmade = str(name).endswith(k.cluster(""))
        hint = " Run attn.tl.cluster(mdata) first." if unmade else did_you_mean(name, columns)
        msg = f"obs[{name!r}] is missing; the columns are {columns}.{hint}"
        raise ValueError(msg)
    return mdata.obs[name]


def levels_of(mdata: MuData, name: str) -> tuple[list[str], np.ndarray]:
    """Categories of a column (``low`` before ``high``), and the number of each observation's; -1 where missing."""
    import pandas as pd

    values = pd.Categorical(column_of(mdata, name))
    names, codes = [str(category) for category in values.categories], np.asarray(values.codes, dtype=int)
    if names == [k.HIGH, k.LOW]:
        names, codes = [k.LOW, k.HIGH], np.where(codes < 0, codes, 1 - codes)
    return names, codes


def parts_of_split(mdata: MuData, name: str) -> np.ndarray:
    """The part that each observation is in, as strings; empty where there is none, whatever the column holds then."""
    values = column_of(mdata, name)
    return np.where(values.isna(), "", values.astype(str))


def compared_groups(mdata: MuData, groupby: str) -> tuple[list[str], np.ndarray]:
    """The groups of a column to tell apart: those that have an observation, and the number of each observation's.

    Raises
    ------
    ValueError
        If there is no such column, no observation has a value, or it holds the clusters of a run that has been replaced
        since.
    """
    names, codes = levels_of(mdata, groupby)
    if record_of(mdata, groupby).get("tool") == "cluster":
        result_of(mdata, groupby, "cluster")
    used = np.unique(codes[codes >= 0])
    if not len(used):
        msg = f"No observation has a value in obs[{groupby!r}]."
        raise ValueError(msg)
    return [names[i] for i in used], np.where(codes < 0, -1, np.searchsorted(used, codes))

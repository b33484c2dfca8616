"""The level of each mark in each cell type: what makes signal of different depth comparable, without labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from epiattn import _keys as k
from epiattn._logging import logger
from epiattn._modalities import Channels, kind, measured

if TYPE_CHECKING:
    from mudata import MuData

#: Observations below which a mean says little about a cell type.
_FEW = 100


class DepthScaling:
    r"""Mean signal of each mark in each group of observations, and the factors that bring it to a reference.

    The factor of mark m in group g is :math:`r_m / \mu_{gm}`: the mean :math:`\mu_{gm}` over the bins of the group's
    observations, and the geometric mean :math:`r_m` of the means of the training groups. A constant factor on all
    values of a mark in a group (another depth, another unit) then changes nothing. The mean is over the training
    observations of a group, or over all where it has none; over what was measured. A mark without any signal in a
    group keeps a factor of 1.

    Parameters
    ----------
    mdata
        The object to learn from.
    channels
        Channels of each modality; those with signal around the TSS are used.
    by
        Column of ``obs`` with the groups. Observations without a value, or all if there is no such column, are one
        more group.
    train
        Training observations; their groups are the reference.

    Raises
    ------
    ValueError
        If the column is missing and it is not the default one.
    """

    def __init__(self, mdata: MuData, channels: Channels, *, by: str, train: np.ndarray) -> None:
        if by not in mdata.obs and by != k.CELL_TYPE:
            msg = f"scale_by={by!r}: there is no such column in obs, which has {list(mdata.obs)}."
            raise ValueError(msg)
        self.by = by
        groups = _groups(mdata, by)
        trained = np.unique(groups[train])
        rows = ~np.isin(groups, trained)
        rows[train] = True
        #: Mean signal by modality: a DataFrame, groups x marks; NaN where nothing was measured.
        self.means = _means(mdata, channels, groups, rows)
        #: Reference by modality, by mark.
        self.reference = {name: _geometric_mean(table.loc[trained]) for name, table in self.means.items()}

    def factors(self, mdata: MuData) -> dict[str, np.ndarray]:
        """Factors of each observation's marks; those of groups that are not known are learned from the object.

        Parameters
        ----------
        mdata
            Object with some or all of the modalities and all of their marks.

        Returns
        -------
        By modality with signal, float32, shape ``(n_obs, n_marks)``.
        """
        groups = _groups(mdata, self.by)
        channels = {name: list(table) for name, table in self.means.items() if name in mdata.mod}
        known = next((table.index for table in self.means.values()), groups)
        new = np.setdiff1d(groups, known)
        if self.by not in mdata.obs and len(new):
            logger.warning(
                "obs[%r] is missing: the model scales each mark by its mean in each of its groups, and takes all %d "
                "observations for one new group.",
                self.by,
                mdata.n_obs,
            )
        found = _means(mdata, channels, groups, np.isin(groups, new)) if len(new) else {}
        for group in new:
            if (n_obs := int(np.sum(groups == group))) < _FEW:
                what = f"obs[{self.by!r}] = {group!r}" if group else f"observations without obs[{self.by!r}]"
                logger.warning(
                    "The model scales each mark by its mean in %s, which it has not seen, and there are only %d "
                    "observations to learn that from. Pass all genes at once, or train with scale_by=None.",
                    what,
                    n_obs,
                )
        factors = {}
        for name in channels:
            table = pd.concat([self.means[name], found[name]]) if name in found else self.means[name]
            factor = (self.reference[name] / table.where(table > 0)).fillna(1.0)
            factors[name] = factor.loc[groups].to_numpy(np.float32)
        return factors


def _groups(mdata: MuData, by: str) -> np.ndarray:
    """Group of each observation, by name; ``""`` where there is none."""
    if by not in mdata.obs:
        return np.full(mdata.n_obs, "", dtype=object)
    column = mdata.obs[by]
    return np.where(column.isna(), "", column.astype(str)).astype(object)


def _means(mdata: MuData, channels: Channels, groups: np.ndarray, rows: np.ndarray) -> dict[str, pd.DataFrame]:
    """Mean signal of each mark in each group, over those of the rows where it was measured."""
    tables = {}
    for modality, marks in channels.items():
        if kind(modality) == k.HISTONE:
            adata = mdata[modality]
            means = [np.asarray(adata.layers[mark].sum(axis=1), float).ravel() / adata.n_vars for mark in marks]
            values = np.where(measured(adata, marks), np.stack(means, axis=1), np.nan)
            tables[modality] = pd.DataFrame(values[rows], columns=marks).groupby(groups[rows]).mean()
    return tables


def _geometric_mean(table: pd.DataFrame) -> pd.Series:
    """Over the groups with signal, by mark; 1 where there is none."""
    return np.exp(np.log(table.where(table > 0)).mean()).fillna(1.0)

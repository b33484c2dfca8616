"""Labels: which genes are highly expressed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from epiattn import _keys as k
from epiattn._logging import logger
from epiattn._modalities import expression_of
from epiattn._validation import as_mudata

if TYPE_CHECKING:
    from mudata import MuData


def label(mdata: MuData, *, key_added: str = k.LABEL, copy: bool = False) -> MuData:
    """Label every gene as highly or lowly expressed: above the median of its cell type, or not.

    Parameters
    ----------
    mdata
        Object with ``mdata["rna"].X`` (log-expression, shape ``(n_obs, 1)``) and ``obs["cell_type"]`` (where that
        column is missing, all observations count as one cell type).
    key_added
        Column of ``obs`` to write.
    copy
        Work on a copy.

    Returns
    -------
    The object, with ``obs[key_added]``, categorical, ``low`` or ``high``; missing where the expression is missing.

    Raises
    ------
    ValueError
        If there is no expression, or a cell type's expression does not vary.

    References
    ----------
    Kang et al., Front. Genet. 11:869 (2020).

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=100, cell_types=2)
    >>> mdata = attn.pp.label(mdata)
    >>> mdata.obs["label"].value_counts().to_dict()
    {'low': 100, 'high': 100}
    """
    import pandas as pd

    mdata = as_mudata(mdata, copy=copy)
    if k.RNA not in mdata.mod:
        msg = f"pp.label needs expression in mdata['rna'].X, but the modalities are {list(mdata.mod)}."
        raise ValueError(msg)
    expression = pd.Series(expression_of(mdata), index=mdata.obs_names)
    groups = mdata.obs[k.CELL_TYPE].astype(str).to_numpy() if k.CELL_TYPE in mdata.obs else np.full(mdata.n_obs, "all")
    median = expression.groupby(groups).transform("median")
    high = expression > median
    for name, part in high[expression.notna()].groupby(groups[expression.notna()]):
        if not part.any():
            msg = f"No gene of cell type {name!r} is above the cell type's median expression: does it vary?"
            raise ValueError(msg)
        if part.mean() < 0.4:
            logger.warning(
                "Only %.0f %% of the genes of %s are above the median (ties: many equal values, such as zeros).",
                100 * part.mean(),
                name,
            )
    codes = np.where(expression.isna(), -1, high.astype(int))
    mdata.obs[key_added] = pd.Categorical.from_codes(codes, categories=[k.LOW, k.HIGH])
    return mdata

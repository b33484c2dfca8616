"""Labels: which genes are highly expressed."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Literal

import numpy as np

from epiattn import _keys as k
from epiattn._logging import logger
from epiattn._modalities import expression_of
from epiattn._validation import as_mudata, check_choice

if TYPE_CHECKING:
    import pandas as pd
    from mudata import MuData

WAYS = ("median", "quantile", "threshold")


def label(
    mdata: MuData,
    *,
    by: Literal["median", "quantile", "threshold"] = "median",
    quantiles: tuple[float, float] = (1 / 3, 2 / 3),
    threshold: float | tuple[float, float] | None = None,
    key_added: str = k.LABEL,
    copy: bool = False,
) -> MuData:
    """Label every gene as highly or lowly expressed.

    Parameters
    ----------
    mdata
        Object with ``mdata["rna"].X`` (log-expression, shape ``(n_obs, 1)``) and ``obs["cell_type"]`` (where that
        column is missing, all observations count as one cell type).
    by
        ``"median"``: ``high`` is above the median of the cell type, ``low`` is the rest. ``"quantile"``: within each
        cell type, ``high`` is above the upper quantile, ``low`` at or below the lower one. ``"threshold"``: the same
        with fixed values of the expression. What lies between has no label, and training leaves it out.
    quantiles
        Lower and upper quantile of ``by="quantile"``, between 0 and 1.
    threshold
        Of ``by="threshold"``, in units of ``mdata["rna"].X``: one value, or the lower and the upper one.
    key_added
        Column of ``obs`` to write.
    copy
        Work on a copy.

    Returns
    -------
    The object, with ``obs[key_added]`` (categorical, ``low`` or ``high``; missing between the two and where the
    expression is missing) and ``uns["epiattn"]["labels"][key_added]`` (what was asked for, and the size of each class).

    Raises
    ------
    ValueError
        If there is no expression, an argument makes no sense, no observation is ``low`` or none is ``high``, or, with
        ``by="median"``, a cell type's expression does not vary.

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

    The upper and the lower third, without those between:

    >>> mdata = attn.pp.label(mdata, by="quantile", key_added="third")
    >>> int(mdata.obs["third"].isna().sum())
    66
    """
    import pandas as pd

    check_choice("by", by, WAYS)
    asked = _asked(by, quantiles, threshold)
    mdata = as_mudata(mdata, copy=copy)
    if k.RNA not in mdata.mod:
        msg = f"pp.label needs expression in mdata['rna'].X, but the modalities are {list(mdata.mod)}."
        raise ValueError(msg)
    groups = cell_types_of(mdata)
    expression = pd.Series(expression_of(mdata), index=groups)
    low, high = _bounds(expression, asked)
    codes = np.select([expression > high, expression <= low], [1, 0], -1)
    _check_classes(pd.Series(codes, index=groups)[expression.notna().to_numpy()], by)
    mdata.obs[key_added] = pd.Categorical.from_codes(codes, categories=[k.LOW, k.HIGH])
    sizes = {"n_low": codes == 0, "n_high": codes == 1, "n_missing": codes == -1}
    package = dict(mdata.uns.get(k.PACKAGE, {}))
    record = {"by": by, **asked, **{name: int(rows.sum()) for name, rows in sizes.items()}}
    package["labels"] = {**package.get("labels", {}), key_added: record}
    package.setdefault("schema_version", k.SCHEMA_VERSION)
    mdata.uns[k.PACKAGE] = package
    return mdata


def cell_types_of(mdata: MuData) -> np.ndarray:
    """Cell type of each observation, shape ``(n_obs,)``; ``"all"`` where the object has none.

    Raises
    ------
    ValueError
        If the cell type is missing for some observations only.
    """
    if k.CELL_TYPE not in mdata.obs:
        return np.full(mdata.n_obs, "all", dtype=object)
    column = mdata.obs[k.CELL_TYPE]
    if column.isna().any():
        some = [str(name) for name in mdata.obs_names[column.isna()][:3]]
        msg = f"obs['cell_type'] is missing for {int(column.isna().sum())} observations, such as {some}: fill it."
        raise ValueError(msg)
    return column.astype(str).to_numpy(dtype=object)


def _asked(
    by: str, quantiles: Collection[float], threshold: float | Collection[float] | None
) -> dict[str, list[float]]:
    """The bounds that were asked for, checked, as they are recorded."""
    if (by == "threshold") != (threshold is not None):
        msg = (
            "by='threshold' needs threshold=, one value or (low, high) in units of mdata['rna'].X."
            if threshold is None
            else f"threshold={threshold!r} belongs to by='threshold', but by={by!r}."
        )
        raise ValueError(msg)
    if by == "quantile":
        asked = [float(value) for value in quantiles]
        if len(asked) != 2 or not 0 < asked[0] < asked[1] < 1:
            msg = f"quantiles must be two increasing numbers between 0 and 1, such as (0.25, 0.75), not {quantiles!r}."
            raise ValueError(msg)
        return {"quantiles": asked}
    if threshold is not None:
        asked = [float(value) for value in (threshold if isinstance(threshold, Collection) else (threshold, threshold))]
        if len(asked) != 2 or not np.isfinite(asked).all() or asked[0] > asked[1]:
            msg = f"threshold must be one finite number or (low, high) with low <= high, not {threshold!r}."
            raise ValueError(msg)
        return {"threshold": asked}
    return {}


def _bounds(expression: pd.Series, asked: dict[str, list[float]]) -> tuple[np.ndarray, np.ndarray]:
    """At or below the first is low, above the second is high; each of shape ``(n_obs,)``."""
    if "threshold" in asked:
        low, high = (np.full(len(expression), value) for value in asked["threshold"])
        return low, high
    by_type = expression.groupby(level=0)
    statistics = [by_type.quantile(q) for q in asked["quantiles"]] if asked else [by_type.median()] * 2
    low, high = (statistic.reindex(expression.index).to_numpy() for statistic in statistics)
    return low, high


def _check_classes(codes: pd.Series, by: str) -> None:
    """Check that there are observations of both classes; ``codes`` has the cell types as its index."""
    if by == "median":
        for name, part in (codes == 1).groupby(level=0):
            if not part.any():
                msg = f"No gene of cell type {name!r} is above the cell type's median expression: does it vary?"
                raise ValueError(msg)
            if part.mean() < 0.4:
                logger.warning(
                    "Only %.0f %% of the genes of %s are above the median (ties: many equal values, such as zeros).",
                    100 * part.mean(),
                    name,
                )
        return
    for code, name in enumerate((k.LOW, k.HIGH)):
        there = (codes == code).groupby(level=0).any()
        if not there.any():
            hint = "move the threshold." if by == "threshold" else "does the expression vary?"
            msg = f"No observation is {name!r} with by={by!r}: {hint}"
            raise ValueError(msg)
        if not there.all():
            logger.warning(
                "No gene of %s is %r: a model cannot learn that class there.", ", ".join(there.index[~there]), name
            )

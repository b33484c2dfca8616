"""All folds of a cross-validation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from epiattn import _keys as k
from epiattn._logging import logger
from epiattn._validation import as_mudata, check_choice

from ._parts import PRESETS, groups_of
from ._plan import Plan

if TYPE_CHECKING:
    import pandas as pd
    from mudata import MuData

N_FOLDS = 4


@dataclass(frozen=True)
class Fold:
    """One fold: its name, the column of ``obs`` that it stands for, and its record for ``uns``."""

    name: str
    values: pd.Categorical
    record: dict[str, object]


def folds(
    mdata: MuData, *, by: str = "chrom", n_folds: int | None = None, preset: str | None = None, seed: int = 0
) -> list[Fold]:
    """All folds of a cross-validation: those that ``split(..., fold=i)`` writes one by one.

    Parameters
    ----------
    mdata
        The object; it stays as it is.
    by, n_folds, preset, seed
        As in :func:`epiattn.pp.split`; without ``n_folds`` and ``preset`` there are four folds, or with
        ``by="cell_type"`` one for each cell type.

    Returns
    -------
    The folds, called ``fold_0``, ``fold_1``, …

    Raises
    ------
    ValueError
        As :func:`epiattn.pp.split`.
    """
    mdata = as_mudata(mdata)
    if preset is not None:
        check_choice("preset", preset, PRESETS)
    if n_folds is None:
        n_folds = N_FOLDS if preset is None else len(PRESETS[preset])
        if preset is None and by == k.CELL_TYPE:
            n_folds = int(groups_of(mdata, by).nunique())
            if n_folds == 1:
                msg = "by='cell_type' holds cell types out, but there is one only."
                raise ValueError(msg)
    plans = [Plan(by, n_folds=n_folds, fold=fold, preset=preset, seed=seed) for fold in range(max(n_folds, 1))]
    made = [(plan, *plan.make(mdata)) for plan in plans]
    for level, remark in dict.fromkeys(remark for plan, _, _ in made for remark in plan.remarks):
        logger.log(level, remark)
    return [Fold(f"fold_{i}", values, record) for i, (_, values, record) in enumerate(made)]

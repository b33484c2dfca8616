"""Effects of taking modalities and marks away as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from epiattn._effects import groups_of, over_genes, tables_of
from epiattn._results import result_of
from epiattn._validation import as_mudata, check_choice

if TYPE_CHECKING:
    import pandas as pd
    from mudata import MuData


def ablation(
    mdata: MuData, *, level: str = "groups", groupby: str | None = None, key: str = "attn_ablation"
) -> pd.DataFrame:
    """What :func:`epiattn.tl.ablate` found.

    Parameters
    ----------
    mdata
        The object.
    level
        ``"groups"``: effects and Shapley values of each modality and mark in each group; ``"accuracy"``: how good the
        model is without each.
    groupby
        Column of ``obs``; ``None``: all observations together. For ``level="groups"``.
    key
        The ``key_added`` of :func:`epiattn.tl.ablate`.

    Returns
    -------
    Groups: ``ablated``; ``kind``, ``"modality"`` or ``"mark"``; ``group``; ``quantity``, which is ``"effect"`` (change
    of the output without it), ``"shapley"`` (what it adds; modalities only) or ``"share"`` (the mean absolute Shapley
    value, as a share of those of all modalities); ``mean``, its 95 % interval over genes ``low`` to ``high`` (not of
    shares), ``n_obs`` and ``n_genes``. Accuracy: ``ablated``, ``kind``, ``metric``, ``part`` of the split, ``n_obs``,
    ``full`` and ``without`` (the metric with everything, and without this), ``change``, its 95 % interval ``low`` to
    ``high``, and ``method``, how that was found.

    Raises
    ------
    ValueError
        If there is no such result, level or column.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=100, cell_types=1)
    >>> mdata = attn.tl.ablate(attn.tl.fit(mdata, max_epochs=1))
    >>> table = attn.get.ablation(mdata)
    >>> shares = table[table["quantity"] == "share"]
    >>> round(float(shares["mean"].sum()), 3)
    1.0
    """
    import pandas as pd

    check_choice("level", level, ("groups", "accuracy"))
    mdata = as_mudata(mdata, copy=bool(getattr(mdata, "is_view", False)))
    record = result_of(mdata, key, "ablate")
    if level == "accuracy":
        return record["accuracy"].reset_index(drop=True)
    tables = tables_of(mdata, key, ["", "shapley"])
    rows = []
    for group, member in groups_of(mdata, groupby).items():
        for quantity, table in zip(("effect", "shapley"), tables.values(), strict=True):
            for name in table:
                values = np.where(member, table[name].to_numpy(dtype=float), np.nan)
                about = {"ablated": str(name), "kind": str(record["kinds"][name]), "group": group}
                rows.append({**about, "quantity": quantity, **over_genes(mdata, values)})
        size = tables["shapley"][member].abs().mean()
        for name, share in (size / size.sum()).items():
            about = {"ablated": str(name), "kind": "modality", "group": group, "quantity": "share", "mean": share}
            rows.append({**about, "low": np.nan, "high": np.nan, **_counts(rows, group, str(name))})
    return pd.DataFrame(rows)


def _counts(rows: list[dict], group: str, name: str) -> dict[str, int]:
    """Numbers of observations and genes of a Shapley value."""
    found = next(row for row in rows if (row["group"], row["ablated"], row["quantity"]) == (group, name, "shapley"))
    return {what: found[what] for what in ("n_obs", "n_genes")}

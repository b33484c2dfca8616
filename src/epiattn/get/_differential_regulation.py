"""Differences of regulation as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from epiattn._results import result_of, warn_of_nothing
from epiattn._validation import check_choice

if TYPE_CHECKING:
    import pandas as pd
    from mudata import MuData


def differential_regulation(
    mdata: MuData,
    *,
    level: str = "genes",
    group: str | None = None,
    feature: str | None = None,
    fdr: float | None = None,
    key: str = "attn_differential",
) -> pd.DataFrame:
    """What :func:`epiattn.tl.differential_regulation` found, the largest scores first.

    Parameters
    ----------
    mdata
        The object.
    level
        ``"genes"``: one row for each gene and feature; ``"features"``: one row for each feature.
    group
        This group only.
    feature
        This feature only, such as ``"H3K27ac"``.
    fdr
        Rows with an adjusted p-value up to this.
    key
        The ``key_added`` of :func:`epiattn.tl.differential_regulation`.

    Returns
    -------
    Both levels: ``group``, ``reference``, ``feature``, ``effect`` (mean of the group less that of the reference, in
    log-odds or units of expression; of attention, in shares), ``score``, ``pvals``, ``pvals_adj``. Genes: ``gene_id``,
    ``gene_name``. Features: the 95 % interval of the effect, ``low`` to ``high``, ``mean_group``, ``mean_reference``,
    and ``n_units``, the number of genes.

    Raises
    ------
    ValueError
        If there is no such result, level, group or feature.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=100, cell_types=3)
    >>> mdata = attn.tl.attribute(attn.tl.fit(mdata, max_epochs=1), n_steps=5)
    >>> mdata = attn.tl.differential_regulation(mdata, n_permutations=100)
    >>> table = attn.get.differential_regulation(mdata, group="cell_type_1", feature="H3K27ac")
    >>> len(table)
    100
    """
    check_choice("level", level, ("genes", "features"))
    table = result_of(mdata, key, "differential_regulation")[level]
    for column, value in {"group": group, "feature": feature}.items():
        if value is None:
            continue
        names = table[column].astype(str)
        check_choice(column, value, list(dict.fromkeys(names)))
        table = table[(names == value).to_numpy()]
    if fdr is not None:
        warn_of_nothing(table, "pvals_adj", fdr, "one cell type against one other leaves ranks (pvals) alone")
        table = table[(table["pvals_adj"] <= fdr).to_numpy()]
    if level == "features":
        table = table.iloc[(-table["score"].abs()).argsort(kind="stable")]
    return table.reset_index(drop=True)

"""Gene sets in lists of genes as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from epiattn._results import result_of
from epiattn._validation import check_choice

if TYPE_CHECKING:
    import pandas as pd
    from mudata import MuData


def enrich(
    mdata: MuData, *, group: str | None = None, fdr: float | None = None, key: str = "attn_enrich"
) -> pd.DataFrame:
    """What :func:`epiattn.tl.enrich` found: of each list, the set with the smallest p-value first.

    Parameters
    ----------
    mdata
        The object.
    group
        This list only: a cell type, a cluster, …
    fdr
        Rows with an adjusted p-value up to this.
    key
        The ``key_added`` of :func:`epiattn.tl.enrich`.

    Returns
    -------
    One row for each list and set: ``group``, ``gene_set``, ``overlap`` (genes in both), ``set_size`` and ``list_size``
    (genes in the background), ``background_size``, ``expected`` overlap, ``odds_ratio`` (with 0.5 added to each count),
    ``pvals``, ``pvals_adj``, and the ``genes`` in both, separated by ``;``.

    Raises
    ------
    ValueError
        If there is no such result or list.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=100, cell_types=1)
    >>> program = mdata.obs.groupby("truth_program", observed=True)["gene_id"]
    >>> mdata = attn.tl.enrich(mdata, {name: list(ids) for name, ids in program}, groupby="label")
    >>> float(attn.get.enrich(mdata, group="low")["pvals"].iloc[0]) < 0.05
    True
    """
    table = result_of(mdata, key, "enrich")["table"]
    if group is not None:
        names = table["group"].astype(str)
        check_choice("group", group, list(dict.fromkeys(names)))
        table = table[(names == group).to_numpy()]
    if fdr is not None:
        table = table[(table["pvals_adj"] <= fdr).to_numpy()]
    columns = ["group", "gene_set", "overlap", "set_size", "list_size", "background_size", "expected", "odds_ratio"]
    return table[[*columns, "pvals", "pvals_adj", "genes"]].reset_index(drop=True)

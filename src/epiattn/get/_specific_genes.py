"""Genes that are specific to a cell type as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from epiattn import _keys as k
from epiattn._results import result_of, warn_of_nothing
from epiattn._validation import check_choice

if TYPE_CHECKING:
    import pandas as pd
    from mudata import MuData


def specific_genes(
    mdata: MuData,
    *,
    level: str = "genes",
    group: str | None = None,
    fdr: float | None = None,
    min_tau: float | None = None,
    key: str = "attn_specific",
) -> pd.DataFrame:
    """What :func:`epiattn.tl.specific_genes` found: the most specific genes of each cell type first.

    Parameters
    ----------
    mdata
        The object.
    level
        ``"genes"``: one row for each cell type and gene; ``"features"``: one row for each mark (methylation, the TFs)
        of these, the one that is most responsible first.
    group
        This cell type only.
    fdr
        Genes with an adjusted p-value up to this.
    min_tau
        Genes with a tau of at least this.
    key
        The ``key_added`` of :func:`epiattn.tl.specific_genes`.

    Returns
    -------
    Both levels: ``group``, ``gene_id``, ``gene_name``. Genes: ``expression`` (absent if there was none), its ``tau``
    over the cell types, ``z`` and ``difference`` from the mean of the others; ``score`` and ``tau_score``;
    ``regulation`` (what the features add to the model's output, in log-odds or units of expression), ``z_regulation``,
    ``difference_regulation``, and ``features``, the three that add most more; ``rank``, the share of genes at least as
    specific (the larger one of expression and regulation); ``pvals`` and ``pvals_adj``. Features: ``feature``,
    ``effect`` (what it adds more than in the mean of the other cell types), and ``share`` of that in
    ``difference_regulation``.

    Raises
    ------
    ValueError
        If there is no such result, level or group.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=100, cell_types=3)
    >>> mdata = attn.tl.attribute(attn.tl.fit(mdata, max_epochs=1), n_steps=5)
    >>> mdata = attn.tl.specific_genes(mdata)
    >>> attn.get.specific_genes(mdata, level="features", group="cell_type_0").shape
    (900, 6)
    """
    import pandas as pd

    check_choice("level", level, ("genes", "features"))
    record = result_of(mdata, key, "specific_genes")
    genes = record["genes"]
    keep = np.ones(len(genes), bool)
    if group is not None:
        check_choice("group", group, [str(name) for name in record["groups"]])
        keep &= (genes["group"].astype(str) == group).to_numpy()
    if fdr is not None:
        warn_of_nothing(genes, "pvals_adj", fdr, "a test needs both expression and a model")
        keep &= (genes["pvals_adj"] <= fdr).to_numpy()
    if min_tau is not None:
        warn_of_nothing(genes, "tau", min_tau, "two cell types have none")
        keep &= (genes["tau"] >= min_tau).to_numpy()
    genes = genes[keep].reset_index(drop=True)
    if level == "genes":
        return genes
    more = record["features"].loc[keep]
    names, values = np.asarray(more.columns, dtype=object), more.to_numpy(dtype=float)
    order = np.argsort(-values, axis=1, kind="stable")
    repeated = genes.loc[np.repeat(np.arange(len(genes)), len(names)), ["group", k.GENE_ID, k.GENE_NAME]]
    effect = np.take_along_axis(values, order, axis=1)
    total = genes["difference_regulation"].to_numpy()[:, None] if len(names) else np.zeros((len(genes), 0))
    share = np.divide(effect, total, out=np.full(effect.shape, np.nan), where=total != 0)
    columns = {"feature": names[order].ravel(), "effect": effect.ravel(), "share": share.ravel()}
    return pd.concat([repeated.reset_index(drop=True), pd.DataFrame(columns)], axis=1)

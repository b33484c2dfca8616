"""What marks each group as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from epiattn._results import result_of
from epiattn._validation import check_choice

if TYPE_CHECKING:
    import pandas as pd
    from mudata import MuData


def rank_marks_groups(
    mdata: MuData, *, group: str | None = None, fdr: float | None = None, key: str = "attn_rank_marks_groups"
) -> pd.DataFrame:
    """What :func:`epiattn.tl.rank_marks_groups` found: of each group, the features that are highest there first.

    Parameters
    ----------
    mdata
        The object.
    group
        This group only.
    fdr
        Rows with an adjusted p-value up to this.
    key
        The ``key_added`` of :func:`epiattn.tl.rank_marks_groups`.

    Returns
    -------
    One row for each group and feature: ``group``, ``reference``, ``feature``; ``effect``, the difference of the means
    ``mean_group`` and ``mean_reference`` (marks: log2 of 1 + the ratio to the mark's mean; ``methylation``: share;
    ``n_cpg``: CpGs; TFs: share that is bound; ``expression``: its own units); ``cohen_d``, the same in standard
    deviations; ``auc``, the probability that an observation of the group is above another; ``score``, ``pvals``,
    ``pvals_adj``; and ``n_group`` and ``n_reference``, the observations in which the feature was measured.

    Raises
    ------
    ValueError
        If there is no such result or group.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=100, cell_types=2)
    >>> mdata = attn.tl.rank_marks_groups(mdata, groupby="truth_program", regions={"promoter": (-500, 500)})
    >>> attn.get.rank_marks_groups(mdata, group="polycomb")["feature"].iloc[0]
    'H3K27me3 promoter'
    """
    table = result_of(mdata, key, "rank_marks_groups")["features"]
    names = table["group"].astype(str)
    known = list(dict.fromkeys(names))
    if group is not None:
        check_choice("group", group, known)
        table = table[(names == group).to_numpy()]
    if fdr is not None:
        table = table[(table["pvals_adj"] <= fdr).to_numpy()]
    number = table["group"].astype(str).map({name: i for i, name in enumerate(known)})
    order = table.assign(number=number, falling=-table["score"]).sort_values(["number", "falling"], kind="stable").index
    columns = ["group", "reference", "feature", "effect", "cohen_d", "auc", "score", "pvals", "pvals_adj"]
    columns += ["mean_group", "mean_reference", "n_group", "n_reference"]
    return table.loc[order, columns].reset_index(drop=True)

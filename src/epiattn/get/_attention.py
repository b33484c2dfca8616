"""Mean attention of groups as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from epiattn._results import result_of, warn_if_unfaithful

if TYPE_CHECKING:
    import pandas as pd
    from mudata import MuData


def attention(mdata: MuData, *, modality: str | None = None, key: str = "attn_attention") -> pd.DataFrame:
    """What :func:`epiattn.tl.attention` found.

    Parameters
    ----------
    mdata
        The object.
    modality
        One of its modalities, or ``"modalities"`` for the weights of these; ``None``: everything.
    key
        The ``key_added`` of :func:`epiattn.tl.attention`.

    Returns
    -------
    One row for each group, head and position: ``modality``, ``group``, ``head`` (``"mean"``: over all heads),
    ``channel`` (mark, empty where marks cannot be told apart; TF; modality), ``start`` and ``end`` (bp from the TSS, or
    numbers of bins), ``mean``, its standard ``error``, and ``n_obs``. Attention over bins and marks is a share of 1; of
    CpGs, the share times their number; of TFs, the mean over the ``n_obs`` observations at which the TF is bound; of
    modalities, relative to uniform.

    Raises
    ------
    ValueError
        If there is no such result or modality.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=100, cell_types=1)
    >>> mdata = attn.tl.attention(attn.tl.fit(mdata, max_epochs=1), groupby=None)
    >>> table = attn.get.attention(mdata, modality="histone")
    >>> round(float(table["mean"].sum()), 3)
    1.0
    """
    record = result_of(mdata, key, "attention")
    table = record["table"]
    known = list(dict.fromkeys(table["modality"].astype(str)))
    if not (modality is None or modality in known):
        msg = f"modality must be one of {known}, not {modality!r}."
        raise ValueError(msg)
    warn_if_unfaithful(mdata, str(record["key"]), modality)
    if modality is None:
        return table.copy()
    rows = (table["modality"].astype(str) == modality).to_numpy()
    return table[rows].reset_index(drop=True)

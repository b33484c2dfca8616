"""How a test of faithfulness came out, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from epiattn._results import result_of
from epiattn._validation import check_choice

if TYPE_CHECKING:
    import pandas as pd
    from mudata import MuData

#: Tables that a result may hold, and what they need where that is not everything.
TABLES = {
    "verdicts": "",
    "tests": "",
    "curves": "",
    "agreement": "two methods or more",
    "sanity": "checks='weights' or 'labels'",
    "stability": "an ensemble, or checks='seeds'",
    "planted": "simulated data with its truth",
}


def faithfulness(mdata: MuData, *, table: str = "verdicts", key: str = "attn_faithfulness") -> pd.DataFrame:
    """What :func:`epiattn.tl.faithfulness` found.

    Parameters
    ----------
    mdata
        The object.
    table
        One of the tables below.
    key
        The ``key_added`` of :func:`epiattn.tl.faithfulness`.

    Returns
    -------
    One row for each ``modality`` and ``method`` and, by ``table``:

    ``"verdicts"``
        ``deletion``, ``insertion``: by how much the area exceeds that of random orders, in log-odds or units of
        expression; ``passes``: whether both do with a 95 % interval above 0; ``sane``, where there were sanity checks:
        whether it passes them all
    ``"tests"``
        for each ``curve`` and order that it was compared with (``against``: ``random``, ``reversed``): ``area``,
        ``area_against``, their ``difference``, its 95 % interval ``low`` to ``high``, ``n_obs``, and how the
        ``interval`` was found. The method ``signal`` is the order by the size of the input
    ``"curves"``
        for each ``curve`` and ``share`` of the values: the ``mean`` distance that the output has come, and its standard
        ``error``
    ``"agreement"``
        with each ``other`` method: mean rank ``correlation`` of the sizes of the scores, and its interval
    ``"stability"``
        the same between ``n_models`` that differ in their seed
    ``"sanity"``
        for each ``check``: ``correlation`` with the explanation of a model with random weights, or of one that learned
        random labels, its interval, and the ``difference`` of the areas of deletion, with its interval; ``passes``:
        whether it lies above 0
    ``"planted"``
        ``average_precision`` of planted causes, mean over observations that have any, its interval; ``pooled``: that of
        the values of all of these together; ``chance``: the share of causes

    Raises
    ------
    ValueError
        If there is no such result or table.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=100, cell_types=1)
    >>> mdata = attn.tl.fit(mdata, max_epochs=1)
    >>> mdata = attn.tl.faithfulness(mdata, methods=["attention"], n_obs=40, checks=[])
    >>> sorted(set(attn.get.faithfulness(mdata, table="tests")["against"]))
    ['random', 'reversed']
    """
    check_choice("table", table, TABLES)
    record = result_of(mdata, key, "faithfulness")
    if table not in record:
        msg = f"uns[{key!r}] holds no table {table!r}, which needs {TABLES[table]}."
        raise ValueError(msg)
    return record[table].reset_index(drop=True)

"""The modality of transcription factors (TFs), whatever it is made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from epiattn._logging import logger
from epiattn._messages import did_you_mean

from ._gene_tables import GENE_NAME, unversioned
from ._places import some

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


def make_tf(
    index: pd.Index, tfs: Sequence[str], entries: tuple[np.ndarray, np.ndarray], channels: Mapping[str, np.ndarray]
) -> AnnData:
    """The modality ``tf``: a CSR layer for each channel, all with the same stored entries.

    Parameters
    ----------
    index
        Names of the observations.
    tfs
        Names of the TFs.
    entries
        Row and column of each entry; no entry comes twice.
    channels
        Values of the entries, by channel.
    """
    import pandas as pd
    from anndata import AnnData

    row, column = entries
    order = np.lexsort((column, row))
    starts = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(index)))])
    layers = {
        name: sparse.csr_matrix(
            (values[order].astype(np.float32), column[order].astype(np.int32), starts.astype(np.int32)),
            shape=(len(index), len(tfs)),
        )
        for name, values in channels.items()
    }
    return AnnData(
        layers=layers, obs=pd.DataFrame(index=index.astype(str)), var=pd.DataFrame(index=pd.Index(tfs, dtype=object))
    )


def by_name(genes: pd.DataFrame) -> pd.Series:
    """Which row of the genes a name means: their ids (without Ensembl's versions) and names; a name may mean several.

    Parameters
    ----------
    genes
        Table of genes.
    """
    import pandas as pd

    rows = np.arange(len(genes))
    names = [unversioned(genes.index.to_series())]
    if GENE_NAME in genes:
        names.append(genes[GENE_NAME].astype(str))
    table = pd.DataFrame({"name": np.concatenate(names), "row": np.tile(rows, len(names))}).drop_duplicates()
    return table.set_index("name")["row"]


def tf_expression(
    tfs: Sequence[str], expression: pd.DataFrame, cell_type: str | None, genes: pd.DataFrame
) -> np.ndarray:
    """Expression of TFs in a cell type, shape ``(n_tfs,)``; NaN where it is not known.

    Parameters
    ----------
    tfs
        Names, or ids.
    expression
        As of :func:`epiattn.io.read_expression`.
    cell_type
        Column; ``None``: the only one.
    genes
        Table of genes, by which names become ids. Of several genes of a name the most expressed one counts.

    Raises
    ------
    ValueError
        If there is no such cell type, or no TF has an expression.
    """
    import pandas as pd

    column = _column(expression, cell_type)
    column = column.set_axis(unversioned(column.index.to_series()).to_numpy(), axis=0).groupby(level=0).max()
    rows = by_name(genes)
    ids = pd.Series(unversioned(genes.index.to_series()).to_numpy()[rows.to_numpy()], index=rows.index)
    named = ids.map(column).groupby(level=0).max()
    values = pd.Series(list(tfs), dtype=object)
    result = values.map(column).fillna(values.map(named)).to_numpy(float)
    if not np.isfinite(result).any():
        msg = (
            f"expression knows none of the {len(values)} TFs ({some(values)}); its genes are {some(column.index)}. "
            "Its genes and the TFs must have the same names, or annotation must have both, in its index and in "
            "'gene_name'."
        )
        raise ValueError(msg)
    return result


def _column(expression: pd.DataFrame, cell_type: str | None) -> pd.Series:
    if cell_type is None and expression.shape[1] == 1:
        return expression.iloc[:, 0]
    names = [str(name) for name in expression.columns]
    if cell_type not in names:
        hint = did_you_mean(cell_type, names)
        msg = f"cell_type must be one of the columns of expression ({some(names)}), not {cell_type!r}.{hint}"
        raise ValueError(msg)
    return expression.iloc[:, names.index(cell_type)]


def keep_expressed(
    tfs: Sequence[str], expression: pd.DataFrame, cell_type: str | None, genes: pd.DataFrame, *, required: bool
) -> tuple[list[str], np.ndarray]:
    """TFs whose expression is known, and that expression; parameters as of :func:`tf_expression`.

    Raises
    ------
    ValueError
        If ``required`` and the expression of a TF is not known.
    """
    values = tf_expression(tfs, expression, cell_type, genes)
    known = np.isfinite(values)
    if not known.all():
        lacking = [name for name, there in zip(tfs, known, strict=True) if not there]
        what = f"The expression of {len(lacking)} of {len(tfs)} TFs is not known, such as {some(lacking)}"
        if required:
            msg = f"{what}: leave them out, or pass an annotation that has their names."
            raise ValueError(msg)
        there = by_name(genes).index
        unnamed = [name for name in lacking if name not in there]
        why = (
            f" {len(unnamed)} of them are not in the table of genes ({len(genes)}), which leads from names to ids: it "
            "should have all genes, or the expression the names of genes."
            if len(unnamed) > len(tfs) / 2
            else ""
        )
        logger.warning("%s; they are left out.%s", what, why)
    return [name for name, there in zip(tfs, known, strict=True) if there], values[known]

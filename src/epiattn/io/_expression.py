"""Expression of genes in cell types: tables as people have them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from epiattn._logging import logger

from ._gene_tables import unversioned
from ._places import some
from ._sniff import head_of
from ._tables import read_header, split_line
from ._text import NAN, Column, check_file, is_number, read_chunks

if TYPE_CHECKING:
    import pandas as pd

_HDF5 = b"\x89HDF"
_GENE = "the gene's name"  # not that of a cell type
_MISSING = (*NAN, "N/A", "n/a", "na", "NULL", "null")


class _Layout(NamedTuple):
    """How a text table is laid out; genes are in its first column."""

    names: list[str]  # of the columns with values
    places: list[int]
    separator: str
    n_header: int  # lines before the data, beyond comments
    n_rows: int | None = None  # where the file tells it


def read_expression(path: str | Path, *, log: bool = True) -> pd.DataFrame:
    r"""Read the expression of genes in cell types.

    Parameters
    ----------
    path
        One of:

        * TSV or CSV with a header, gzipped or not: genes in the first column, one column for each cell type. Columns
          that begin with a text, such as gene names, are left out. Missing values are written ``NA``.
        * GCT 1.2 or 1.3, gzipped or not.
        * h5ad: cell types are observations, genes are variables, ``X`` is the expression.
    log
        Return log2(x + 1), x being TPM, RPKM or counts; ``False``: the values as they are, for tables that hold
        logarithms.

    Returns
    -------
    Expression, shape ``(n_genes, n_cell_types)``, float64; NaN where it is missing. The index holds the gene ids
    without the versions of Ensembl (``ENSG00000141510.18`` becomes ``ENSG00000141510``). Of a gene with several rows
    the values are summed before the logarithm, copies on the Y chromosome (``_PAR_Y``) included; with ``log=False``
    the greatest value counts. Genes are in the order of the file.

    Raises
    ------
    FileNotFoundError
        If there is no file.
    ValueError
        If it is no such table, has no genes, a cell type comes twice, a value is no number, is infinite, or is
        negative with ``log=True``.

    Examples
    --------
    >>> import epiattn as attn
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "tpm.tsv"
    ...     _ = path.write_text("gene\tliver\tbrain\nENSG00000141510.18\t3\t0\nENSG00000139618.19\t7\t1\n")
    ...     attn.io.read_expression(path).to_dict("list")
    {'liver': [2.0, 3.0], 'brain': [0.0, 1.0]}
    """
    path = check_file(path)
    with path.open("rb") as file:
        table = _read_h5ad(path) if file.read(4) == _HDF5 else _read_text(path)
    _check(path, table, log=log)
    table = _one_row_each(path, table, log=log)
    if (missing := table.isna()).to_numpy().any():
        gene, column = np.argwhere(missing.to_numpy())[0]
        logger.warning(
            "%s: %d values are missing, such as that of %s in %s; they stay so.",
            path,
            int(missing.to_numpy().sum()),
            table.index[gene],
            table.columns[column],
        )
    return np.log2(table + 1) if log else table


def _check(path: Path, table: pd.DataFrame, *, log: bool) -> None:
    if table.empty:
        msg = f"{path}: the table has no {'cell types' if len(table) else 'genes'}."
        raise ValueError(msg)
    if (unnamed := table.index.isin(["", *_MISSING])).any():
        msg = f"{path}: gene {int(np.argmax(unnamed)) + 1} of the table has no name."
        raise ValueError(msg)
    values = table.to_numpy()
    negative = "negative; expression must be 0 or more (log=False for a table that holds logarithms)"
    for what, bad in (("infinite", np.isinf(values)), (negative, (values < 0) & log)):
        if bad.any():
            gene, column = np.argwhere(bad)[0]
            msg = (
                f"{path}: gene {table.index[gene]}, column {table.columns[column]!r}: {values[gene, column]} is {what}."
            )
            raise ValueError(msg)


def _check_names(path: Path, names: Sequence[str]) -> None:
    if repeated := sorted({name for name in names if list(names).count(name) > 1}):
        msg = f"{path}: the cell type {repeated[0]!r} comes twice."
        raise ValueError(msg)


def _one_row_each(path: Path, table: pd.DataFrame, *, log: bool) -> pd.DataFrame:
    """Genes without versions; several rows of a gene become one."""
    ids = unversioned(table.index.to_series()).str.removesuffix("_PAR_Y")
    table = table.set_axis(ids.to_numpy(), axis=0).rename_axis(table.index.name)
    repeated = table.index.duplicated()
    if not repeated.any():
        return table
    how = "summed" if log else "taken as one, of the greatest value"
    again = table.index[repeated]
    logger.info("%s: %d genes have several rows, such as %s; they are %s.", path, again.nunique(), again[0], how)
    groups = table.groupby(level=0, sort=False)
    return groups.sum(min_count=1) if log else groups.max()


# --- files -----------------------------------------------------------------------------------------------------------


def _read_text(path: Path) -> pd.DataFrame:
    import pandas as pd

    layout = _find_layout(path)
    _check_names(path, layout.names)
    columns = {
        name: Column(place, "float64", _MISSING) for name, place in zip(layout.names, layout.places, strict=True)
    }
    columns[_GENE] = Column(0, "str")
    pieces = list(read_chunks(path, columns, separator=layout.separator, n_header=layout.n_header))
    n_rows = sum(map(len, pieces))
    if layout.n_rows not in (None, n_rows):
        msg = f"{path}: its head tells of {layout.n_rows} genes, but {n_rows} follow; is the file cut off?"
        raise ValueError(msg)
    table = pd.concat(pieces or [pd.DataFrame(columns=list(columns))])
    genes = table.pop(_GENE).astype(str).str.strip().str.strip('"')
    return table.set_index(genes.rename("gene"))


def _find_layout(path: Path) -> _Layout:
    """Which columns hold values, from the first lines."""
    head = head_of(path, 2)
    if head.comments and head.comments[0].rstrip() in ("#1.2", "#1.3"):
        return _find_gct(path, head.lines)
    header = read_header(path)
    row = dict(enumerate(header.first))
    numbers = [i for i in range(1, len(header.names)) if i not in row or (is_number(row[i]) or row[i] in _MISSING)]
    if not numbers:
        msg = (
            f"{path}: no column of numbers, separated by tabs or commas, follows the first one; the header is "
            f"{header.names[:5]}, the first gene is {header.first[:5]}."
        )
        raise ValueError(msg)
    if texts := [name for i, name in enumerate(header.names) if i and i not in numbers]:
        logger.warning("%s: the columns %s hold text and are left out.", path, some(texts))
    return _Layout([header.names[i] for i in numbers], numbers, header.separator, header.n_lines)


def _find_gct(path: Path, lines: list[str]) -> _Layout:
    """Layout of a GCT: sizes (1.3: also of the descriptions of rows and columns), header, descriptions of columns."""
    try:
        n_rows, n_columns, *more = map(int, lines[0].split())
        n_texts, n_header = (more[0], 2 + more[1]) if more else (1, 2)
        names = split_line(lines[1], "\t")[1 + n_texts :]
    except (ValueError, IndexError):
        msg = f"{path}: a GCT tells its numbers of rows and columns in the second line, and then has a header."
        raise ValueError(msg) from None
    if len(names) != n_columns or not names:
        msg = f"{path}: its second line tells of {n_columns} columns of values, but the header names {len(names)}."
        raise ValueError(msg)
    places = list(range(1 + n_texts, 1 + n_texts + n_columns))
    return _Layout(names, places, "\t", n_header, n_rows)


def _read_h5ad(path: Path) -> pd.DataFrame:
    import pandas as pd
    from anndata import read_h5ad
    from scipy import sparse

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # names that repeat are dealt with here
            adata = read_h5ad(path)
    except (OSError, KeyError, ValueError) as error:
        msg = f"{path}: not a whole h5ad file ({error})."
        raise ValueError(msg) from error
    if adata.X is None:
        msg = f"{path}: the expression must be in X (cell types x genes), but there is none."
        raise ValueError(msg)
    _check_names(path, list(adata.obs_names))
    values = adata.X.toarray() if sparse.issparse(adata.X) else np.asarray(adata.X)
    genes = adata.var_names.astype(str).rename("gene")
    return pd.DataFrame(values.T.astype(float), index=genes, columns=adata.obs_names.astype(str).to_numpy())

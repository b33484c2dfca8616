"""Tables and matrices on top of each other: what ``pp.concat`` is made of, without knowing what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from epiattn import _keys as k

if TYPE_CHECKING:
    import pandas as pd


def join_tables(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Rows of all tables, columns of any; missing values as pandas has them; categories are united.

    Parameters
    ----------
    tables
        Tables; no name of a row occurs twice.
    """
    import pandas as pd

    index = tables[0].index
    for table in tables[1:]:
        index = index.append(table.index)
    columns = dict.fromkeys(column for table in tables for column in table)
    joined = {column: _join_columns([t[column] for t in tables if column in t], index, column) for column in columns}
    return pd.DataFrame(joined, index=index)


def _join_columns(columns: Sequence[pd.Series], index: pd.Index, name: str) -> pd.Series:
    import pandas as pd

    if any(isinstance(column.dtype, pd.CategoricalDtype) for column in columns) or name == k.CELL_TYPE:
        return _join_categories(columns, index, name)
    # Columns without a value have no say in the type (pandas will stop to ask them too).
    filled = [column for column in columns if column.notna().any()] or columns[:1]
    column = pd.concat(filled)
    if len(column) == len(index):
        return column
    if column.dtype == bool:  # not object, which h5mu and zarr refuse
        column = column.astype("boolean")
    return column.reindex(index)


def _join_categories(columns: Sequence[pd.Series], index: pd.Index, name: str) -> pd.Series:
    """Categories in order of appearance; labels and parts of a split in their own order."""
    import pandas as pd

    parts = [column.astype("category").cat for column in columns]
    if name == k.CELL_TYPE:
        categories = [list(_used(column)) for column in columns]
    else:
        categories = [list(part.categories) for part in parts]
    united = list(dict.fromkeys(value for values in categories for value in values))
    for order in ((k.LOW, k.HIGH), k.PARTS):
        if set(united) <= set(order):
            united = [value for value in order if value in united]
    same = all(values == united for values in categories)
    ordered = same and all(part.ordered for part in parts)
    values = pd.concat([column.astype(object) for column in columns]).reindex(index)
    return pd.Series(pd.Categorical(values, categories=united, ordered=ordered), index=index)


def _used(column: pd.Series) -> Sequence[Any]:
    """Values that occur: in the order of the categories, or of their appearance."""
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.remove_unused_categories().cat.categories
    return column.unique()


def first_of_each_name(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Rows of all tables, of each name the first one; columns of any."""
    seen, new = tables[0].index[:0], []
    for table in tables:
        new.append(table.loc[~table.index.isin(seen)])
        seen = seen.append(new[-1].index)
    return join_tables(new)


def stack(
    parts: Sequence[Any], sizes: Sequence[int], columns: Sequence[np.ndarray], n_columns: int, fill: float
) -> Any:
    """Matrices on top of each other, in new memory.

    Parameters
    ----------
    parts
        Matrices of shape ``(sizes[i], len(columns[i]))``, dense or sparse; ``None`` where there is none.
    sizes
        Number of rows of each part.
    columns
        Where the columns of each part go.
    n_columns
        Columns of the result.
    fill
        Value of what no part has.

    Returns
    -------
    Matrix of shape ``(sum(sizes), n_columns)``: CSR if a part is sparse, unless the filled value is not 0.
    """
    there = [part for part in parts if part is not None]
    dtype = np.result_type(*[part.dtype for part in there])
    gaps = len(there) < len(parts) or any(len(where) < n_columns for where in columns)
    if gaps and np.isnan(fill):
        dtype = np.result_type(dtype, np.float32)
    elif any(sparse.issparse(part) for part in there):
        blocks = [_place(*block, n_columns, dtype) for block in zip(parts, sizes, columns, strict=True)]
        stacked = sparse.vstack(blocks, format="csr", dtype=dtype)
        stacked.sort_indices()
        return stacked
    stacked = np.full((sum(sizes), n_columns), fill, dtype) if gaps else np.empty((sum(sizes), n_columns), dtype)
    start = 0
    for part, size, where in zip(parts, sizes, columns, strict=True):
        if part is not None:
            stacked[start : start + size, where] = part.toarray() if sparse.issparse(part) else part
        start += size
    return stacked


def _place(part: Any, n_rows: int, where: np.ndarray, n_columns: int, dtype: np.dtype) -> Any:
    """A CSR matrix with its columns at their places; shares its values with the part."""
    if part is None:
        return sparse.csr_matrix((n_rows, n_columns), dtype=dtype)
    csr = sparse.csr_array(part) if isinstance(part, sparse.sparray) else sparse.csr_matrix(part)
    indices = where.astype(csr.indices.dtype)[csr.indices]
    return type(csr)((csr.data, indices, csr.indptr), shape=(n_rows, n_columns))

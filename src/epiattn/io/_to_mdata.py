"""From arrays to a MuData: tables of genes, bins around the TSS, names of observations."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from epiattn import _keys as k
from epiattn._compat import new_mudata
from epiattn._logging import logger
from epiattn._modalities import find_channels
from epiattn._validation import check_values

from ._places import check_genes, some

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from mudata import MuData

GENE_NAME = "gene_name"
_NAMED = re.compile(r"(ENS[A-Z]*G\d+(?:\.\d+)?)_(.+)")
_NUMBER = re.compile(r"\d{1,11}")


def make_obs(
    gene_id: Sequence[str] | np.ndarray, cell_type: Sequence[str] | np.ndarray, columns: Mapping[str, Any]
) -> pd.DataFrame:
    """A table of observations; cell types keep their order of appearance.

    Parameters
    ----------
    gene_id, cell_type
        Gene and cell type of each observation.
    columns
        More columns.

    Raises
    ------
    ValueError
        If a gene comes twice in a cell type.
    """
    import pandas as pd

    names = pd.Index([f"{gene}@{name}" for gene, name in zip(gene_id, cell_type, strict=True)])
    if names.has_duplicates:
        msg = f"A gene can come once in a cell type, but {some(names[names.duplicated()].unique())} come twice."
        raise ValueError(msg)
    types = pd.Categorical(cell_type, categories=list(dict.fromkeys(cell_type)))
    return pd.DataFrame({k.GENE_ID: np.asarray(gene_id, object), k.CELL_TYPE: types, **columns}, index=names)


def categories(codes: np.ndarray, names: Sequence[str]) -> pd.Categorical:
    """A column of categories in this order; -1 is missing."""
    import pandas as pd

    return pd.Categorical.from_codes(codes, categories=list(names))


class Matched(NamedTuple):
    """Genes of a file: which of them to keep, their ids, and what else is known of them."""

    rows: np.ndarray
    gene_id: np.ndarray
    columns: dict[str, Any]


def match_genes(gene_id: Sequence[str], genes: pd.DataFrame | None) -> Matched:
    """Look genes of a file up in a table of genes.

    Parameters
    ----------
    gene_id
        Ids in the file: as in the table, without the version, as numbers (172936 is ENSG00000172936), or with the name
        (ENSG00000130749_ZC3H4).
    genes
        The table, if there is one; genes that it lacks are left out, with a warning.

    Raises
    ------
    ValueError
        If the table has none of the genes.
    """
    named = [_NAMED.fullmatch(name) for name in gene_id]
    ids = np.array([hit[1] if hit else name for hit, name in zip(named, gene_id, strict=True)], dtype=object)
    if genes is None:
        names = {GENE_NAME: np.array([hit[2] for hit in named if hit], dtype=object)} if all(named) else {}
        return Matched(np.arange(len(ids)), ids, names)
    known = {str(name): i for i, name in enumerate(check_genes(genes).index)}
    plain = {name.split(".")[0]: i for name, i in known.items()}
    found = np.array([_lookup(name, known, plain) for name in ids])
    if not (found >= 0).any():
        msg = f"No gene of the file ({some(ids)}) is in genes ({some(genes.index)}): do they name genes alike?"
        raise ValueError(msg)
    if (found < 0).any():
        lost = np.unique(ids[found < 0].astype(str))
        logger.warning("%d genes are left out, as they are not in genes: %s.", len(lost), some(lost))
    rows = np.flatnonzero(found >= 0)
    return Matched(rows, genes.index.astype(str).to_numpy(object)[found[rows]], coordinates(genes, found[rows]))


def _lookup(name: str, known: Mapping[str, int], plain: Mapping[str, int]) -> int:
    number = f"ENSG{name:0>11}" if _NUMBER.fullmatch(name) else name
    for key in (name, number):
        if key in known:
            return known[key]
    return plain.get(number.split(".")[0], -1)


def coordinates(genes: pd.DataFrame, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Columns of ``obs`` with what a table of genes says in these rows of it."""
    taken = genes.iloc[rows]
    columns = {name: taken[name].astype(str).to_numpy(object) for name in (GENE_NAME,) if name in genes}
    columns[k.CHROM] = taken[k.CHROM].astype(str).to_numpy(object)
    columns[k.TSS] = taken[k.TSS].to_numpy(np.int64)
    columns[k.STRAND] = taken[k.STRAND].astype(str).to_numpy(object)
    return columns


def bin_table(n_bins: int, bin_size: int) -> pd.DataFrame:
    """``var`` of a modality of signal: bins of one width, half on either side of the TSS."""
    import pandas as pd

    start = bin_size * np.arange(n_bins) - n_bins * bin_size // 2
    names = [f"bin_{place:+d}_{bin_size}bp" for place in start]
    return pd.DataFrame({k.START: start, k.END: start + bin_size}, index=names)


def make_signal(
    index: pd.Index, layers: Mapping[str, np.ndarray], bin_size: int, measured: np.ndarray | None = None
) -> AnnData:
    """A modality of signal: bins of one width, half on either side of the TSS.

    Parameters
    ----------
    index
        Names of the observations.
    layers
        Each mark's signal, shape ``(n_obs, n_bins)``.
    bin_size
        Width of a bin in bp.
    measured
        Which marks were measured, shape ``(n_obs, n_marks)``; ``None``: all.
    """
    import pandas as pd
    from anndata import AnnData

    var = bin_table(next(iter(layers.values())).shape[1], bin_size)
    adata = AnnData(layers=dict(layers), obs=pd.DataFrame(index=index), var=var)
    if measured is not None and not measured.all():
        adata.obsm[k.MEASURED] = pd.DataFrame(measured, index=index, columns=list(layers))
    return adata


def make_expression(index: pd.Index, values: np.ndarray) -> AnnData:
    """The modality ``rna``: one value for each observation, NaN where it is missing."""
    import pandas as pd
    from anndata import AnnData

    column = np.asarray(values, np.float32)[:, None]
    return AnnData(column, obs=pd.DataFrame(index=index), var=pd.DataFrame(index=["expression"]))


def make_mdata(modalities: Mapping[str, AnnData], obs: pd.DataFrame, **notes: Any) -> MuData:
    """The object, its values checked, with notes on where it comes from in ``uns["epiattn"]``."""
    mdata = new_mudata(modalities, obs)
    mdata.uns[k.PACKAGE] = {"schema_version": k.SCHEMA_VERSION, **notes}
    check_values(mdata, find_channels(mdata))
    sizes = ", ".join(f"{name} x {adata.n_vars}" for name, adata in mdata.mod.items())
    logger.info("Genes: %d. Cell types: %d. %s.", obs[k.GENE_ID].nunique(), obs[k.CELL_TYPE].nunique(), sizes)
    return mdata

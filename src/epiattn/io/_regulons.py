"""Regulons: which TF regulates which gene, from a table of edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from epiattn._keys import BINDING, EXPRESSION, MODE
from epiattn._logging import logger

from ._edges import CONFIDENCE, read_edges
from ._gene_tables import GENE_NAME, unversioned
from ._places import check_genes, some
from ._tfs import by_name, keep_expressed, make_tf

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


def read_regulons(
    edges: str | Path | pd.DataFrame,
    genes: pd.DataFrame,
    *,
    expression: pd.DataFrame | None = None,
    cell_type: str | None = None,
    tfs: Sequence[str] | None = None,
    annotation: pd.DataFrame | None = None,
    min_confidence: float | str | None = None,
    confidence: Mapping[str, float] = CONFIDENCE,
) -> AnnData:
    r"""Read which TF regulates which gene, in one cell type.

    Parameters
    ----------
    edges
        Table of edges as DoRothEA, CollecTRI or decoupler have it: a TSV or CSV with a header, gzipped or not, or a
        DataFrame. Columns: ``tf`` (or ``source``), ``target`` (id or name of a gene); optionally ``confidence`` (a
        letter or a number), ``weight`` (taken where there is no confidence) and ``mor`` (or ``mode``, ``sign``: 1
        activates, -1 represses, 0 is not known; without it the sign of the weight). Of several edges between a TF and
        a gene the one of highest confidence counts, of equals the first.
    genes
        Table of genes, as :func:`epiattn.io.read_annotation` gives it: targets are looked up in its index (without
        Ensembl's versions) and in ``gene_name``.
    expression
        Expression of all genes, as :func:`epiattn.io.read_expression` gives it; ``None``: no such channel.
    cell_type
        Its column; not needed if there is only one.
    tfs
        TFs to take, in this order; ``None``: all of the table whose expression is known, by name.
    annotation
        Table of all genes, in which the ids of the TFs are looked up; ``None``: ``genes``, which will do unless it is
        a selection.
    min_confidence
        Least confidence (or weight): a letter or a number.
    confidence
        Letters of confidence as numbers.

    Returns
    -------
    The modality ``tf``, genes x TFs, with CSR layers that store the edges and nothing else: ``binding`` (confidence,
    or size of the weight, or 1), ``mode`` (1, -1, or 0) and ``expression`` (that of the TF; a TF that is not expressed
    is a stored 0).

    Raises
    ------
    FileNotFoundError
        If there is no file.
    ValueError
        If a column is missing, a confidence or mode makes no sense, ``tfs`` names one without edges or expression, or
        no target is a gene of the table.

    Examples
    --------
    >>> import epiattn as attn
    >>> import pandas as pd
    >>> genes = pd.DataFrame(
    ...     {"gene_name": ["MYC", "TP53"], "chrom": ["chr8", "chr17"], "tss": [127_735_433, 7_687_489]},
    ...     index=["ENSG00000136997", "ENSG00000141510"],
    ... ).assign(strand=["+", "-"])
    >>> edges = pd.DataFrame(
    ...     {"tf": ["MYC", "MYC"], "target": ["TP53", "MYC"], "confidence": ["A", "D"], "mor": [1, -1]}
    ... )
    >>> tf = attn.io.read_regulons(edges, genes)
    >>> tf.layers["binding"].toarray(), tf.layers["mode"].toarray()
    (array([[0.4],
           [1. ]], dtype=float32), array([[-1.],
           [ 1.]], dtype=float32))
    """
    import pandas as pd

    check_genes(genes)
    table = read_edges(edges, confidence=confidence)
    if min_confidence is not None:
        table = table[table[BINDING] >= _least(min_confidence, confidence)]
    table = table[table[BINDING] > 0]
    names = _choose(table, tfs)
    if expression is not None:
        named = genes if annotation is None else annotation
        names, level = keep_expressed(names, expression, cell_type, named, required=tfs is not None)
    table = _match(table[table["tf"].isin(names)], genes)
    column = pd.Index(names).get_indexer(table["tf"].cat.categories)[table["tf"].cat.codes]
    channels = {name: table[name].to_numpy() for name in (BINDING, MODE)}
    if expression is not None:
        channels[EXPRESSION] = level[column]
    return make_tf(genes.index, names, (table["row"].to_numpy(), column), channels)


def _least(min_confidence: float | str, confidence: Mapping[str, float]) -> float:
    if not isinstance(min_confidence, str):
        return min_confidence
    if min_confidence not in confidence:
        msg = f"min_confidence must be a number or one of {list(confidence)}, not {min_confidence!r}."
        raise ValueError(msg)
    return confidence[min_confidence]


def _choose(table: pd.DataFrame, tfs: Sequence[str] | None) -> list[str]:
    known = set(table["tf"])
    if tfs is None:
        return sorted(known)
    tfs = list(tfs)
    if repeated := sorted({name for name in tfs if tfs.count(name) > 1}):
        msg = f"tfs repeats {some(repeated)}."
        raise ValueError(msg)
    if unknown := [name for name in tfs if name not in known]:
        msg = (
            f"tfs names {len(unknown)} TFs that have no edge, such as {some(unknown)}; known are {some(sorted(known))}."
        )
        raise ValueError(msg)
    return tfs


def _match(table: pd.DataFrame, genes: pd.DataFrame) -> pd.DataFrame:
    """Edges to these genes: one of each pair of TF and gene, with the gene's ``row``."""
    import pandas as pd

    targets = table["target"].cat.remove_unused_categories().cat
    ids = pd.DataFrame({"code": range(len(targets.categories))}, index=unversioned(targets.categories.to_series()))
    rows = ids.join(by_name(genes).rename("row"), how="inner")
    matched = table.assign(code=targets.codes).merge(rows, on="code")
    if matched.empty:
        names = genes.get(GENE_NAME, genes.index)
        msg = (
            f"None of the {len(ids)} targets ({some(targets.categories)}) is one of the genes ({some(genes.index)}; by "
            f"name {some(names)})."
        )
        raise ValueError(msg)
    best = matched.sort_values(BINDING, ascending=False, kind="stable").drop_duplicates(["tf", "row"])
    logger.info(
        "%d of %d genes are targets of %d TFs; %d of %d targets are not among the genes; %d edges came twice.",
        best["row"].nunique(),
        len(genes),
        best["tf"].nunique(),
        len(ids) - rows["code"].nunique(),
        len(ids),
        len(matched) - len(best),
    )
    return best

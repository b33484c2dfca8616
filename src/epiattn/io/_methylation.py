"""DNA methylation: from files of CpGs to lists of CpGs around each TSS."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse

from epiattn import _keys as k
from epiattn._logging import logger
from epiattn._registry import methylation_formats

from ._cpgs import MINUS, UNKNOWN, add_up, pair
from ._formats import guess_format
from ._places import Places, expand, merge

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

#: Layers with no more slots than this are dense however few are filled (float32: 4 MB).
_SMALL = 1_000_000
#: Around a window: CpGs whose two strands lie on either side of its border must meet.
_MARGIN = 100
_DTYPES = (np.float32, np.float32, np.int32)  # of beta, position and coverage


class CpGLists(NamedTuple):
    """CpGs around each TSS, 5' to 3', gene after gene: ``n_cpg`` of the first, then those of the second …

    ``n_cpg`` has the shape ``(n_genes,)``, the others ``(n_cpg.sum(),)``: ``beta`` in [0, 1], ``position`` in [-1, 1]
    (distance to the TSS / window, negative upstream), ``coverage`` in reads.
    """

    n_cpg: np.ndarray
    beta: np.ndarray
    position: np.ndarray
    coverage: np.ndarray


def read_methylation(
    path: str | Path,
    genes: pd.DataFrame,
    *,
    window: int = 2_000,
    max_cpgs: int = 436,
    min_coverage: int = 1,
    merge_strands: bool = True,
    format: str | None = None,
) -> AnnData:
    r"""Read the methylation of CpGs around each TSS.

    Parameters
    ----------
    path
        bedMethyl (modkit, modbam2bed, ENCODE), Bismark coverage, or methylKit; gzipped or not. Lines may come in any
        order; lines that name the same cytosine are added up. Or a bigWig of fractions or percentages by CpG, as the
        Roadmap consortium gives them (``…FractionalMethylation.bigwig``); the reads come from
        ``…ReadCoverage.bigwig``, beside it or in the folder ``ReadCoverage_bigwig`` beside its own, and where there
        is no such file, each CpG counts as one read.
    genes
        Table of genes, as :func:`epiattn.io.read_annotation` gives it.
    window
        CpGs in ``[tss - window, tss + window)`` are taken, in bp. A CpG belongs to every gene whose window holds it.
    max_cpgs
        At most so many CpGs of a gene: those nearest to the TSS (of two at the same distance, the upstream one).
    min_coverage
        Least number of reads of a CpG (after its strands were merged).
    merge_strands
        Take the cytosines of both strands of a CpG as one, at the position of the ``+`` strand's: their reads are
        added, their levels weighted by the reads. In files without strands (Bismark coverage), cytosines on
        neighbouring bases are the two strands of a CpG; where several CpGs touch (``CGCG``) and some of their bases
        were not read, which ones belong together is a guess.
    format
        ``"bedmethyl"``, ``"bismark"``, ``"methylkit"`` or ``"bigwig"``; ``None``: told from the content.

    Returns
    -------
    The modality ``methylation``: ``layers["beta"]``, ``layers["position"]`` (distance to the TSS / window) and
    ``layers["coverage"]`` (reads), shape ``(n_genes, n_slots)`` with as many slots as the longest list has CpGs, in the
    order 5' to 3' and left-aligned; ``obs["n_cpg"]``, how many slots are filled; ``uns["window"]``. The layers are
    float32 arrays, or CSR matrices where they are large and less than half of the slots are filled.

    Raises
    ------
    FileNotFoundError
        If there is no file.
    ValueError
        If the format cannot be told, a line holds something else than it should, or the file and the genes share no
        chromosome.

    Examples
    --------
    >>> import epiattn as attn
    >>> import pandas as pd
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> genes = pd.DataFrame({"chrom": ["chr1"], "tss": [1_000], "strand": ["+"]}, index=["TP53"])
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "liver.bismark.cov"
    ...     _ = path.write_text("chr1\t501\t501\t75\t3\t1\nchr1\t1101\t1101\t0\t0\t4\n")
    ...     methylation = attn.io.read_methylation(path, genes)
    >>> methylation.layers["beta"].tolist(), methylation.layers["position"].tolist()
    ([[0.75, 0.0]], [[-0.25, 0.05000000074505806]])
    """
    format = guess_format(path, k.METHYLATION) if format is None else format
    lists = cpg_lists(
        path,
        format,
        genes,
        window=window,
        max_cpgs=max_cpgs,
        min_coverage=min_coverage,
        merge_strands=merge_strands,
    )
    return make_methylation([lists], genes.index, window=window)


def cpg_lists(
    path: str | Path,
    format: str,
    genes: pd.DataFrame,
    *,
    window: int,
    max_cpgs: int,
    min_coverage: int,
    merge_strands: bool,
) -> CpGLists:
    """CpGs around each TSS, as lists; parameters as of :func:`read_methylation`.

    The file is read in pieces, of which only what is near a TSS is kept.
    """
    small = {"window": window, "max_cpgs": max_cpgs, "min_coverage": min_coverage}
    if small := {name: size for name, size in small.items() if size < 1}:
        msg = f"Sizes must be positive, got {small}."
        raise ValueError(msg)
    read = methylation_formats[format].load()
    places = Places(genes)
    starts, ends = merge(places.tss - window - _MARGIN, places.tss + window + _MARGIN)
    kept, stranded = [], False
    for piece in read(path):
        position, strand = piece["position"].to_numpy(), piece["strand"].cat.codes.to_numpy()
        stranded |= bool((strand < UNKNOWN).any())
        # The C of the other strand pairs with the G beside the C of this one.
        place = places.encode(piece["chrom"], position - (strand == MINUS) if merge_strands else position)
        near = np.searchsorted(starts, place, "right") > np.searchsorted(ends, place, "right")
        kept.append((place[near], piece["level"].to_numpy()[near], piece["coverage"].to_numpy()[near]))
    places.report(path)
    place, level, coverage = map(np.concatenate, zip(*kept, strict=True))
    place, level, coverage = add_up(place, place, level, coverage)
    if merge_strands and not stranded:
        place, level, coverage = add_up(pair(place), place, level, coverage)
    enough = coverage >= min_coverage
    lists = _cut(places, place[enough], level[enough], coverage[enough], window=window, max_cpgs=max_cpgs)
    if not lists.n_cpg.any():
        logger.warning(
            "%s: no CpG lies within %d bp of a TSS. Are file and genes of the same genome build?", path, window
        )
    return lists


def pool(replicates: Sequence[CpGLists], *, n_genes: int, max_cpgs: int) -> CpGLists:
    """The lists of replicates as one: reads of the same CpG are added up, levels weighted by them.

    Parameters
    ----------
    replicates
        Lists of the same genes, any number of them; of none come empty lists.
    n_genes
        Genes.
    max_cpgs
        At most so many CpGs of a gene, as in :func:`read_methylation`.
    """
    if len(replicates) == 1:
        return replicates[0]
    empty = CpGLists(np.zeros(n_genes, np.int64), *(np.zeros(0, dtype) for dtype in _DTYPES))
    gene, beta, position, coverage = (
        np.concatenate(values)
        for values in zip(
            *[(expand(lists.n_cpg)[0], *lists[1:]) for lists in (empty, *replicates)],
            strict=True,
        )
    )
    order = np.lexsort((position, gene))
    gene, beta, position, coverage = gene[order], beta[order], position[order], coverage[order]
    new = np.r_[True, (np.diff(gene) != 0) | (np.diff(position) != 0)][: len(gene)]
    first, beta, coverage = add_up(np.cumsum(new), np.arange(len(gene)), beta, coverage)
    return _make_lists(gene[first], beta, position[first], coverage, n_genes=n_genes, max_cpgs=max_cpgs)


def make_methylation(parts: Sequence[CpGLists], index: pd.Index, *, window: int) -> AnnData:
    """The modality ``methylation`` of lists.

    Parameters
    ----------
    parts
        CpGs of the observations: the first ones, the next ones …
    index
        Names of the observations.
    window
        What the positions are relative to, in bp.
    """
    import pandas as pd
    from anndata import AnnData

    lists = CpGLists(*map(np.concatenate, zip(*parts, strict=True)))
    n_slots = max(int(lists.n_cpg.max(initial=0)), 1)
    return AnnData(
        obs=pd.DataFrame({k.N_CPG: lists.n_cpg}, index=index.astype(str)),
        var=pd.DataFrame(index=[f"cpg_{i:03d}" for i in range(n_slots)]),
        layers={
            name: _layer(lists.n_cpg, values, n_slots)
            for name, values in ((k.BETA, lists.beta), (k.POSITION, lists.position), (k.COVERAGE, lists.coverage))
        },
        uns={"window": window},
    )


def _layer(n_cpg: np.ndarray, values: np.ndarray, n_slots: int) -> np.ndarray | sparse.csr_matrix:
    """Left-aligned lists, shape ``(len(n_cpg), n_slots)``; the values of a CSR matrix hold zeros too."""
    row, slot = expand(n_cpg)
    shape = (len(n_cpg), n_slots)
    if len(values) * 2 < shape[0] * n_slots and shape[0] * n_slots > _SMALL:
        return sparse.csr_matrix((values.astype(np.float32), slot, np.r_[0, np.cumsum(n_cpg)]), shape=shape)
    layer = np.zeros(shape, np.float32)
    layer[row, slot] = values
    return layer


# --- lists -----------------------------------------------------------------------------------------------------------


def _cut(
    places: Places, place: np.ndarray, level: np.ndarray, coverage: np.ndarray, *, window: int, max_cpgs: int
) -> CpGLists:
    """The CpGs of each gene, 5' to 3'."""
    low = np.searchsorted(place, places.tss - window)
    high = np.searchsorted(place, places.tss + window)
    gene, rank = expand(high - low)
    which = np.where(places.sign[gene] > 0, low[gene] + rank, high[gene] - 1 - rank)
    position = (place[which] - places.tss[gene]) * places.sign[gene] / window
    return _make_lists(gene, level[which], position, coverage[which], n_genes=len(low), max_cpgs=max_cpgs)


def _make_lists(
    gene: np.ndarray, beta: np.ndarray, position: np.ndarray, coverage: np.ndarray, *, n_genes: int, max_cpgs: int
) -> CpGLists:
    """Lists of CpGs that are in order, of each gene those nearest to the TSS."""
    n_cpg = np.bincount(gene, minlength=n_genes)
    if n_cpg.max(initial=0) > max_cpgs:
        order = np.lexsort((position, np.abs(position), gene))
        near = np.sort(order[expand(n_cpg)[1] < max_cpgs])
        gene, beta, position, coverage = gene[near], beta[near], position[near], coverage[near]
        n_cpg = np.minimum(n_cpg, max_cpgs)
    values = (beta, position, coverage)
    return CpGLists(n_cpg, *(array.astype(dtype) for array, dtype in zip(values, _DTYPES, strict=True)))

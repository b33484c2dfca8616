"""Simulated epigenomes: a small object in the package's data model, offline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from epiattn import _keys as k
from epiattn._compat import new_mudata

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from mudata import MuData

#: Width and place (bp from the TSS) of each mark's peak, and how its height follows activity (a) and silencing (s).
_MARKS = {
    "H3K4me3": (300, 150, 1.0, 0.0),
    "H3K27ac": (400, 300, 1.0, 0.0),
    "H3K4me1": (600, -900, 0.6, 0.0),
    "H3K36me3": (900, 1500, 0.8, 0.0),
    "H3K27me3": (900, 0, 0.0, 1.0),
    "H3K9me3": (1200, -500, 0.0, 0.3),
    "DNase": (200, -50, 0.8, 0.0),
}


def simulate(
    n_genes: int = 2_000,
    cell_types: int | Sequence[str] = 3,
    *,
    n_bins: int = 40,
    bin_size: int = 100,
    marks: Sequence[str] | None = None,
    max_cpgs: int = 60,
    n_tfs: int = 100,
    seed: int = 0,
) -> MuData:
    """Simulate marks, methylation, TFs and expression of genes in several cell types.

    Each gene has an activity that its cell types share in part. Activity raises H3K4me3, H3K27ac, H3K4me1, H3K36me3
    and DNase around the TSS and the binding of expressed TFs; its opposite raises H3K27me3 and promoter methylation.
    Signal is a Poisson count; a fifth of the genes has no CpG. Expression follows activity with noise.

    Parameters
    ----------
    n_genes
        Genes.
    cell_types
        Number of cell types, or their names.
    n_bins
        Bins of the window, half on either side of the TSS.
    bin_size
        Bin width in bp.
    marks
        Histone marks; ``None``: six marks and DNase.
    max_cpgs
        CpG slots.
    n_tfs
        Transcription factors.
    seed
        Seed.

    Returns
    -------
    A MuData with ``n_genes x cell_types`` observations: ``histone`` (one layer per mark), ``methylation`` (``beta``,
    ``position``, ``obs["n_cpg"]``), ``tf`` (``binding``, ``expression``, ``mode``; CSR) and ``rna``;
    ``obs["activity"]`` is the truth behind the expression.

    Raises
    ------
    ValueError
        If a size is not positive or a mark is unknown.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=50, cell_types=("liver", "brain"))
    >>> mdata["histone"].shape
    (100, 40)
    """
    from epiattn.pp import label

    names = [f"cell_type_{i}" for i in range(cell_types)] if isinstance(cell_types, int) else list(cell_types)
    marks = list(_MARKS) if marks is None else list(marks)
    sizes = {"n_genes": n_genes, "cell_types": len(names), "n_bins": n_bins, "bin_size": bin_size, "marks": len(marks)}
    if small := {name: size for name, size in sizes.items() if size < 1}:
        msg = f"Sizes must be positive, got {small}."
        raise ValueError(msg)
    if unknown := [mark for mark in marks if mark not in _MARKS]:
        msg = f"Unknown marks {unknown}; the simulator knows {list(_MARKS)}."
        raise ValueError(msg)
    rng = np.random.default_rng(seed)
    obs = _observations(rng, n_genes, names)
    modalities = {
        k.HISTONE: _histone(rng, obs, marks, n_bins, bin_size),
        k.METHYLATION: _methylation(rng, obs, n_genes, max_cpgs, n_bins * bin_size // 2),
        k.TF: _tf(rng, obs, n_genes, n_tfs),
        k.RNA: _rna(rng, obs),
    }
    mdata = new_mudata(modalities, obs)
    mdata.uns[k.PACKAGE] = {"schema_version": k.SCHEMA_VERSION, "simulated": {"seed": seed}}
    return label(mdata)


def _observations(rng: np.random.Generator, n_genes: int, names: list[str]) -> pd.DataFrame:
    import pandas as pd

    gene = np.tile(np.arange(n_genes), len(names))
    cell_type = np.repeat(names, n_genes)
    shared = rng.normal(size=n_genes)
    own = rng.normal(size=len(gene))
    activity = 0.8 * shared[gene] + 0.6 * own
    chromosome = np.sort(rng.integers(1, 23, n_genes))
    gene_id = np.array([f"gene_{i:05d}" for i in range(n_genes)])[gene]
    return pd.DataFrame(
        {
            k.GENE_ID: gene_id,
            k.CELL_TYPE: pd.Categorical(cell_type, categories=names),
            k.CHROM: [f"chr{i}" for i in chromosome[gene]],
            "tss": np.sort(rng.integers(10_000, 50_000_000, n_genes))[gene],
            "strand": np.array(["+", "-"])[rng.integers(0, 2, n_genes)][gene],
            "activity": activity,
        },
        index=[f"{g}@{c}" for g, c in zip(gene_id, cell_type, strict=True)],
    )


def _histone(rng: np.random.Generator, obs: pd.DataFrame, marks: list[str], n_bins: int, bin_size: int) -> AnnData:
    import pandas as pd
    from anndata import AnnData

    activity = obs["activity"].to_numpy()
    start = (np.arange(n_bins) - n_bins // 2) * bin_size
    middle = start + bin_size / 2
    on, off = 1 / (1 + np.exp(-2 * activity)), 1 / (1 + np.exp(2 * activity))
    layers = {}
    for mark in marks:
        width, place, by_activity, by_silencing = _MARKS[mark]
        peak = np.exp(-0.5 * ((middle - place) / width) ** 2)
        height = by_activity * on + by_silencing * off
        noise = rng.gamma(3, 1 / 3, size=len(activity))
        layers[mark] = rng.poisson(0.3 + 12 * (height * noise)[:, None] * peak).astype(np.float32)
    var = pd.DataFrame({"start": start, "end": start + bin_size}, index=[f"bin_{i:03d}" for i in range(n_bins)])
    return AnnData(layers=layers, obs=pd.DataFrame(index=obs.index), var=var)


def _methylation(rng: np.random.Generator, obs: pd.DataFrame, n_genes: int, max_cpgs: int, window: int) -> AnnData:
    import pandas as pd
    from anndata import AnnData

    activity = obs["activity"].to_numpy()
    n_cpg = rng.integers(1, max_cpgs + 1, n_genes) * (rng.random(n_genes) > 0.2)
    n_cpg = np.tile(n_cpg, len(activity) // n_genes).astype(np.int32)
    valid = np.arange(max_cpgs) < n_cpg[:, None]
    position = np.sort(np.where(valid, rng.uniform(-1, 1, valid.shape), np.inf), axis=1)
    position = np.where(valid, position, 0.0)
    island = np.exp(-((position / 0.3) ** 2))
    mean = np.clip(0.85 - island * (0.15 + 0.6 / (1 + np.exp(-1.5 * activity[:, None]))), 0.03, 0.97)
    beta = np.where(valid, rng.beta(10 * mean, 10 * (1 - mean)), 0.0)
    layers = {k.BETA: beta.astype(np.float32), k.POSITION: position.astype(np.float32)}
    adata = AnnData(
        layers=layers,
        obs=pd.DataFrame({k.N_CPG: n_cpg}, index=obs.index),
        var=pd.DataFrame(index=[f"cpg_{i:03d}" for i in range(max_cpgs)]),
    )
    adata.uns["window"] = window
    return adata


def _tf(rng: np.random.Generator, obs: pd.DataFrame, n_genes: int, n_tfs: int) -> AnnData:
    import pandas as pd
    from anndata import AnnData
    from scipy import sparse

    activity = obs["activity"].to_numpy()
    n_types = len(activity) // n_genes
    regulon = sparse.random_array((n_genes, n_tfs), density=0.1, format="coo", rng=rng)
    mode = np.where(rng.random(regulon.nnz) < 0.8, 1.0, -1.0)
    expression = rng.gamma(2, 1.5, size=(n_types, n_tfs))
    gene, tf = regulon.coords
    row = np.concatenate([gene + i * n_genes for i in range(n_types)])
    column = np.tile(tf, n_types)
    level = expression[np.repeat(np.arange(n_types), len(tf)), column]
    bound = np.clip(0.5 + 0.2 * activity[row] * np.tile(mode, n_types) + rng.normal(0, 0.2, len(row)), 0.05, 1)
    channels = {"binding": bound, "expression": level, "mode": np.tile(mode, n_types)}
    shape = (len(activity), n_tfs)
    layers = {
        name: sparse.csr_matrix((v.astype(np.float32), (row, column)), shape=shape) for name, v in channels.items()
    }
    return AnnData(
        layers=layers,
        obs=pd.DataFrame(index=obs.index),
        var=pd.DataFrame(index=[f"TF{i:03d}" for i in range(n_tfs)]),
    )


def _rna(rng: np.random.Generator, obs: pd.DataFrame) -> AnnData:
    import pandas as pd
    from anndata import AnnData

    activity = obs["activity"].to_numpy()
    expression = np.log2(1 + np.exp(1.5 * activity + 2 + rng.normal(0, 0.8, len(activity))))
    return AnnData(
        expression[:, None].astype(np.float32),
        obs=pd.DataFrame(index=obs.index),
        var=pd.DataFrame(index=["expression"]),
    )

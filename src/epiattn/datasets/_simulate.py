"""Simulated epigenomes with planted truth: an object in the package's data model, offline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from epiattn import _keys as k
from epiattn._compat import new_mudata

from ._programs import MARKS, METHYLATED, NAMES, QUIESCENT, SILENCE, TABLE, TF
from ._tracks import Regulation, make_grids, simulate_methylation, simulate_signal, simulate_tf

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from mudata import MuData

#: Chromosome lengths of the human genome in Mb, rounded.
_CHROMOSOMES = dict(
    zip(
        [*(f"chr{i}" for i in range(1, 23)), "chrX"],
        [248, 242, 198, 190, 182, 171, 159, 145, 138, 134, 135, 133, 114, 107, 102, 90, 83, 80, 59, 64, 47, 51, 156],
        strict=True,
    )
)
_DRIVE, _STEEPNESS = 2.2, 2.0  # summed TF activity at which half of the activation is reached, and how sharply


def simulate(
    n_genes: int = 2_000,
    cell_types: int | Sequence[str] = 3,
    *,
    n_bins: int | Sequence[int] = 40,
    bin_size: int | Sequence[int] = 100,
    marks: Sequence[str] | None = None,
    max_cpgs: int = 60,
    n_tfs: int = 100,
    switch: float = 0.2,
    noise: float = 1.2,
    seed: int = 0,
) -> MuData:
    """Simulate marks, methylation, TFs and expression of genes in several cell types, with the truth behind them.

    Every gene follows a regulatory program in every cell type; cell types share most programs and differ in some:

    ============  ======  ======================================================================================
    program       genes   cause
    ============  ======  ======================================================================================
    promoter      active  H3K4me3 and H3K27ac on either side of the TSS
    enhancer      active  H3K4me1 and H3K27ac about 1 kb upstream
    gene_body     active  H3K36me3 over the gene body
    tf            active  bound TFs that the cell type expresses, activators less repressors
    bivalent      silent  H3K27me3 beside H3K4me3
    polycomb      silent  broad H3K27me3
    methylated    silent  methylated CpGs at the promoter
    quiescent     silent  the TFs that bind are not expressed in this cell type
    ============  ======  ======================================================================================

    Only the causes carry a program's strength; other marks come along, and the promoters of neighbouring genes show
    up at the border of a third of the windows. Reads are negative binomial, correlated between bins, with a depth for
    each mark and cell type and a mappability for each gene. CpG positions belong to the gene (dense, sparse, or none),
    and each cell type measures most of them. Expression is the program's mean plus noise.

    Parameters
    ----------
    n_genes
        Genes.
    cell_types
        Number of cell types, or their names.
    n_bins
        Bins of the window, half on either side of the TSS.
    bin_size
        Bin width in bp. Several widths, such as ``(100, 500)``, give several modalities of the same reads:
        ``histone`` and ``histone_500bp``, over the same window unless ``n_bins`` has several numbers too.
    marks
        Histone marks; ``None``: six marks and DNase. H3K9ac and ATAC are known too, any other mark is background.
    max_cpgs
        CpG slots.
    n_tfs
        Transcription factors.
    switch
        Probability that a gene's program in a cell type is drawn anew.
    noise
        Standard deviation of the log2-expression around its mean.
    seed
        Seed.

    Returns
    -------
    A MuData with ``n_genes x cell_types`` observations: ``histone`` (one layer of read counts per mark),
    ``methylation`` (``beta``, ``position``, ``obs["n_cpg"]``), ``tf`` (``binding``, ``expression``, ``mode``; CSR) and
    ``rna``; ``obs["label"]`` by the median of the cell type. The truth:

    ``obs["truth_program"]``
        the program
    ``obs["truth_expression"]``, ``obs["truth_probability"]``
        noise-free mean of the log2-expression, and the probability of ``high`` that it gives: the best score possible
    ``obs["truth_difference"]``
        noise-free mean less its average over the cell types
    ``obs["truth_switched"]``, ``obs["truth_specific"]``
        whether the program differs from the gene's most frequent one (the first of several), and whether the gene
        is active in this cell type alone
    ``layers["truth_<mark>"]``, ``layers["truth_cpg"]``, ``layers["truth_tf"]`` of the modalities
        causal bins, CpGs and TFs of each observation: +1 activates, -1 represses (sparse)
    ``uns["epiattn"]["simulated"]``
        the arguments

    Raises
    ------
    ValueError
        If a size is not positive, names repeat, or the windows of several bin sizes do not fit into each other.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=50, cell_types=("liver", "brain"))
    >>> mdata["histone"].shape
    (100, 40)
    """
    from epiattn.pp import label

    names = [f"cell_type_{i}" for i in range(cell_types)] if isinstance(cell_types, int) else list(cell_types)
    marks = list(MARKS) if marks is None else list(marks)
    _check_sizes(n_genes=n_genes, cell_types=len(names), marks=len(marks), max_cpgs=max_cpgs, n_tfs=n_tfs)
    if not 0 <= switch <= 1:
        msg = f"switch must be between 0 and 1, not {switch}."
        raise ValueError(msg)
    if not noise > 0:
        msg = f"noise must be positive, not {noise}."
        raise ValueError(msg)
    _check_names("cell_types", names)
    _check_names("marks", marks)
    grids = make_grids(n_bins, bin_size)

    rng = np.random.default_rng(seed)
    n_types = len(names)
    n_cpg = _count_cpgs(rng, n_genes, max_cpgs)
    state = _draw_states(rng, n_genes, n_types, switch, n_cpg)
    regulation = _draw_regulation(rng, state, n_tfs)
    program = np.where((state == TF) & (regulation.drive < _DRIVE), QUIESCENT, state)
    log_strength = rng.normal(0, 0.35, n_genes) + rng.normal(0, 0.35, program.shape)
    mean = _mean_expression(program, log_strength, regulation.drive)
    expression = mean + rng.normal(0, noise, mean.shape)
    obs = _make_obs(rng, names, program, mean, expression, noise)

    index, strength = obs[[]], 2**log_strength
    modalities = simulate_signal(rng, index, marks, grids, program, strength)
    window = max(1, grids[k.HISTONE].width // 2)
    modalities[k.METHYLATION] = simulate_methylation(rng, index, program, strength, n_cpg, max_cpgs, window)
    modalities[k.TF] = simulate_tf(index, program, regulation)
    # Expression as users have it: log2(1 + reads), which rises with the simulated one and ends at 0.
    modalities[k.RNA] = _one_column(index, np.logaddexp2(0, expression).ravel())
    mdata = new_mudata(modalities, obs)
    mdata.uns[k.PACKAGE] = {
        "schema_version": k.SCHEMA_VERSION,
        "simulated": {
            "n_genes": n_genes,
            "cell_types": names,
            "n_bins": np.atleast_1d(n_bins),
            "bin_size": np.atleast_1d(bin_size),
            "marks": marks,
            "max_cpgs": max_cpgs,
            "n_tfs": n_tfs,
            "switch": switch,
            "noise": noise,
            "seed": seed,
        },
    }
    return label(mdata)


def _check_sizes(**sizes: int) -> None:
    if small := {name: size for name, size in sizes.items() if size < 1}:
        msg = f"Sizes must be positive, got {small}."
        raise ValueError(msg)


def _check_names(what: str, names: Sequence[str]) -> None:
    if repeated := sorted({name for name in names if list(names).count(name) > 1}):
        msg = f"{what} repeats {repeated}."
        raise ValueError(msg)


# --- what is planted; arrays have the shape (n_types, n_genes) ------------------------------------------------------


def _count_cpgs(rng: np.random.Generator, n_genes: int, max_cpgs: int) -> np.ndarray:
    """CpGs of each gene: dense lists (60 %), sparse ones (25 %), none (15 %)."""
    density = rng.choice(3, n_genes, p=[0.60, 0.25, 0.15])
    dense = rng.integers(max(1, round(0.3 * max_cpgs)), max_cpgs + 1, n_genes)
    sparse = rng.integers(1, max(1, round(0.15 * max_cpgs)) + 1, n_genes)
    return np.select([density == 0, density == 1], [dense, sparse], 0)


def _draw_states(rng: np.random.Generator, n_genes: int, n_types: int, switch: float, n_cpg: np.ndarray) -> np.ndarray:
    """Program of each gene in each cell type: the gene's own, or drawn anew; without CpGs none is methylated."""
    shares = np.array([program.share for program in TABLE])
    drawn = rng.choice(len(TABLE), (n_types + 1, n_genes), p=shares / shares.sum())
    shares[METHYLATED] = 0
    others = rng.choice(len(TABLE), n_genes, p=shares / shares.sum())
    drawn = np.where((drawn == METHYLATED) & (n_cpg < 3), others, drawn)
    switched = rng.random((n_types, n_genes)) < switch
    return np.where(switched, drawn[1:], drawn[0])


def _draw_regulation(rng: np.random.Generator, state: np.ndarray, n_tfs: int) -> Regulation:
    """TFs come in modules of about ten that a cell type expresses together; a gene under TFs is bound by one module."""
    n_types, n_genes = state.shape
    n_modules = max(1, n_tfs // 10)
    module = np.arange(n_tfs) % n_modules
    on = rng.random((n_types, n_modules)) < 0.5
    for row in on[on.all(1) | ~on.any(1)] if n_modules > 1 else []:
        row[rng.integers(n_modules)] ^= True
    expressed = on[:, module]
    level = np.where(expressed, rng.gamma(8, 0.5, expressed.shape), rng.gamma(1, 0.3, expressed.shape))
    represses = rng.random(n_modules) < 0.2
    represses[0] = False  # genes are bound by modules of activators; repressors are bound by chance
    mode = np.where(represses[module], -1.0, 1.0)
    bound = rng.random((n_genes, n_tfs)) < min(0.05, 4 / n_tfs)
    under_tfs = (state == TF).any(0)
    own = module == rng.choice(np.flatnonzero(~represses), n_genes)[:, None]
    bound |= under_tfs[:, None] & own & (rng.random(bound.shape) < 0.7)
    binding = np.where(bound, rng.uniform(0.4, 1, bound.shape), 0.0)
    return Regulation(binding, level, expressed, mode, drive=(expressed * mode) @ binding.T)


def _mean_expression(program: np.ndarray, log_strength: np.ndarray, drive: np.ndarray) -> np.ndarray:
    """Noise-free log2-expression; under TFs it rises with their summed activity."""
    base = np.array([entry.expression for entry in TABLE])
    slope = np.array([entry.slope for entry in TABLE])
    activation = 1 / (1 + np.exp(-_STEEPNESS * (drive - _DRIVE)))
    under_tfs = base[QUIESCENT] + (base[TF] - base[QUIESCENT]) * activation
    return np.where((program == TF) | (program == QUIESCENT), under_tfs, base[program] + slope[program] * log_strength)


def _make_obs(
    rng: np.random.Generator,
    names: list[str],
    program: np.ndarray,
    mean: np.ndarray,
    expression: np.ndarray,
    noise: float,
) -> pd.DataFrame:
    """Genes on chromosomes, and the truth about them."""
    import pandas as pd
    from scipy.special import ndtr

    n_types, n_genes = program.shape
    length = np.array(list(_CHROMOSOMES.values()))
    chrom = np.sort(rng.choice(len(length), n_genes, p=length / length.sum()))
    tss = rng.integers(100_000, 1_000_000 * length[chrom] - 100_000)
    order = np.lexsort((tss, chrom))
    gene_id = [f"gene_{i:05d}" for i in range(n_genes)]
    repeated = (program[:, None] == program).sum(1)  # in how many cell types the gene has this program
    usual = np.take_along_axis(program, repeated.argmax(0)[None], axis=0)
    active = mean > SILENCE
    truth = {
        "program": pd.Categorical.from_codes(program.ravel(), categories=NAMES),
        "expression": mean.ravel(),
        "probability": ndtr((mean - np.median(expression, axis=1, keepdims=True)) / noise).ravel(),
        "difference": (mean - mean.mean(0)).ravel(),
        "switched": (program != usual).ravel(),
        "specific": (active & (active.sum(0) == 1)).ravel(),
    }
    return pd.DataFrame(
        {
            k.GENE_ID: gene_id * n_types,
            k.CELL_TYPE: pd.Categorical(np.repeat(names, n_genes), categories=names),
            k.CHROM: np.tile(np.array(list(_CHROMOSOMES))[chrom[order]], n_types),
            k.TSS: np.tile(tss[order], n_types),
            k.STRAND: np.tile(rng.choice(["+", "-"], n_genes), n_types),
            **{k.truth(name): values for name, values in truth.items()},
        },
        index=[f"{gene}@{name}" for name in names for gene in gene_id],
    )


def _one_column(index: pd.DataFrame, values: np.ndarray) -> AnnData:
    import pandas as pd
    from anndata import AnnData

    return AnnData(values[:, None].astype(np.float32), obs=index.copy(), var=pd.DataFrame(index=["expression"]))

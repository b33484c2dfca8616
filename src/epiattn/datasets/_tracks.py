"""What an experiment would measure of planted programs: reads, methylated CpGs, TFs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse
from scipy.signal import lfilter

from epiattn import _keys as k

from ._programs import BACKGROUND, METHYLATED, NEIGHBOUR, TABLE, TF

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

_CORRELATION = 300  # bp over which the reads of neighbouring bins resemble each other
_PROMOTER = 0.2  # share of the window on either side of the TSS in which CpGs silence a gene


class Grid(NamedTuple):
    """Bins of a modality: their starts in bp relative to the TSS, and their width."""

    start: np.ndarray
    size: int

    @property
    def width(self) -> int:
        """Width of the window in bp."""
        return len(self.start) * self.size


class Regulation(NamedTuple):
    """Who binds whom, and where the TFs are expressed."""

    binding: np.ndarray  # (n_genes, n_tfs): evidence in (0, 1], 0 where a TF does not bind
    level: np.ndarray  # (n_types, n_tfs): log2-expression of the TF
    expressed: np.ndarray  # (n_types, n_tfs)
    mode: np.ndarray  # (n_tfs,): 1 activates, -1 represses
    drive: np.ndarray  # (n_types, n_genes): summed activity of the TFs bound and expressed


def make_grids(n_bins: int | Sequence[int], bin_size: int | Sequence[int]) -> dict[str, Grid]:
    """Bins of each signal modality, by its name.

    Raises
    ------
    ValueError
        If the bins of several sizes do not fit into each other.
    """
    sizes = [bin_size] if isinstance(bin_size, int) else list(bin_size)
    counts = [n_bins] if isinstance(n_bins, int) else list(n_bins)
    if len(counts) == 1 and len(sizes) > 1:
        counts = [counts[0] * sizes[0] // size for size in sizes]
    if len(counts) != len(sizes) or min(counts, default=0) < 1 or min(sizes, default=0) < 1:
        msg = f"n_bins={n_bins} and bin_size={bin_size} do not go together: give one positive number of bins for each."
        raise ValueError(msg)
    finest = min(sizes)
    halves = [count * size / 2 for count, size in zip(counts, sizes, strict=True)]
    shifted = any((half - halves[0]) % finest for half in halves)
    if len(set(sizes)) < len(sizes) or any(size % finest for size in sizes) or shifted:
        msg = f"Bins of {sizes} bp ({counts} of them) do not nest: sizes must differ and be multiples of the smallest."
        raise ValueError(msg)
    names = [k.HISTONE, *(f"{k.HISTONE}_{size}bp" for size in sizes[1:])]
    return {
        name: Grid(-(count * size // 2) + size * np.arange(count), size)
        for name, count, size in zip(names, counts, sizes, strict=True)
    }


def simulate_signal(
    rng: np.random.Generator,
    index: pd.DataFrame,
    marks: Sequence[str],
    grids: dict[str, Grid],
    program: np.ndarray,
    strength: np.ndarray,
) -> dict[str, AnnData]:
    """Read counts of every mark, simulated in the finest bins over the widest window and summed into the others."""
    n_types, n_genes = program.shape
    size = min(grid.size for grid in grids.values())
    start = min(int(grid.start[0]) for grid in grids.values())
    end = max(int(grid.start[-1]) + grid.size for grid in grids.values())
    middle = np.arange(start, end, size) + size / 2
    scale = min(1.0, (end - start) / 4_000)  # a narrow window holds the same picture
    shift = 0.35 * rng.standard_normal((n_genes,))  # of a gene's peaks, in widths
    mappability = 0.3 * rng.standard_normal((n_genes,))
    neighbour = _neighbours(rng, n_types, n_genes) * scale
    layers: dict[str, dict] = {name: {} for name in grids}
    for mark in marks:
        depth = 2 ** (0.5 * rng.standard_normal((n_types,)))
        rate = np.full((n_types, n_genes, len(middle)), BACKGROUND.get(mark, 0.4), np.float32)
        causes = np.zeros(rate.shape, np.int8)
        for number, entry in enumerate(TABLE):
            here = program == number
            for peak in entry.peaks:
                if peak.mark == mark:
                    gene = np.nonzero(here)[1]
                    center, width = scale * (peak.center + peak.width * shift[gene]), scale * peak.width
                    distance = (middle - center[:, None]) / width
                    height = peak.height * (strength[here] if peak.effect else np.ones(len(gene)))
                    rate[here] += height[:, None] * np.exp(-0.5 * distance**2)
                    near = np.abs(distance) <= max(1.0, size / 2 / width)
                    causes[here] = np.where(near, peak.effect, causes[here])
        for peak in NEIGHBOUR:
            if peak.mark == mark:
                here = np.isfinite(neighbour)
                distance = (middle - neighbour[here][:, None]) / (scale * peak.width)
                rate[here] += peak.height * np.exp(-0.5 * distance**2)
        rate *= size / 100
        counts = _draw_counts(rng, rate, depth, mappability, size)
        for name, grid in grids.items():
            first, factor = (int(grid.start[0]) - start) // size, grid.size // size
            window = slice(first, first + factor * len(grid.start))
            shape = (n_types * n_genes, len(grid.start), factor)
            layers[name][mark] = counts[..., window].reshape(shape).sum(-1, dtype=np.float32)
            summed = causes[..., window].reshape(shape).sum(-1)
            layers[name][k.truth(mark)] = sparse.csr_matrix(np.sign(summed).astype(np.int8))
    return {name: _make_signal(index, layers[name], grid) for name, grid in grids.items()}


def _neighbours(rng: np.random.Generator, n_types: int, n_genes: int) -> np.ndarray:
    """Where a third of the genes has a neighbour's promoter, in most cell types; NaN elsewhere."""
    place = rng.choice([-1, 1], n_genes) * rng.uniform(1_300, 1_900, n_genes)
    there = (rng.random(n_genes) < 0.33) & (rng.random((n_types, n_genes)) < 0.8)
    return np.where(there, place, np.nan)


def _draw_counts(
    rng: np.random.Generator, rate: np.ndarray, depth: np.ndarray, mappability: np.ndarray, size: int
) -> np.ndarray:
    """Negative binomial counts around a rate, correlated between neighbouring bins."""
    memory = np.exp(-size / _CORRELATION)
    field = rng.standard_normal(rate.shape, dtype=np.float32) * np.sqrt(1 - memory**2)
    field[..., 0] /= np.sqrt(1 - memory**2)
    field = 0.35 * lfilter([1.0], [1.0, -memory], field, axis=-1)
    mean = rate * np.exp(field + mappability[:, None]) * depth[:, None, None]
    dispersed = mean * (rng.standard_gamma(8, rate.shape, dtype=np.float32) / 8)
    return rng.poisson(dispersed)


def _make_signal(index: pd.DataFrame, layers: dict, grid: Grid) -> AnnData:
    import pandas as pd
    from anndata import AnnData

    names = [f"bin_{start:+d}_{grid.size}bp" for start in grid.start]
    var = pd.DataFrame({k.START: grid.start, k.END: grid.start + grid.size}, index=names)
    return AnnData(layers=layers, obs=index.copy(), var=var)


def simulate_methylation(
    rng: np.random.Generator,
    index: pd.DataFrame,
    program: np.ndarray,
    strength: np.ndarray,
    n_cpg: np.ndarray,
    max_cpgs: int,
    window: int,
) -> AnnData:
    """CpG lists: positions belong to the gene, of which each cell type measures nine in ten."""
    import pandas as pd
    from anndata import AnnData

    n_types, n_genes = program.shape
    there = np.arange(max_cpgs) < n_cpg[:, None]
    island = rng.normal(0, 0.25, there.shape)
    spread = rng.uniform(-1, 1, there.shape)
    position = np.where(rng.random(there.shape) < 0.5, np.where(np.abs(island) < 1, island, spread), spread)
    position = np.sort(np.where(there, position, np.inf), axis=1)

    measured = np.tile(there, (n_types, 1)) & (rng.random((n_types * n_genes, max_cpgs)) < 0.9)
    row, slot = np.nonzero(measured)
    number = measured.sum(1)
    place = position[row % n_genes, slot]
    column = np.arange(len(row)) - np.repeat(np.cumsum(number) - number, number)  # left-aligned

    silenced = (program == METHYLATED).ravel()
    level = np.array([entry.methylation for entry in TABLE])[program].ravel()
    level = np.where(silenced, 1 - 0.25 * strength.ravel() ** -0.7, level).clip(0.05, 0.97)
    at_promoter = np.exp(-0.5 * (place / 0.25) ** 4)
    mean = 0.8 + (level[row] - 0.8) * at_promoter
    logit = np.log(mean / (1 - mean)) + 0.4 * rng.normal(size=len(number))[row] + 0.4 * rng.normal(size=len(row))
    reads = 1 + rng.poisson(8, len(row))
    methylated = rng.binomial(reads, 1 / (1 + np.exp(-logit))) / reads

    shape = (len(number), max_cpgs)
    beta, positions = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    beta[row, column], positions[row, column] = methylated, place
    causal = silenced[row] & (np.abs(place) <= _PROMOTER)
    cause = sparse.csr_matrix((np.full(causal.sum(), -1, np.int8), (row[causal], column[causal])), shape=shape)
    adata = AnnData(
        layers={k.BETA: beta, k.POSITION: positions, k.truth("cpg"): cause},
        obs=index.assign(**{k.N_CPG: number.astype(np.int32)}),
        var=pd.DataFrame(index=[f"cpg_{i:03d}" for i in range(max_cpgs)]),
    )
    adata.uns["window"] = window
    return adata


def simulate_tf(index: pd.DataFrame, program: np.ndarray, regulation: Regulation) -> AnnData:
    """TFs: binding is the gene's, expression the cell type's, mode the TF's."""
    import pandas as pd
    from anndata import AnnData

    n_types, n_genes = program.shape
    n_tfs = len(regulation.mode)
    gene, tf = np.nonzero(regulation.binding)
    n_bound = np.bincount(gene, minlength=n_genes)
    indptr = np.concatenate([[0], np.cumsum(np.tile(n_bound, n_types))])
    column = np.tile(tf, n_types)
    cell_type = np.repeat(np.arange(n_types), len(tf))
    causal = (program == TF)[cell_type, np.tile(gene, n_types)] & regulation.expressed[cell_type, column]
    channels = {
        "binding": np.tile(regulation.binding[gene, tf], n_types),
        "expression": regulation.level[cell_type, column],
        "mode": regulation.mode[column],
    }
    shape = (n_types * n_genes, n_tfs)
    values = {name: value.astype(np.float32) for name, value in channels.items()}
    values[k.truth("tf")] = np.where(causal, regulation.mode[column], 0).astype(np.int8)
    layers = {name: sparse.csr_matrix((value, column, indptr), shape=shape) for name, value in values.items()}
    layers[k.truth("tf")].eliminate_zeros()
    return AnnData(
        layers=layers,
        obs=index.copy(),
        var=pd.DataFrame(index=[f"TF{i:03d}" for i in range(n_tfs)]),
    )

"""Signal along the genome, from any file of it, in bins around the TSS."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Self

import numpy as np

from epiattn import _keys as k
from epiattn._logging import logger
from epiattn._registry import signal_formats

from ._chromosomes import match_chromosomes
from ._formats import guess_format
from ._overlaps import Intervals, add_overlaps, regions_of, union
from ._places import check_genes, some
from ._text import check_file
from ._to_mdata import bin_table

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

_GAP = 5_000  # bp that are rather read than jumped over
_BATCH = 50_000  # intervals that are added at once


class Sums(NamedTuple):
    """What the bins of some windows hold, shape ``(n_windows, n_bins)``."""

    value: np.ndarray  # sum of value x overlap
    covered: np.ndarray | None  # covered bases, if they were asked for

    def per_bin(self, bin_size: int, merged: int = 1) -> np.ndarray:
        """Mean of each bin, shape ``(n_windows, n_bins / merged)``, of so many neighbouring bins together."""
        value = _merge(self.value, merged)
        if self.covered is None:
            return (value / (bin_size * merged)).astype(np.float32)
        covered = _merge(self.covered, merged)
        mean = np.full(value.shape, np.nan)
        return np.divide(value, covered, out=mean, where=covered > 0).astype(np.float32)

    def inner(self, n: int) -> Sums:
        """Without the ``n`` outermost bins at either end."""
        kept = slice(n, self.value.shape[1] - n)
        return Sums(self.value[:, kept], None if self.covered is None else self.covered[:, kept])


def _merge(bins: np.ndarray, n: int) -> np.ndarray:
    return bins.reshape(len(bins), -1, n).sum(2)


class Track(ABC):
    """One open file of signal along the genome. A new format is a subclass with ``chromosomes`` and ``read``.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    FileNotFoundError
        If there is no file.
    ValueError
        If it is empty, or is not what it should be.
    """

    #: Whether reading one chromosome is cheap, so that work can be split by chromosome.
    indexed: ClassVar[bool] = True

    def __init__(self, path: str | Path) -> None:
        self.path = check_file(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:  # noqa: B027  # a file that is open only while it is read has nothing to close
        """Close the file."""

    @property
    @abstractmethod
    def chromosomes(self) -> dict[str, int | None]:
        """Chromosomes of the file, and their lengths where the format has them."""

    @abstractmethod
    def read(self, regions: Mapping[str, np.ndarray]) -> Iterator[tuple[str, Intervals]]:
        """Intervals that touch regions, in pieces of limited size.

        Parameters
        ----------
        regions
            Disjoint regions of chromosomes of the file, in order, shape ``(n_regions, 2)``.

        Yields
        ------
        A chromosome and some of its intervals, whose values may be NaN. Each base of an interval in a region comes
        once. With :attr:`indexed`, intervals of different pieces do not overlap.
        """

    def bins(self, chrom: str, starts: np.ndarray, *, bin_size: int, n_bins: int, uncovered: float = 0.0) -> np.ndarray:
        """Signal in the bins of windows on one chromosome.

        Parameters
        ----------
        chrom
            Chromosome, as the file calls it.
        starts
            Where the windows start, in any order; they may reach beyond the ends of the chromosome.
        bin_size
            Width of a bin in bp.
        n_bins
            Bins of a window.
        uncovered
            See :func:`read_signal`.

        Returns
        -------
        float32, shape ``(len(starts), n_bins)``, in the order of the genome.
        """
        ((_, sums),) = self.sums(
            {chrom: np.asarray(starts)}, bin_size=bin_size, n_bins=n_bins, covered=math.isnan(uncovered)
        )
        return sums.per_bin(bin_size)

    def sums(
        self, windows: Mapping[str, np.ndarray], *, bin_size: int, n_bins: int, covered: bool = False
    ) -> Iterator[tuple[str, Sums]]:
        """Sums over the bins of windows on several chromosomes, in one reading of the file.

        Parameters
        ----------
        windows
            Where the windows start, by the file's name of the chromosome.
        bin_size
            Width of a bin in bp.
        n_bins
            Bins of a window.
        covered
            Count covered bases too.

        Yields
        ------
        Each chromosome with its sums.

        Raises
        ------
        ValueError
            If a value is negative or infinite; the message names the place.
        """
        for group in [{name: starts} for name, starts in windows.items()] if self.indexed else [windows]:
            order = {name: np.argsort(starts, kind="stable") for name, starts in group.items()}
            ordered = {name: starts[order[name]] for name, starts in group.items()}
            value = {name: np.zeros((len(starts), n_bins)) for name, starts in group.items()}
            bases = {name: np.zeros_like(each) for name, each in value.items()} if covered else {}
            # Without an index, intervals that come later may cover the same bases.
            batch = math.inf if covered and not self.indexed else _BATCH
            for chrom, intervals in self._batches(ordered, bin_size * n_bins, batch):
                add_overlaps(value[chrom], ordered[chrom], intervals, bin_size=bin_size)
                if covered:
                    add_overlaps(bases[chrom], ordered[chrom], union(intervals), bin_size=bin_size)
            for name in group:
                rank = np.argsort(order[name])
                yield name, Sums(value.pop(name)[rank], bases.pop(name)[rank] if covered else None)

    def _batches(self, windows: Mapping[str, np.ndarray], width: int, n: float) -> Iterator[tuple[str, Intervals]]:
        """Intervals near windows, checked and without NaN: ``n`` or more of a chromosome at once, and the last ones."""
        lengths = self.chromosomes
        regions = {name: regions_of(starts, width, gap=_GAP, length=lengths[name]) for name, starts in windows.items()}
        kept: dict[str, list[Intervals]] = {name: [] for name in windows}
        number = dict.fromkeys(windows, 0)
        for chrom, piece in self.read(regions):
            kept[chrom].append(piece)
            number[chrom] += len(piece.start)
            if number[chrom] >= n:
                yield chrom, self._join(chrom, kept[chrom])
                kept[chrom], number[chrom] = [], 0
        for chrom, pieces in kept.items():
            if pieces:
                yield chrom, self._join(chrom, pieces)

    def _join(self, chrom: str, pieces: list[Intervals]) -> Intervals:
        start, end, value = map(np.concatenate, zip(*pieces, strict=True))
        if (bad := (value < 0) | np.isinf(value)).any():
            first = int(np.argmax(bad))
            msg = f"{self.path}: {chrom}:{start[first]}-{end[first]} has the value {value[first]:g}. {POSITIVE}."
            raise ValueError(msg)
        intervals = Intervals(start, end, value)
        return intervals.take(~missing) if (missing := np.isnan(value)).any() else intervals


#: What to do about negative signal.
POSITIVE = (
    "Signal must be finite and not negative: take the track of coverage, fold change or -log10(p) instead of a log "
    "ratio or a difference, or set what is negative to 0"
)


def bin_signal(
    path: str | Path,
    format: str,
    genes: pd.DataFrame,
    *,
    window: int | Sequence[int],
    bin_sizes: Sequence[int],
    uncovered: float = 0.0,
) -> dict[int, np.ndarray]:
    """Signal of one file around the TSS of each gene, in bins of several sizes from one reading.

    Parameters
    ----------
    path
        The file.
    format
        One of :data:`~epiattn._registry.signal_formats`.
    genes
        Table of genes, as :func:`read_annotation` gives it.
    window
        Bases on each side of the TSS: one number, or one for each bin size.
    bin_sizes
        Widths of the bins in bp.
    uncovered
        See :func:`read_signal`.

    Returns
    -------
    By bin size: float32, shape ``(n_genes, 2 * window // bin_size)``, from 5' to 3', in the order of the genes.

    Raises
    ------
    ValueError
        See :func:`read_signal`.
    """
    genes = check_genes(genes)
    windows = check_bins(window, bin_sizes)
    if not (uncovered == 0 or math.isnan(uncovered)):
        msg = f"uncovered must be 0 or nan, not {uncovered!r}."
        raise ValueError(msg)
    widest = max(windows.values())
    # All other bins are some of these together, and all other windows are cut at their borders.
    finest = math.gcd(*bin_sizes, *(widest - each for each in windows.values()))
    result = {size: np.full((len(genes), 2 * each // size), uncovered, np.float32) for size, each in windows.items()}
    tss = genes[k.TSS].to_numpy(np.int64)
    minus = genes[k.STRAND].to_numpy() == "-"
    with signal_formats[format].load()(path) as track:
        matched = match_chromosomes(genes[k.CHROM].unique(), track.chromosomes, where=str(path))
        chrom = genes[k.CHROM].map(matched)  # missing where the file lacks it
        _check_ends(track, genes, chrom, widest, max(windows, key=windows.__getitem__))
        rows = {name: np.flatnonzero(chrom == name) for name in dict.fromkeys(matched.values())}
        starts = {name: tss[each] - widest for name, each in rows.items()}
        n_bins = 2 * widest // finest
        for name, sums in track.sums(starts, bin_size=finest, n_bins=n_bins, covered=math.isnan(uncovered)):
            for size, values in result.items():
                outside = (widest - windows[size]) // finest
                values[rows[name]] = sums.inner(outside).per_bin(finest, size // finest)
    for values in result.values():
        values[minus] = values[minus, ::-1]
    return result


def check_bins(window: int | Sequence[int], bin_sizes: Sequence[int]) -> dict[int, int]:
    """The window of each bin size; one window is that of all.

    Raises
    ------
    ValueError
        If a window cannot be cut into bins, or there are more or fewer windows than bin sizes.
    """
    windows = list(window) if isinstance(window, Sequence) else [window]
    windows = windows * len(bin_sizes) if len(windows) == 1 else windows
    if len(windows) != len(bin_sizes):
        msg = f"window must be one number, or one for each bin size: there are {windows} for {list(bin_sizes)}."
        raise ValueError(msg)
    for each, size in zip(windows, bin_sizes, strict=True):
        if each < 1 or size < 1 or 2 * each % size:
            msg = (
                f"Bins of {size} bp do not fit into a window of {each} bp on each side of the TSS: "
                f"{2 * each} must be a multiple of the bin size."
            )
            raise ValueError(msg)
    return dict(zip(bin_sizes, windows, strict=True))


def _check_ends(track: Track, genes: pd.DataFrame, chrom: pd.Series, window: int, bin_size: int) -> None:
    """Refuse TSSs beyond the end of their chromosome, report bins beyond one."""
    length = chrom.map(track.chromosomes).to_numpy(np.float64)  # NaN where it is not known
    tss = genes[k.TSS].to_numpy(np.int64)
    if (out := tss >= length).any():
        first = int(np.argmax(out))
        msg = (
            f"{track.path}: the TSS of {int(out.sum())} of {len(genes)} genes lies beyond the end of the chromosome "
            f"({some(genes.index[out])}; {chrom.iloc[first]} has {length[first]:,.0f} bp there, the TSS is at "
            f"{tss[first]:,}): the file is probably of another genome build than the genes."
        )
        raise ValueError(msg)
    before = np.maximum(window - tss, 0) // bin_size
    after = np.nan_to_num(np.maximum(tss + window - length, 0)) // bin_size
    beyond = np.where(chrom.isna(), 0, before + after)
    if beyond.any():
        logger.warning(
            "%s: %d bins of %d genes lie beyond the end of a chromosome and count as uncovered (%s).",
            track.path,
            beyond.sum(),
            (beyond > 0).sum(),
            some(genes.index[beyond > 0]),
        )


def read_signal(
    files: str | Path | Mapping[str, str | Path],
    genes: pd.DataFrame,
    *,
    window: int = 2_000,
    bin_size: int = 100,
    formats: str | Mapping[str, str] | None = None,
    uncovered: float = 0.0,
) -> AnnData:
    r"""Read signal around the TSS of every gene from bigWig, bedGraph, BED, narrowPeak, broadPeak, bigBed or BAM files.

    A bin's value is the sum of value x overlap of all intervals that touch it, divided by its width: bases that
    nothing covers count as 0, overlapping peaks add. Windows are ``[tss - window, tss + window)`` on either strand,
    and run from 5' to 3'.

    Parameters
    ----------
    files
        A file for each mark; or one file, whose name up to the first ``.`` is the name of its mark.
    genes
        Table of genes, as :func:`read_annotation` gives it: ``chrom``, ``tss`` (0-based) and ``strand``.
    window
        Bases on each side of the TSS.
    bin_size
        Width of a bin in bp.
    formats
        Format of all files, or of some marks: ``"bigwig"``, ``"bigbed"``, ``"bedgraph"``, ``"bed"``,
        ``"narrowpeak"``, ``"broadpeak"`` or ``"bam"``. ``None``: told from what the files begin with and their names.
        Of a BED file the score (column 5) is the value, or 1 where it has none; of narrowPeak and broadPeak the signal
        (column 7); of BAM the number of reads.
    uncovered
        ``nan``: a bin's value is the mean over the covered bases alone, and NaN where there are none (what pyBigWig
        calls exact statistics). The models of this package take 0.

    Returns
    -------
    One layer for each mark, float32, shape ``(n_genes, n_bins)``; ``obs`` is ``genes``, and ``var`` has ``start`` and
    ``end`` of the bins relative to the TSS. Bins beyond the end of a chromosome, and genes on chromosomes that a file
    lacks, are uncovered and reported.

    Raises
    ------
    FileNotFoundError
        If a file is not there.
    ValueError
        If a file is empty, cut off or not of its format, has a malformed line or a negative value, shares no
        chromosome with the genes, or a TSS lies beyond the end of its chromosome (another genome build).

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import pandas as pd
    >>> import epiattn as attn
    >>> genes = pd.DataFrame({"chrom": "chr1", "tss": [1_000, 5_000], "strand": ["+", "-"]}, index=["A", "B"])
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "H3K4me3.bedGraph"
    ...     _ = path.write_text("chr1\t1000\t1050\t6\nchr1\t4900\t5000\t2\n")
    ...     adata = attn.io.read_signal(path, genes, window=200)
    >>> adata.layers["H3K4me3"]
    array([[0., 0., 3., 0.],
           [0., 0., 2., 0.]], dtype=float32)
    """
    from anndata import AnnData

    if not isinstance(files, Mapping):
        files = {Path(files).name.split(".")[0]: files}
    if not files:
        msg = "files names no file: give a path, or {mark: path}."
        raise ValueError(msg)
    if not isinstance(formats, str) and (unknown := sorted(set(formats or ()) - set(files))):
        msg = f"formats names {unknown}, but the marks are {list(files)}."
        raise ValueError(msg)
    layers = {}
    for mark, path in files.items():
        format = formats if isinstance(formats, str) else (formats or {}).get(mark) or guess_format(path, "histone")
        bins = bin_signal(path, format, genes, window=window, bin_sizes=(bin_size,), uncovered=uncovered)
        layers[mark] = bins[bin_size]
    return AnnData(layers=layers, obs=genes.copy(), var=bin_table(2 * window // bin_size, bin_size))

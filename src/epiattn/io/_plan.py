"""What a sample sheet asks to read, in pieces, and how the pieces become one object."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

from epiattn import _keys as k
from epiattn._compat import layer_names, new_mudata
from epiattn._engine import Arrays, Pieces, Task, fingerprint
from epiattn._keys import BINDING, EXPRESSION
from epiattn._registry import signal_formats
from epiattn.pp._join import stack

from ._chromosomes import match_chromosomes
from ._edges import read_edges
from ._expression import read_expression
from ._methylation import CpGLists, cpg_lists, make_methylation, pool
from ._output import Layer
from ._places import check_genes, some
from ._regulons import read_regulons
from ._sheet import EVERY_CELL_TYPE
from ._signal import bin_signal, check_bins
from ._sniff import REGULONS
from ._tf_peaks import highest_peaks
from ._tfs import keep_expressed, make_tf
from ._to_mdata import GENE_NAME, bin_table, coordinates, make_expression, make_obs

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

SIGNAL = ("histone", "accessibility")
METHYLATION, TF, RNA = "methylation", "tf", "rna"  # assays of the sheet
PEAK = "peak"  # binding by peaks, where the sheet has regulons too
_PLACES = [k.CHROM, k.TSS, k.STRAND]


class Track(NamedTuple):
    """One file of the sheet, and the pieces in which it is read, each with the genes that it is about."""

    row: Any  # of the sheet
    pieces: list[tuple[np.ndarray, Task]]


class Plan:
    """What there is to read, and how it becomes one object.

    Parameters
    ----------
    sheet
        As :func:`epiattn.io.read_sheet` gives it.
    genes
        As :func:`epiattn.io.read_annotation` gives it.
    window, bin_sizes
        Bases on each side of the TSS (one number, or one for each bin size), and of a bin.
    lists
        Further parameters of :func:`epiattn.io._methylation.cpg_lists`.

    Raises
    ------
    ValueError
        If bins do not fit, there is no cell type, or a file shares no chromosome with the genes.
    """

    def __init__(
        self,
        sheet: pd.DataFrame,
        genes: pd.DataFrame,
        window: int | Sequence[int],
        bin_sizes: tuple[int, ...],
        lists: dict[str, Any],
    ) -> None:
        if len(set(bin_sizes)) < len(bin_sizes) or not bin_sizes:
            msg = f"bin_size must be one size or several different ones, not {bin_sizes}."
            raise ValueError(msg)
        check_genes(genes)
        self._tables: dict[str, pd.DataFrame] = {}
        self._regulons: dict[str, AnnData | None] = {}
        #: By bin size; the first one is that of methylation and of peaks of TFs too.
        self.windows = check_bins(window, bin_sizes)
        self.window = self.windows[bin_sizes[0]]
        self.sheet, self.genes, self.bin_sizes, self.lists = sheet, genes, bin_sizes, {"window": self.window, **lists}
        self.cell_types = [name for name in dict.fromkeys(sheet["cell_type"]) if name != EVERY_CELL_TYPE]
        if not self.cell_types:
            msg = f"The sheet names no cell type, only {EVERY_CELL_TYPE!r}."
            raise ValueError(msg)
        self.rows = [
            row._replace(cell_type=name)
            for row in sheet.itertuples(index=False, name="Row")
            for name in (self.cell_types if row.cell_type == EVERY_CELL_TYPE else [row.cell_type])
        ]
        self.signal = [self._signal_track(row) for row in self._of(*SIGNAL)]
        self.methylation = [self._methylation_track(row) for row in self._of(METHYLATION)]
        self.peaks = [self._peaks_track(row) for row in self._of(TF) if row.format != REGULONS]
        self.marks = list(dict.fromkeys(track.row.target for track in self.signal))

    @property
    def tasks(self) -> list[Task]:
        """All that can be done in parallel."""
        return [task for track in (*self.signal, *self.methylation, *self.peaks) for _, task in track.pieces]

    def _of(self, *assays: str) -> list[Any]:
        return [row for row in self.rows if row.assay in assays]

    # --- what there is to read ---

    def _signal_track(self, row: Any) -> Track:
        """By chromosome where the format has an index, else the file as a whole."""
        path, every = Path(row.path), np.arange(len(self.genes))
        if not signal_formats[row.format].load().indexed:
            return Track(row, [(every, self._signal_task(row, path, self.genes, ""))])
        with signal_formats[row.format].load()(path) as track:
            names = match_chromosomes(self.genes[k.CHROM], track.chromosomes, where=str(path))
        pieces = []
        for chrom, found in names.items():
            rows = np.flatnonzero(self.genes[k.CHROM] == chrom)
            genes = self.genes.iloc[rows].assign(**{k.CHROM: found})
            pieces.append((rows, self._signal_task(row, path, genes, f" on {chrom}")))
        return Track(row, pieces)

    def _signal_task(self, row: Any, path: Path, genes: pd.DataFrame, where: str) -> Task:
        arguments = (path, row.format, genes[_PLACES], tuple(self.windows.values()), self.bin_sizes)
        key = fingerprint(_read_signal.__name__, path, *arguments[1:])
        return Task(f"{row.target} of {row.cell_type}{where} ({path})", key, _read_signal, arguments)

    def _methylation_track(self, row: Any) -> Track:
        return self._whole("methylation", row, _read_methylation, self.lists)

    def _peaks_track(self, row: Any) -> Track:
        return self._whole(f"peaks of {row.target}", row, _read_peaks, self.window)

    def _whole(self, name: str, row: Any, function: Callable[..., Arrays], parameters: Any) -> Track:
        """A file that is read in one piece."""
        path = Path(row.path)
        arguments = (path, row.format, self.genes[_PLACES], parameters)
        key = fingerprint(function.__name__, path, *arguments[1:])
        task = Task(f"{name} of {row.cell_type} ({path})", key, function, arguments)
        return Track(row, [(np.arange(len(self.genes)), task)])

    def read_tables(self) -> None:
        """Expression and regulons, which take no time: what is wrong with them is said before tracks are read."""
        if self._of(RNA):
            self._expression_of_genes()
        for cell_type in self.cell_types:
            self._regulons_of(cell_type)

    # --- what becomes of it ---

    def put_together(self, pieces: Pieces) -> tuple[MuData, Iterator[Layer]]:
        """The object without its layers of signal, and these one by one."""
        from epiattn.pp import label

        n_genes, n_types = len(self.genes), len(self.cell_types)
        rows = np.tile(np.arange(n_genes), n_types)
        gene_id = self.genes.index.astype(str).to_numpy(object)[rows]
        obs = make_obs(gene_id, np.repeat(self.cell_types, n_genes), coordinates(self.genes, rows))
        modalities: dict[str, AnnData] = {}
        for i, bin_size in enumerate(self.bin_sizes if self.marks else ()):
            modalities[_modality(i, bin_size)] = self._empty_signal(obs.index, bin_size)
        if self.methylation:
            modalities[k.METHYLATION] = self._make_methylation(obs.index, pieces)
        if self._of(TF):
            modalities[k.TF] = self._make_tf(obs.index, pieces)
        if self._of(RNA):
            modalities[k.RNA] = make_expression(obs.index, self._expression_of_genes().to_numpy().T.ravel())
        sizes = {"window": np.array(list(self.windows.values())), "bin_size": np.array(self.bin_sizes)}
        notes = {"sheet": self.sheet.to_csv(index=False), **sizes}
        mdata = new_mudata(modalities, obs)
        mdata.uns[k.PACKAGE] = {"schema_version": k.SCHEMA_VERSION, "built": notes}
        return (label(mdata) if self._of(RNA) else mdata), self._signal_layers(pieces)

    def _signal_layers(self, pieces: Pieces) -> Iterator[Layer]:
        for i, bin_size in enumerate(self.bin_sizes):
            for mark in self.marks:
                yield Layer(_modality(i, bin_size), mark, self._signal_layer(mark, bin_size, pieces))

    def _signal_layer(self, mark: str, bin_size: int, pieces: Pieces) -> np.ndarray:
        """Weighted mean of the replicates of each cell type; 0 where there is none."""
        layer = np.zeros((len(self.cell_types), len(self.genes), 2 * self.windows[bin_size] // bin_size), np.float32)
        for block, cell_type in zip(layer, self.cell_types, strict=True):
            tracks = [t for t in self.signal if t.row.target == mark and t.row.cell_type == cell_type]
            total = sum(track.row.weight for track in tracks)
            for track in tracks:
                factor = np.float32(track.row.scale * track.row.weight / total)
                for rows, task in track.pieces:
                    block[rows] += factor * pieces.load(task)[str(bin_size)]
        return layer.reshape(-1, layer.shape[2])

    def _empty_signal(self, index: pd.Index, bin_size: int) -> AnnData:
        from anndata import AnnData

        adata = AnnData(obs=pd.DataFrame(index=index), var=bin_table(2 * self.windows[bin_size] // bin_size, bin_size))
        here = {(track.row.cell_type, track.row.target) for track in self.signal}
        _mark_measured(adata, self.marks, [[(name, mark) in here for mark in self.marks] for name in self.cell_types])
        return adata

    def _make_methylation(self, index: pd.Index, pieces: Pieces) -> AnnData:
        """Replicates are pooled by their reads; a cell type without methylation has no CpGs."""
        parts = []
        for cell_type in self.cell_types:
            tracks = [track for track in self.methylation if track.row.cell_type == cell_type]
            lists = [CpGLists(**pieces.load(task)) for track in tracks for _, task in track.pieces]
            parts.append(pool(lists, n_genes=len(self.genes), max_cpgs=self.lists["max_cpgs"]))
        return make_methylation(parts, index, window=self.lists["window"])

    # --- expression and TFs ---

    @cached_property
    def expression(self) -> dict[str, pd.Series]:
        """log2(x + 1) of all genes that the tables know, by cell type: weighted mean of the replicates."""
        tables = {path: read_expression(path) for path in dict.fromkeys(row.path for row in self._of(RNA))}
        columns = {}
        for name in self.cell_types:
            if rows := [row for row in self._of(RNA) if row.cell_type == name]:
                total = sum(row.weight for row in rows)
                values = [_column(tables[row.path], row) * (row.weight / total) for row in rows]
                columns[name] = sum(values[1:], values[0])
        return columns

    def _expression_of_genes(self) -> pd.DataFrame:
        """Genes x cell types; genes are looked up by id, or by name if the tables have names."""
        tables = {}
        for cell_type in self.cell_types:
            known = self.expression.get(cell_type)
            if known is None:
                tables[cell_type] = np.full(len(self.genes), np.nan)
                continue
            keys = [self.genes.index, *([pd.Index(self.genes[GENE_NAME])] if GENE_NAME in self.genes else [])]
            values = [known.reindex(key).to_numpy() for key in keys]
            best = max(values, key=lambda found: np.isfinite(found).sum())
            if not np.isfinite(best).any():
                paths = ", ".join(row.path for row in self._of(RNA) if row.cell_type == cell_type)
                msg = (
                    f"{paths}: the expression of none of the genes ({some(self.genes.index)}) is known; the table has "
                    f"{some(known.index)}."
                )
                raise ValueError(msg)
            tables[cell_type] = best
        return pd.DataFrame(tables, index=self.genes.index)

    def _make_tf(self, index: pd.Index, pieces: Pieces) -> AnnData:
        """Channels of all cell types; what one lacks is marked."""
        from anndata import AnnData

        by_type = [self._tf_channels(cell_type, pieces) for cell_type in self.cell_types]
        tfs = pd.Index(sorted({tf for channels in by_type for names, _ in channels.values() for tf in names}))
        channels = list(dict.fromkeys(channel for each in by_type for channel in each))
        sizes = [len(self.genes)] * len(by_type)
        layers = {}
        for channel in channels:
            there = [each.get(channel) for each in by_type]
            places = [tfs.get_indexer(part[0]) if part else np.arange(len(tfs)) for part in there]
            layers[channel] = stack([part and part[1] for part in there], sizes, places, len(tfs), 0.0)
        adata = AnnData(layers=layers, obs=pd.DataFrame(index=index), var=pd.DataFrame(index=tfs))
        _mark_measured(adata, channels, [[channel in each for channel in channels] for each in by_type])
        return adata

    def _tf_channels(self, cell_type: str, pieces: Pieces) -> dict[str, tuple[list[str], sparse.csr_matrix]]:
        """TFs and values of each channel of one cell type, from regulons and from peaks."""
        regulons = self._regulons_of(cell_type)
        parts = [] if regulons is None else [regulons]
        if tracks := [track for track in self.peaks if track.row.cell_type == cell_type]:
            peaks = self._bound(tracks, self._expression_in(cell_type), pieces)
            if any(row.format == REGULONS for row in self._of(TF)):
                peaks.layers[PEAK] = peaks.layers.pop(BINDING)
            parts.append(peaks)
        channels: dict[str, tuple[list[str], sparse.csr_matrix]] = {}
        for part in parts:
            for name in layer_names(part):
                names, values = list(part.var_names), part.layers[name]
                channels[name] = _join(channels[name], (names, values)) if name in channels else (names, values)
        return channels

    def _expression_in(self, cell_type: str) -> pd.DataFrame | None:
        return self.expression[cell_type].to_frame() if cell_type in self.expression else None

    def _regulons_of(self, cell_type: str) -> AnnData | None:
        """The TFs of a cell type by its table of regulons, read once; ``None`` if it has none."""
        if cell_type not in self._regulons:
            tables = [row.path for row in self._of(TF) if row.format == REGULONS and row.cell_type == cell_type]
            if len(tables) > 1:
                msg = f"{cell_type!r} has several tables of regulons ({', '.join(tables)}): put them into one."
                raise ValueError(msg)
            found = None
            for path in tables:
                try:
                    found = read_regulons(self._edges(path), self.genes, expression=self._expression_in(cell_type))
                except ValueError as error:
                    msg = f"{path}, of {cell_type!r}: {error}"
                    raise ValueError(msg) from error
            self._regulons[cell_type] = found
        return self._regulons[cell_type]

    def _edges(self, path: str) -> pd.DataFrame:
        """A table of regulons, read once."""
        if path not in self._tables:
            self._tables[path] = read_edges(path)
        return self._tables[path]

    def _bound(self, tracks: list[Track], expression: pd.DataFrame | None, pieces: Pieces) -> AnnData:
        """Highest peak of each TF around each TSS: weighted mean of the replicates."""
        tfs = sorted({track.row.target for track in tracks})
        level = None
        if expression is not None:
            tfs, level = keep_expressed(tfs, expression, None, self.genes, required=False)
        signal = np.zeros((len(self.genes), len(tfs)))
        for i, tf in enumerate(tfs):
            replicates = [track for track in tracks if track.row.target == tf]
            total = sum(track.row.weight for track in replicates)
            for track in replicates:
                ((_, task),) = track.pieces
                signal[:, i] += track.row.weight / total * np.maximum(pieces.load(task)["highest"], 0)
        row, column = signal.nonzero()
        channels = {BINDING: signal[row, column]}
        if level is not None:
            channels[EXPRESSION] = level[column]
        return make_tf(self.genes.index, tfs, (row, column), channels)


def _modality(i: int, bin_size: int) -> str:
    """Name of a resolution: the first one is the main one."""
    return k.HISTONE if i == 0 else f"{k.HISTONE}_{bin_size}bp"


def _read_signal(
    path: Path, format: str, genes: pd.DataFrame, windows: tuple[int, ...], bin_sizes: tuple[int, ...]
) -> Arrays:
    """A piece of a track, by bin size; runs in a worker."""
    bins = bin_signal(path, format, genes, window=windows, bin_sizes=bin_sizes)
    return {str(size): values for size, values in bins.items()}


def _read_methylation(path: Path, format: str, genes: pd.DataFrame, lists: dict[str, Any]) -> Arrays:
    """The lists of a file; runs in a worker."""
    return cpg_lists(path, format, genes, **lists)._asdict()


def _read_peaks(path: Path, format: str, genes: pd.DataFrame, window: int) -> Arrays:
    """The highest peak around each TSS; runs in a worker."""
    return {"highest": highest_peaks(path, format, genes, window=window)}


def _join(
    first: tuple[list[str], sparse.csr_matrix], second: tuple[list[str], sparse.csr_matrix]
) -> tuple[list[str], sparse.csr_matrix]:
    """Two sources of one channel, the expression of TFs: where both know a TF at a gene, they agree."""
    tfs = pd.Index(first[0]).union(pd.Index(second[0]))
    placed = [
        stack([values], [values.shape[0]], [tfs.get_indexer(names)], len(tfs), 0.0) for names, values in (first, second)
    ]
    return list(tfs), sparse.csr_matrix(placed[0].maximum(placed[1]))


def _mark_measured(adata: AnnData, channels: list[str], by_cell_type: list[list[bool]]) -> None:
    """Note which channels each cell type has, unless all have all."""
    table = np.repeat(np.array(by_cell_type, bool), adata.n_obs // len(by_cell_type), axis=0)
    if not table.all():
        adata.obsm[k.MEASURED] = pd.DataFrame(table, index=adata.obs_names, columns=channels)


def _column(table: pd.DataFrame, row: Any) -> pd.Series:
    """The column of an expression table that a row of the sheet means."""
    wanted = row.target or row.cell_type
    if wanted in table:
        return table[wanted]
    if len(table.columns) == 1 and not row.target:
        return table.iloc[:, 0]
    some = ", ".join(map(str, table.columns[:5]))
    msg = f"{row.path}: no column {wanted!r} for cell type {row.cell_type!r} among {some}, …; name it as target."
    raise ValueError(msg)

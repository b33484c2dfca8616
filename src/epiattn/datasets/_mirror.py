"""A small mirror of public servers, made of simulated data: files in exactly their formats, at exactly their paths.

For tests and the tutorial: what the readers give back must be what was simulated.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from epiattn import _keys as k
from epiattn._modalities import find_channels

from ._deepchrome import ARCHIVE, RECORD
from ._roadmap_files import ANNOTATION, EXPRESSION, methylation_file, signal_file

if TYPE_CHECKING:
    import pandas as pd
    from mudata import MuData

_GAP = 2_000  # bp between windows
_PEAK = 3.0  # reads in a bin from which it belongs to a peak
_LEVELS = {"A": 1.0, "B": 0.8, "C": 0.6, "D": 0.4, "E": 0.2}
_DEEPCHROME = ("H3K27me3", "H3K36me3", "H3K4me1", "H3K4me3", "H3K9me3")


def write_roadmap(
    folder: Path,
    mdata: MuData,
    *,
    signals: Sequence[str] = ("pvalue",),
    methylation: str = "WGBS",
    read_coverage: bool = False,
) -> pd.DataFrame:
    """Write an object of :func:`epiattn.datasets.simulate`, whose cell types are ``E003`` …, as the server has it.

    The last genes stand for the TFs: they carry their names and, as expression, their level in each cell type; the
    edges of TFs are in ``regulons.tsv``, in the columns of DoRothEA. Windows are laid side by side, so that the signal
    of a gene is its own.

    Parameters
    ----------
    folder
        Where to write; it becomes the ``base_url``.
    mdata
        The object.
    signals, methylation, read_coverage
        What to write of what :func:`epiattn.datasets.roadmap` can ask for.

    Returns
    -------
    Table of genes, in the order of the object: ``gene_name``, ``chrom``, ``tss``, ``strand``; the index is the id.
    """
    genes = _genes(mdata)
    lengths = {str(chrom): int(tss.max()) + 20_000 for chrom, tss in genes.groupby(k.CHROM)[k.TSS]}
    n_genes = len(genes)
    _write_gtf(_place(folder, ANNOTATION.path), genes)
    _write_rpkm(_place(folder, EXPRESSION.path), mdata, genes)
    _write_regulons(folder / "regulons.tsv", mdata, genes)
    histone = mdata[k.HISTONE]
    for i, name in enumerate(mdata.obs[k.CELL_TYPE].cat.categories):
        rows = slice(i * n_genes, (i + 1) * n_genes)
        for mark in find_channels(mdata)[k.HISTONE]:
            values = np.asarray(histone.layers[mark][rows], float)
            intervals = list(_intervals(genes, values, histone.var[k.START].to_numpy(), histone.var[k.END].to_numpy()))
            for signal in signals:
                place = _place(folder, signal_file(name, mark, signal).path)
                _write_peaks(place, intervals) if signal == "peaks" else _write_bigwig(place, intervals, lengths)
        cpgs = cpgs_of(mdata, genes, rows)
        fractions = [(*where, float(beta)) for where, (beta, _) in cpgs.items()]
        _write_bigwig(_place(folder, methylation_file(name, methylation).path), fractions, lengths)
        if read_coverage:
            reads = [(*where, float(n)) for where, (_, n) in cpgs.items()]
            _write_bigwig(_place(folder, methylation_file(name, methylation, "ReadCoverage").path), reads, lengths)
    return genes


def cpgs_of(mdata: MuData, genes: pd.DataFrame, rows: slice) -> dict[tuple[str, int, int], tuple[np.float32, int]]:
    """Level and reads of each CpG of a cell type, in the order of the genome; of two at one place the first counts."""
    adata = mdata[k.METHYLATION]
    window = int(adata.uns["window"])
    found: dict[tuple[str, int, int], tuple[np.float32, int]] = {}
    counts = adata.obs[k.N_CPG].to_numpy()[rows]
    for (_, gene), n_cpg, beta, position in zip(
        genes.iterrows(), counts, adata.layers[k.BETA][rows], adata.layers[k.POSITION][rows], strict=True
    ):
        sign = 1 if gene[k.STRAND] == "+" else -1
        # Even distances, so that no CpG begins at the second base of another.
        start = gene[k.TSS] + sign * 2 * np.rint(position[:n_cpg] * (window - 2) / 2).astype(int)
        for place, level in zip(start, beta[:n_cpg], strict=True):
            found.setdefault((gene[k.CHROM], int(place), int(place) + 2), (level, 1 + int(place) % 17))
    return dict(sorted(found.items()))


def write_deepchrome(folder: Path, mdata: MuData, *, checksum: str | None = None) -> None:
    """Write the archive of DeepChrome and what Zenodo says about it; marks that were not simulated are 0.

    Parameters
    ----------
    folder
        Where to write; it becomes the ``base_url``.
    mdata
        An object of :func:`epiattn.datasets.simulate`, whose cell types are named ``E003`` …
    checksum
        That the record names; ``None``: the right one.
    """
    archive = _place(folder, ARCHIVE.path)
    n_genes = mdata.n_obs // len(mdata.obs[k.CELL_TYPE].cat.categories)
    parts = {"train.csv": range(0, n_genes, 3), "valid.csv": range(1, n_genes, 3), "test.csv": range(2, n_genes, 3)}
    with tarfile.open(archive, "w:gz") as tar:
        for i, name in enumerate(mdata.obs[k.CELL_TYPE].cat.categories):
            for part, genes in parts.items():
                text = "".join(_deepchrome_rows(mdata, i * n_genes, genes)).encode()
                member = tarfile.TarInfo(f"data/{name}/classification/{part}")
                member.size = len(text)
                tar.addfile(member, io.BytesIO(text))
    known = checksum or f"md5:{hashlib.md5(archive.read_bytes(), usedforsecurity=False).hexdigest()}"
    record = {"files": [{"key": archive.name, "size": archive.stat().st_size, "checksum": known}]}
    _place(folder, RECORD.path).write_text(json.dumps(record), encoding="utf-8")


def _deepchrome_rows(mdata: MuData, first: int, genes: Sequence[int]) -> Iterator[str]:
    """A line for each bin of a gene: gene, bin, five counts, label."""
    adata = mdata[k.HISTONE]
    there = find_channels(mdata)[k.HISTONE]
    for gene in genes:
        counts = [
            adata.layers[mark][first + gene].astype(int) if mark in there else np.zeros(adata.n_vars, int)
            for mark in _DEEPCHROME
        ]
        label = int(mdata.obs[k.LABEL].iloc[first + gene] == k.HIGH)
        for number, row in enumerate(np.transpose(counts), start=1):
            yield f"{gene + 1},{number},{','.join(map(str, row))},{label}\n"


# --- parts of the mirror ----------------------------------------------------------------------------------------------


def _place(folder: Path, path: str) -> Path:
    place = folder / path
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def _genes(mdata: MuData) -> pd.DataFrame:
    """Genes of the first cell type, with ids of Ensembl, names, and windows that do not overlap."""
    import pandas as pd

    obs = mdata.obs[mdata.obs[k.CELL_TYPE] == mdata.obs[k.CELL_TYPE].cat.categories[0]]
    n_tfs = mdata[k.TF].n_vars
    names = [f"GENE{i:04d}" for i in range(len(obs) - n_tfs)] + list(mdata[k.TF].var_names)
    reach = int(mdata[k.HISTONE].var[[k.START, k.END]].abs().to_numpy().max())
    rank = obs.groupby(k.CHROM, observed=True).cumcount().to_numpy()
    return pd.DataFrame(
        {
            "gene_name": names,
            k.CHROM: obs[k.CHROM].astype(str).to_numpy(),
            k.TSS: 10_000 + reach + rank * (2 * reach + _GAP),
            k.STRAND: obs[k.STRAND].astype(str).to_numpy(),
        },
        index=pd.Index([f"ENSG{i:011d}" for i in range(1, len(obs) + 1)], name=k.GENE_ID),
    )


def _write_gtf(path: Path, genes: pd.DataFrame) -> None:
    """Genes with a transcript and an exon each, and one gene that codes for no protein."""
    other = genes.iloc[:1].set_axis(["ENSG00000999999"]).assign(gene_name="NONCODING")
    with gzip.open(path, "wt", encoding="utf-8") as file:
        for table, biotype in ((genes, "protein_coding"), (other, "lincRNA")):
            for gene_id, gene in table.iterrows():
                ahead = gene[k.STRAND] == "+"
                start, end = (gene[k.TSS] + 1, gene[k.TSS] + 900) if ahead else (gene[k.TSS] - 898, gene[k.TSS] + 1)
                for feature in ("gene", "transcript", "exon"):
                    transcript = f"{gene_id}.2" if feature == "gene" else f"ENST{str(gene_id)[4:]}.1"
                    file.write(
                        f"{gene[k.CHROM]}\tENSEMBL\t{feature}\t{start}\t{end}\t.\t{gene[k.STRAND]}\t.\t"
                        f'gene_id "{gene_id}.2"; transcript_id "{transcript}"; gene_type "{biotype}"; '
                        f'gene_status "KNOWN"; gene_name "{gene.gene_name}"; level 2;\n'
                    )


def _write_rpkm(path: Path, mdata: MuData, genes: pd.DataFrame) -> None:
    """RPKM of genes x epigenomes; E000 is the universal reference; header and rows end with a tab."""
    names = list(mdata.obs[k.CELL_TYPE].cat.categories)
    logs = np.asarray(mdata[k.RNA].X, float).reshape(len(names), len(genes)).T
    n_tfs = mdata[k.TF].n_vars
    if n_tfs:
        logs[-n_tfs:] = _tf_levels(mdata, len(genes)).T
    values = 2**logs - 1
    table = np.column_stack([values.mean(1), values])
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write("\t".join(["gene_id", "E000", *names]) + "\t\n")
        for gene_id, row in zip(genes.index, table, strict=True):
            file.write(f"{gene_id}\t" + "\t".join(f"{value:.3f}" for value in row) + "\t\n")


def _tf_levels(mdata: MuData, n_genes: int) -> np.ndarray:
    """log2-expression of the TFs, cell types x TFs; that of a TF without targets is 0."""
    layer = mdata[k.TF].layers[k.EXPRESSION]
    return np.stack([layer[i : i + n_genes].max(0).toarray()[0] for i in range(0, layer.shape[0], n_genes)])


def _write_regulons(path: Path, mdata: MuData, genes: pd.DataFrame) -> None:
    """Edges with DoRothEA's columns; the confidence is the nearest level."""
    binding = mdata[k.TF].layers[k.BINDING][: len(genes)].tocoo()
    mode = mdata[k.TF].layers[k.MODE][: len(genes)].tocsr()
    letters, levels = np.array(list(_LEVELS)), np.array(list(_LEVELS.values()))
    confidence = letters[np.abs(binding.data[:, None] - levels).argmin(1)]
    names = genes["gene_name"].to_numpy()
    lines = [
        f"{mdata[k.TF].var_names[tf]}\t{level}\t{names[gene]}\t{mode[gene, tf]:.1f}\n"
        for gene, tf, level in zip(binding.row, binding.col, confidence, strict=True)
    ]
    path.write_text("tf\tconfidence\ttarget\tmor\n" + "".join(lines), encoding="utf-8")


def _intervals(
    genes: pd.DataFrame, values: np.ndarray, starts: np.ndarray, ends: np.ndarray
) -> Iterator[tuple[str, int, int, float]]:
    """Bins that are not 0, in the order of the genome."""
    order = np.lexsort((genes[k.TSS].to_numpy(), genes[k.CHROM].to_numpy().astype(str)))
    for i in order:
        chrom, tss, ahead = genes[k.CHROM].iloc[i], int(genes[k.TSS].iloc[i]), genes[k.STRAND].iloc[i] == "+"
        row = values[i] if ahead else values[i, ::-1]
        for j in np.flatnonzero(row):
            yield chrom, tss + int(starts[j]), tss + int(ends[j]), float(row[j])


def _write_bigwig(path: Path, rows: Sequence[tuple[str, int, int, float]], lengths: dict[str, int]) -> None:
    import pybigtools

    pybigtools.open(str(path), "w").write(dict(sorted(lengths.items())), rows)


def _write_peaks(path: Path, rows: Sequence[tuple[str, int, int, float]]) -> None:
    """Peaks (narrowPeak) of runs of high bins, the strongest first."""
    peaks: list[tuple[str, int, int, float]] = []
    for chrom, start, end, value in rows:
        if value < _PEAK:
            continue
        if peaks and peaks[-1][0] == chrom and peaks[-1][2] == start:
            peaks[-1] = (chrom, peaks[-1][1], end, max(peaks[-1][3], value))
        else:
            peaks.append((chrom, start, end, value))
    peaks.sort(key=lambda peak: -peak[3])
    with gzip.open(path, "wt", encoding="utf-8") as file:
        for rank, (chrom, start, end, value) in enumerate(peaks, start=1):
            score = min(1000, int(10 * value))
            file.write(
                f"{chrom}\t{start}\t{end}\tRank_{rank}\t{score}\t.\t{value:.5f}\t{2 * value:.5f}\t{1.5 * value:.5f}"
                f"\t{(end - start) // 2}\n"
            )

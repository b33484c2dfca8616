"""The label files of DeepChrome, AttentiveChrome and DeepDiff: a row for each bin of a gene."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from epiattn import _keys as k
from epiattn._logging import logger

from ._gene_bins import GeneBins, read_gene_bins
from ._places import check_genes
from ._to_mdata import categories, make_mdata, make_obs, make_signal, match_genes

if TYPE_CHECKING:
    import pandas as pd
    from mudata import MuData

SPLITS = {"train": k.TRAIN, "valid": k.VALIDATION, "validation": k.VALIDATION, "val": k.VALIDATION, "test": k.TEST}
_FOLDERS = {"classification", "regression", *SPLITS}  # of these names, the one above is the cell type
_SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt", ".txt.gz")


def read_deepchrome(
    path: str | Path | Sequence[str | Path],
    *,
    marks: Sequence[str] | None = None,
    cell_types: Sequence[str] | Mapping[str, str] | None = None,
    genes: pd.DataFrame | None = None,
    stranded: bool = False,
    bin_size: int = 100,
) -> MuData:
    r"""Read data in the format of DeepChrome, AttentiveChrome and DeepDiff.

    Such a file holds one cell type (or a part of it) with a row for each bin of a gene. Its columns tell the variant:

    - ``gene_bin, mark, …, label``
    - ``gene, bin, mark, …, label`` (the published files; their first column may be ``gene_bin`` as well)
    - ``gene_bin, mark, …`` (DeepDiff: no label)

    Bins count from 0 or 1; labels are 0 or 1 (or -1 and 1). ``ENSG00000130749_ZC3H4`` is an id and a name.

    Parameters
    ----------
    path
        A file (plain or gzipped), a folder with files of any number of cell types below it, or several of these. Names
        tell the part and the cell type: ``E003/classification/train.csv``, ``E003/train.csv``, ``E003.train.csv``.
    marks
        Names of the marks, in the order of the columns; ``None``: those of the header if there is one, else the
        published order: H3K27me3, H3K36me3, H3K4me1, H3K4me3, H3K9me3.
    cell_types
        Cell types to read, by their names in the paths; a mapping gives them other names. ``None``: all.
    genes
        Table of genes as :func:`read_annotation` gives it, for ``gene_name``, ``chrom``, ``tss`` and ``strand``, which
        the files lack. Ids are matched as they are, without version, and as numbers (172936 is ENSG00000172936). Genes
        that are not in the table are left out, with a warning. The published files are of hg19.
    stranded
        Whether the bins run 5' to 3'. The published ones run along the genome, so genes on the minus strand are
        reversed where ``genes`` tells the strand.
    bin_size
        Width of a bin in bp.

    Returns
    -------
    A MuData: ``histone`` with a layer for each mark, shape ``(n_obs, n_bins)``; in ``obs`` ``gene_id``, ``cell_type``,
    ``label`` (``low`` or ``high``) if there are labels, ``split`` if the names of the files tell the part, and what
    ``genes`` tells.

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder.
    ValueError
        If there is no cell type to read, or a file does not fit: other columns, values that are negative or no
        numbers, bins that are missing or come twice, a label that changes within a gene, a gene that comes twice. The
        message names file and line.

    References
    ----------
    Singh et al., Bioinformatics 32:i639 (2016); Singh et al., NeurIPS (2017); Sekhon et al., Bioinformatics 34:i891
    (2018).

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import epiattn as attn
    >>> rows = [f"G{i}_{bin},0,1,2,{bin},0,{i}" for i in range(2) for bin in range(1, 101)]
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "E003.train.csv"
    ...     _ = path.write_text("\n".join(rows))
    ...     mdata = attn.io.read_deepchrome(path, stranded=True)
    >>> mdata["histone"].shape, mdata.obs["label"].to_dict()
    ((2, 100), {'G0@E003': 'low', 'G1@E003': 'high'})
    """
    if bin_size < 1:
        msg = f"bin_size must be positive, not {bin_size}."
        raise ValueError(msg)
    if genes is not None:
        check_genes(genes)
    sources = _choose(_find(path), cell_types)
    parts = [read_gene_bins(source.path, marks) for source in sources]
    _check_same(sources, parts)
    gene_id = [name for part in parts for name in part.gene_id]
    cell_type = [source.cell_type for source, part in zip(sources, parts, strict=True) for _ in part.gene_id]
    rows, ids, columns = match_genes(gene_id, genes)
    layers = _stack(parts, rows, None if stranded else columns.get(k.STRAND))
    if all(part.label is not None for part in parts):
        labels = np.concatenate([part.label for part in parts if part.label is not None])[rows]
        columns[k.LABEL] = categories((labels > 0).astype(int), (k.LOW, k.HIGH))
    if all(source.split is not None for source in sources):
        codes = [k.PARTS.index(str(source.split)) for source in sources]
        columns[k.SPLIT] = categories(np.repeat(codes, [len(part.gene_id) for part in parts])[rows], k.PARTS)
    if genes is None and not stranded:
        logger.warning(
            "The bins run along the genome, so genes on the minus strand are back to front: pass genes= to turn them "
            "(or stranded=True if the bins run 5' to 3')."
        )
    obs = make_obs(ids, [cell_type[row] for row in rows], columns)
    return make_mdata({k.HISTONE: make_signal(obs.index, layers, bin_size)}, obs)


# --- which files ------------------------------------------------------------------------------------------------------


class _Source(NamedTuple):
    path: Path
    cell_type: str
    split: str | None


def _find(path: str | Path | Sequence[str | Path]) -> list[_Source]:
    """All files, with what their names tell."""
    sources = []
    for given in [path] if isinstance(path, str | Path) else list(path):
        folder = Path(given)
        if folder.is_dir():
            files = sorted(file for file in folder.rglob("*") if file.name.lower().endswith(_SUFFIXES))
            # Beside the parts, there may be tables of expression or lists of genes.
            found = [_describe(file) for file in files]
            found = [source for source in found if source.split] or found
            if not found:
                msg = f"{folder}: no train.csv, valid.csv or test.csv in this folder or below."
                raise ValueError(msg)
            sources += found
        else:
            sources.append(_describe(folder))
    if not sources:
        msg = "read_deepchrome needs at least one file or folder, got none."
        raise ValueError(msg)
    if len({source.split is None for source in sources}) > 1:
        unnamed = next(source.path for source in sources if source.split is None)
        msg = f"{unnamed}: the name tells no part (train, valid, test), while others' do: name the part of all or none."
        raise ValueError(msg)
    return sorted(sources, key=lambda source: [source.cell_type, k.PARTS.index(source.split) if source.split else 0])


def _describe(path: Path) -> _Source:
    """What a name tells: ``E003/classification/train.csv``, ``E003.train.csv``, ``E003_train.csv``, ``E003.csv``."""
    stem = re.sub(r"\.(csv|tsv|txt)(\.gz)?$", "", path.name, flags=re.IGNORECASE)
    words = re.split(r"[._-]", stem)
    split = next((SPLITS[word.lower()] for word in (words[-1], words[0]) if word.lower() in SPLITS), None)
    if split is None:
        return _Source(path, stem, None)
    last = words[-1].lower() in SPLITS
    name = stem[: -len(words[-1])].rstrip("._-") if last else stem[len(words[0]) :].lstrip("._-")
    above = (folder.name for folder in path.absolute().parents if folder.name.lower() not in _FOLDERS)
    return _Source(path, name or next(above, ""), split)


def _choose(sources: list[_Source], cell_types: Sequence[str] | Mapping[str, str] | None) -> list[_Source]:
    """Files of the cell types that were asked for, in that order."""
    if cell_types is None:
        return sources
    wanted = [cell_types] if isinstance(cell_types, str) else list(cell_types)
    names = {name: str(cell_types[name]) if isinstance(cell_types, Mapping) else name for name in wanted}
    known = {source.cell_type for source in sources}
    if unknown := [name for name in wanted if name not in known]:
        msg = f"cell_types names {unknown}, but the files are of {sorted(known)}."
        raise ValueError(msg)
    return [source._replace(cell_type=names[name]) for name in names for source in sources if source.cell_type == name]


# --- all files --------------------------------------------------------------------------------------------------------


def _check_same(sources: Iterable[_Source], parts: Sequence[GeneBins]) -> None:
    """All files have the same marks and bins, all or none have labels, and no gene comes twice."""
    seen: dict[tuple[str, str], Path] = {}
    shapes = [{mark: signal.shape[1] for mark, signal in part.signal.items()} for part in parts]
    first = next(iter(sources)).path
    for source, part, shape in zip(sources, parts, shapes, strict=True):
        if shape != shapes[0]:
            msg = f"{source.path}: bins of the marks are {shape}, but {shapes[0]} in {first}."
            raise ValueError(msg)
        if (part.label is None) != (parts[0].label is None):
            msg = f"{source.path}: has {'no ' if part.label is None else ''}labels, unlike {first}."
            raise ValueError(msg)
        for gene in part.gene_id:
            other = seen.setdefault((gene, source.cell_type), source.path)
            if other != source.path:
                msg = f"{source.path}: gene {gene} of {source.cell_type} is in {other} already."
                raise ValueError(msg)


def _stack(parts: list[GeneBins], rows: np.ndarray, strand: np.ndarray | None) -> dict[str, np.ndarray]:
    """Each mark of all files; genes on the minus strand are reversed where the strand is known."""
    layers = {}
    for mark in list(parts[0].signal):
        values = np.concatenate([part.signal.pop(mark) for part in parts])[rows]
        if strand is not None:
            minus = strand == "-"
            values[minus] = values[minus, ::-1]
        layers[mark] = values
    return layers

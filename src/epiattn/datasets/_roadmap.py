"""Roadmap Epigenomics: from the consortium's public files to one MuData."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from epiattn._logging import logger
from epiattn._settings import settings
from epiattn._validation import check_choice

from ._checksums import read_checksums
from ._download import Remote, fetch
from ._roadmap_files import (
    ACCESSIBILITY,
    ANNOTATION,
    BASE_URL,
    BISULFITE,
    CORE_MARKS,
    EXPRESSION,
    SIGNALS,
    methylation_file,
    signal_file,
)

if TYPE_CHECKING:
    import pandas as pd
    from mudata import MuData

_EPIGENOME = re.compile(r"E\d{3}")
_Row = tuple[str, str, str, Remote]  # cell type, assay, target, file


def roadmap(
    cell_types: str | Sequence[str] | Mapping[str, str],
    *,
    marks: Sequence[str] | None = None,
    signal: Literal["pvalue", "fold_change", "peaks"] = "pvalue",
    methylation: Literal["WGBS", "RRBS"] | None = "WGBS",
    read_coverage: bool = False,
    expression: bool = True,
    regulons: str | Path | pd.DataFrame | None = None,
    annotation: str | Path | pd.DataFrame | None = None,
    missing: Literal["error", "skip"] = "error",
    base_url: str | Path = BASE_URL,
    checksums: str | Path | Mapping[str, str] | None = None,
    **options: Any,
) -> MuData | None:
    """Download epigenomes of the Roadmap Epigenomics consortium and read them around every gene (hg19).

    Files are kept in ``epiattn.settings.cache_dir / "roadmap"``, under the paths that they have on the server, and are
    not downloaded again. A download that broke off is resumed, also by a later call. Files that were placed there by
    other means are taken as they are.

    Parameters
    ----------
    cell_types
        Epigenomes, such as ``["E003", "E066"]``; a mapping, such as ``{"E003": "H1"}``, gives them other names.
        ``epiattn.datasets.EPIGENOMES`` is such a mapping of eighteen epigenomes that have all modalities.
    marks
        Histone marks, and ``"DNase"``; ``None``: the five core marks, which every epigenome has (H3K4me1, H3K4me3,
        H3K27me3, H3K36me3, H3K9me3). All of ``EPIGENOMES`` have H3K27ac too.
    signal
        ``"pvalue"``: -log10 of MACS2's p-value along the genome (bigWig, some hundred MB a file); ``"fold_change"``:
        over the control (bigWig, larger still); ``"peaks"``: narrow peaks (gzipped text, some MB a file; sparser).
    methylation
        Bisulfite sequencing: ``"WGBS"`` (whole genome), ``"RRBS"`` (reduced representation, fewer CpGs), or ``None``.
    read_coverage
        Download the reads of each CpG too. Without them each CpG counts as one read, and ``min_coverage`` can be 1
        only.
    expression
        Take RPKM of protein-coding genes, from the table of 56 epigenomes, and write ``obs["label"]``.
    regulons
        Table of edges between TFs and targets, as :func:`epiattn.io.read_regulons` takes it, for the modality ``tf``;
        ``None``: none. It is not downloaded: DoRothEA, CollecTRI and others have licences of their own.
    annotation
        Genes, as for :func:`epiattn.io.build`; ``None``: the consortium's GENCODE 10. It must be of hg19.
    missing
        What to do if the server lacks a file: ``"error"``, or ``"skip"``: the epigenome is marked as not measured.
    base_url
        Address below which the files lie, of a mirror for example; or a folder that is laid out in the same way, which
        is read in place.
    checksums
        Of files, by their names: a mapping (``{"E003-H3K4me3.pval.signal.bigwig": "md5:…"}``), or a text file as
        ``md5sum`` or ``sha256sum`` write it. The consortium publishes none.
    **options
        Of :func:`epiattn.io.build`: ``window``, ``bin_size``, ``max_cpgs``, ``min_coverage``, ``biotypes``,
        ``blacklist``, ``output``, ``load``, ``n_jobs``, ``client``. With an ``output``, an interrupted call goes on
        where it was.

    Returns
    -------
    What :func:`epiattn.io.build` returns: observations are genes in cell types; ``histone`` (a layer for each mark),
    ``methylation``, ``rna`` and ``tf``, as far as asked for; ``obs["label"]``. ``uns["epiattn"]["built"]["sheet"]``
    names all files.

    Raises
    ------
    ConnectionError
        If the server cannot be reached or breaks off again and again; what came is kept.
    FileNotFoundError
        If the server lacks files. The message names all of them.
    PermissionError
        If the server refuses.
    ValueError
        If an argument makes no sense, a checksum is wrong (the file is removed), or a file cannot be read.
    OSError
        If the disk is full.

    Notes
    -----
    Addresses: ``https://egg2.wustl.edu/roadmap/data/``, then
    ``byFileType/signal/consolidated/macs2signal/pval/E003-H3K4me3.pval.signal.bigwig`` (``foldChange/….fc.signal``),
    ``byFileType/peaks/consolidated/narrowPeak/E003-H3K4me3.narrowPeak.gz``,
    ``byDataType/dnamethylation/WGBS/FractionalMethylation_bigwig/E003_WGBS_FractionalMethylation.bigwig``,
    ``byDataType/rna/expression/57epigenomes.RPKM.pc.gz`` and ``byDataType/rna/annotations/gen10.long.gtf.gz``.

    Kang et al. (2020) do not name their eighteen cell lines in a form that could be found; ``EPIGENOMES`` are the first
    eighteen, by number, with RNA-seq, WGBS, the core marks and H3K27ac.

    The data are public; the files name no licence. Cite the consortium.

    References
    ----------
    Roadmap Epigenomics Consortium, Nature 518:317 (2015), doi 10.1038/nature14248. Kang et al., Front. Genet. 11:869
    (2020).

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.roadmap(
    ...     {"E003": "H1", "E066": "liver"}, marks=["H3K4me3", "H3K27me3"], signal="peaks", output="two.h5mu"
    ... )  # doctest: +SKIP
    """
    import pandas as pd

    from epiattn.io import build

    check_choice("signal", signal, SIGNALS)
    check_choice("missing", missing, ("error", "skip"))
    if methylation is not None:
        check_choice("methylation", methylation, BISULFITE)
    _check_options(options, read_coverage=read_coverage)
    names = _check_epigenomes(cell_types)
    marks = _check_marks(marks)
    wanted = list(_rows(names, marks, signal, methylation, expression=expression))
    if not wanted:
        msg = "Nothing to read: no marks, no methylation and no expression."
        raise ValueError(msg)
    reads = [methylation_file(name, methylation, "ReadCoverage") for name in names] if methylation else []
    remotes = list(dict.fromkeys(row[-1] for row in wanted))
    remotes += reads if read_coverage else []
    remotes += [] if annotation is not None else [ANNOTATION]
    sums = read_checksums(checksums)
    summed = {each: each._replace(hash=sums.get(Path(each.path).name)) for each in remotes}
    here = fetch(list(summed.values()), base_url=base_url, folder=settings.cache_dir / "roadmap")
    places = {each: here[summed[each]] for each in remotes}
    _report_missing([each for each, path in places.items() if path is None], missing, base_url)
    rows = [(*row[:3], str(places[row[-1]])) for row in wanted if places[row[-1]] is not None]
    with _as_file(regulons) as table:
        if table is not None:
            rows.append(("*", "tf", "", str(table)))
        sheet = pd.DataFrame(rows, columns=["cell_type", "assay", "target", "path"])
        genes = places[ANNOTATION] if annotation is None else annotation
        return build(sheet, annotation=genes, **options)


def _check_epigenomes(cell_types: str | Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    """Epigenomes and what to call them."""
    if isinstance(cell_types, Mapping):
        names = {str(name): str(called) for name, called in cell_types.items()}
    else:
        given = [cell_types] if isinstance(cell_types, str) else list(cell_types)
        names = {str(name): str(name) for name in given}
        if len(names) < len(given):
            msg = f"cell_types names an epigenome twice: {given}."
            raise ValueError(msg)
    if unknown := [name for name in names if not _EPIGENOME.fullmatch(name)]:
        msg = f"cell_types must be epigenomes of the consortium, such as 'E003', not {unknown}."
        raise ValueError(msg)
    if not names:
        msg = "cell_types names no epigenome."
        raise ValueError(msg)
    return names


def _check_marks(marks: Sequence[str] | None) -> list[str]:
    if isinstance(marks, str):
        msg = f"marks must be a list of marks, such as [{marks!r}]."
        raise TypeError(msg)
    return list(CORE_MARKS if marks is None else marks)


def _check_options(options: Mapping[str, Any], *, read_coverage: bool) -> None:
    """What would be found out only after the download."""
    from inspect import signature

    from epiattn.io import build
    from epiattn.io._output import check_output

    known = [name for name in signature(build).parameters if name not in ("sheet", "annotation")]
    if unknown := [name for name in options if name not in known]:
        msg = f"roadmap has no option {unknown}; those of epiattn.io.build are {known}."
        raise TypeError(msg)
    if options.get("output") is not None:
        check_output(options["output"])
    if options.get("min_coverage", 1) > 1 and not read_coverage:
        msg = f"min_coverage={options['min_coverage']} needs the reads: read_coverage=True."
        raise ValueError(msg)


def _rows(
    names: Mapping[str, str], marks: Sequence[str], signal: str, methylation: str | None, *, expression: bool
) -> Iterator[_Row]:
    """The rows of the sample sheet."""
    for epigenome, name in names.items():
        for mark in marks:
            assay = "accessibility" if mark in ACCESSIBILITY else "histone"
            yield name, assay, mark, signal_file(epigenome, mark, signal)
        if methylation is not None:
            yield name, "methylation", "", methylation_file(epigenome, methylation)
        if expression:
            yield name, "rna", epigenome, EXPRESSION


def _report_missing(lacking: Sequence[Remote], missing: str, base_url: str | Path) -> None:
    if not lacking:
        return
    lines = "\n  ".join(f"{each.what}: {str(base_url).rstrip('/')}/{each.path}" for each in lacking)
    needed = [each for each in lacking if each in (ANNOTATION, EXPRESSION)]
    if missing == "skip" and not needed:
        logger.warning("There are no such files, which are left out:\n  %s", lines)
        return
    msg = (
        f"{len(lacking)} files are not there:\n  {lines}\nChoose other epigenomes or marks, or leave out what an "
        f"epigenome lacks with missing='skip'; or place the files by hand below {settings.cache_dir / 'roadmap'}, at "
        "the same paths."
    )
    raise FileNotFoundError(msg)


@contextmanager
def _as_file(regulons: str | Path | pd.DataFrame | None) -> Iterator[Path | None]:
    """A table of edges as a file."""
    if regulons is None or isinstance(regulons, str | Path):
        yield None if regulons is None else Path(regulons).expanduser().absolute()
        return
    with TemporaryDirectory(prefix="epiattn-") as folder:
        path = Path(folder) / "regulons.tsv"
        regulons.to_csv(path, sep="\t", index=False)
        yield path

"""The data of DeepChrome, downloaded."""

from __future__ import annotations

import gzip
import json
import shutil
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from epiattn._logging import logger
from epiattn._settings import settings

from ._checksums import read_checksums
from ._download import Remote, fetch

if TYPE_CHECKING:
    import pandas as pd
    from mudata import MuData

BASE_URL = "https://zenodo.org"
ARCHIVE = Remote("record/2652278/files/data.tar.gz", what="archive")
#: What Zenodo says about the record, checksums among it.
RECORD = Remote("api/records/2652278", what="record")
_PARTS = ("train.csv", "valid.csv", "test.csv")


def deepchrome(
    cell_types: str | Sequence[str] | Mapping[str, str] | None = None,
    *,
    genes: pd.DataFrame | None = None,
    marks: Sequence[str] | None = None,
    base_url: str | Path = BASE_URL,
    checksum: str | None = None,
) -> MuData:
    """Download the data of DeepChrome (Singh et al. 2016): read counts of five marks in 56 Roadmap epigenomes (hg19).

    Each gene has 100 bins of 100 bp around its TSS, a label above or below the median of its cell type, and a part of
    the published split (genes at random). The archive is kept in ``epiattn.settings.cache_dir / "deepchrome"``, and
    beside it what was unpacked; a download that broke off is resumed.

    Parameters
    ----------
    cell_types
        Epigenomes, such as ``["E003", "E123"]``; a mapping, such as ``{"E003": "H1"}``, gives them other names;
        ``None``: all 56, which take some GB of memory.
    genes
        Table of genes, as :func:`epiattn.io.read_annotation` gives it, such as of GENCODE 10: the files have neither
        places nor strands. Without it, genes on the minus strand are back to front.
    marks
        Names of the marks in the order of the columns; ``None``: the published order, H3K27me3, H3K36me3, H3K4me1,
        H3K4me3, H3K9me3.
    base_url
        Address of Zenodo or of a mirror of it, or a folder that is laid out in the same way.
    checksum
        Of the archive, such as ``"md5:…"``; ``None``: the one that Zenodo publishes for the record, asked for there.

    Returns
    -------
    What :func:`epiattn.io.read_deepchrome` returns: ``histone`` with a layer for each mark, shape ``(n_obs, 100)``; in
    ``obs`` ``gene_id``, ``cell_type``, ``label``, ``split``, and what ``genes`` tells.

    Raises
    ------
    ConnectionError
        If the server cannot be reached or breaks off again and again; what came is kept.
    FileNotFoundError
        If there is no archive at that address.
    ValueError
        If the archive is not the published one, or has no such cell type.

    Notes
    -----
    Address: ``https://zenodo.org/record/2652278/files/data.tar.gz``, with
    ``data/<epigenome>/classification/{train,valid,test}.csv``. The licence is that of the record, see
    https://zenodo.org/record/2652278.

    References
    ----------
    Singh et al., Bioinformatics 32:i639 (2016), doi 10.1093/bioinformatics/btw427. Data: doi 10.5281/zenodo.2652278.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.deepchrome(["E003", "E123"])  # doctest: +SKIP
    """
    from epiattn.io import read_deepchrome

    folder = settings.cache_dir / "deepchrome"
    wanted = None if cell_types is None else [cell_types] if isinstance(cell_types, str) else list(cell_types)
    unpacked = folder / "data"
    if wanted is None or not all(_is_unpacked(unpacked / name) for name in wanted):
        known = checksum or (None if (folder / ARCHIVE.path).is_file() else _published(base_url, folder))
        archive = ARCHIVE._replace(hash=read_checksums({"data.tar.gz": known})["data.tar.gz"] if known else None)
        path = fetch([archive], base_url=base_url, folder=folder)[archive]
        if path is None:
            msg = (
                f"There is no {str(base_url).rstrip('/')}/{ARCHIVE.path}. Get the archive from elsewhere and place it "
                f"at {folder / ARCHIVE.path}."
            )
            raise FileNotFoundError(msg)
        wanted = _unpack(path, unpacked, wanted)
    return read_deepchrome([unpacked / name for name in wanted], marks=marks, cell_types=cell_types, genes=genes)


def _published(base_url: str | Path, folder: Path) -> str | None:
    """The checksum that Zenodo publishes; ``None`` if it cannot be had."""
    place = folder / RECORD.path
    place.unlink(missing_ok=True)  # what Zenodo says may change
    path = fetch([RECORD], base_url=base_url, folder=folder)[RECORD]
    try:
        files = [] if path is None else json.loads(path.read_text(encoding="utf-8"))["files"]
        return next(file["checksum"] for file in files if file["key"] == "data.tar.gz")
    except (KeyError, TypeError, ValueError, StopIteration):
        logger.warning("%s/%s tells no checksum of the archive: it is not checked.", base_url, RECORD.path)
        return None


def _is_unpacked(folder: Path) -> bool:
    return all((folder / "classification" / name).is_file() for name in _PARTS)


def _unpack(archive: Path, folder: Path, wanted: Sequence[str] | None) -> list[str]:
    """Unpack the tables of cell types, one folder each, which appears when it is whole; returns their names."""
    folder.mkdir(parents=True, exist_ok=True)
    new = folder.with_name("unpacking")
    shutil.rmtree(new, ignore_errors=True)
    seen: set[str] = set()
    logger.info("Unpacking %s.", archive)
    try:
        with tarfile.open(archive, "r|*") as tar:
            for member in tar:
                *_, name, kind, file = ("", "", "", *PurePosixPath(member.name).parts)
                if not member.isfile() or kind != "classification" or file not in _PARTS:
                    continue
                seen.add(name)
                source = tar.extractfile(member)
                if source is not None and (wanted is None or name in wanted) and not _is_unpacked(folder / name):
                    target = new / name / kind / file
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with target.open("wb") as copy:
                        shutil.copyfileobj(source, copy)
        if unknown := sorted(set(wanted or ()) - seen):
            msg = f"cell_types names {unknown}, but the archive has {sorted(seen)}."
            raise ValueError(msg)
        for each in sorted(new.iterdir()) if new.is_dir() else []:
            shutil.rmtree(folder / each.name, ignore_errors=True)
            each.replace(folder / each.name)
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        msg = f"{archive} could not be unpacked: {error}. Delete it to download it again."
        raise ValueError(msg) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return list(wanted) if wanted is not None else sorted(seen)

"""The format of a file: its content tells it, and its name where the content leaves a choice."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from epiattn._registry import methylation_formats, signal_formats
from epiattn._validation import check_choice

from ._sniff import EXPRESSION, REGULONS, Content, sniff
from ._text import check_file

#: Formats of peaks; those of a TF say where it binds.
PEAKS = ("bed", "narrowpeak", "broadpeak", "bigbed")
#: Formats of each assay.
ASSAYS: dict[str, Collection[str]] = {
    "histone": signal_formats,
    "accessibility": signal_formats,
    "methylation": methylation_formats,
    "tf": (REGULONS, *PEAKS),
    "rna": (EXPRESSION,),
}
#: What the end of a name says. `.bed` says little: many files with more columns than BED are called so.
SUFFIXES = {
    "bw": "bigwig",
    "bigwig": "bigwig",
    "bb": "bigbed",
    "bigbed": "bigbed",
    "bg": "bedgraph",
    "bdg": "bedgraph",
    "bedgraph": "bedgraph",
    "narrowpeak": "narrowpeak",
    "broadpeak": "broadpeak",
    "bed": "bed",
    "bam": "bam",
    "cov": "bismark",
    "bedmethyl": "bedmethyl",
    "methylkit": "methylkit",
    "gct": EXPRESSION,
    "h5ad": EXPRESSION,
}
_COMPRESSED = (".gz", ".bgz")
#: What `sniff` can judge; of a format that was added to the registry only, its reader judges.
_JUDGED = {*SUFFIXES.values(), REGULONS}


def guess_format(path: str | Path, assay: str) -> str:
    """Tell the format of a file from its name and its content.

    Parameters
    ----------
    path
        The file.
    assay
        ``"histone"``, ``"accessibility"``, ``"methylation"``, ``"tf"`` or ``"rna"``.

    Returns
    -------
    One of the formats of the assay in :data:`ASSAYS`. A file named ``.bed`` (or in no known way) is of the format with
    the most columns that fits, such as narrowPeak.

    Raises
    ------
    FileNotFoundError
        If there is no file.
    ValueError
        If the content fits no format of the assay, or none that the name says, or if both leave a choice.
    """
    check_choice("assay", assay, ASSAYS)
    content = sniff(path)
    possible = [name for name in content.formats if name in ASSAYS[assay]]
    if not possible:
        raise _does_not_fit(path, content, f"assay {assay!r} takes {_or(list(ASSAYS[assay]))}")
    named = SUFFIXES.get(suffix_of(path))
    if named is None or (named == "bed" and possible[0] not in (EXPRESSION, REGULONS)):
        if possible == ["bedgraph", "bed"]:
            msg = f"{path}: bedgraph (column 4 is the signal) or bed (column 4 is a name)? Give the format."
            raise ValueError(msg)
        return possible[0]
    if named not in possible and not (named in content.nearly and named in ASSAYS[assay]):
        raise _does_not_fit(path, content, f"it is named like {named}; rename it, or give the format")
    return named


def check_format(path: str | Path, assay: str, format: str) -> str:
    """Check that a file can be of the format that the user names.

    Parameters
    ----------
    path
        The file.
    assay
        As of :func:`guess_format`.
    format
        A format of the assay, or the end of a name that stands for it (``bw``), in any case.

    Returns
    -------
    The name of the format.

    Raises
    ------
    FileNotFoundError
        If there is no file.
    ValueError
        If the assay has no such format, or the content does not fit.
    """
    name = format.lower().removeprefix(".")
    name = SUFFIXES.get(name, name)
    check_choice(f"format (assay {assay})", name, ASSAYS[assay])
    if name not in _JUDGED:
        check_file(path)
        return name
    content = sniff(path)
    if name not in (*content.formats, *content.nearly):
        raise _does_not_fit(path, content, f"the format is said to be {name}")
    return name


def suffix_of(path: str | Path) -> str:
    """End of a file's name in lower case, without a dot; that of a compression does not count."""
    name = Path(path).name.lower()
    for end in _COMPRESSED:
        name = name.removesuffix(end)
    return Path(name).suffix.removeprefix(".")


def _does_not_fit(path: str | Path, content: Content, expected: str) -> ValueError:
    """An error that says what was expected and what there is."""
    tables = {EXPRESSION, REGULONS} <= set(content.formats)
    what = "a table with a header" if tables else _or(content.formats)
    there = f"its content is {what} ({content.start})" if content.formats else f"its content fits none: {content.start}"
    return ValueError(f"{path}: {expected}, but {there}.{content.note}")


def _or(names: Sequence[str]) -> str:
    return " or ".join(([", ".join(names[:-1])] if names[:-1] else []) + list(names[-1:]))

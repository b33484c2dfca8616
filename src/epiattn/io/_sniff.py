"""What the first bytes and lines of a file say about its format."""

from __future__ import annotations

import gzip
import re
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from ._text import HEADERS, check_file, open_text

EXPRESSION, REGULONS = "expression", "regulons"

Row = Sequence[str]  # fields of a line

_N_LINES = 100
#: How the header of a table of genes begins.
_NAMES = ("gene", "symbol", "ensembl", "feature", "transcript", "name", "id")
_MAGIC = {0x888FFC26: "bigwig", 0x8789F2EB: "bigbed"}
_STRANGERS = {
    b"CRAM": "a CRAM file; convert it to BAM (samtools view -b)",
    b"BAI\x01": "the index of a BAM, not the BAM",
    b"PK\x03\x04": "a zip archive or an Excel table; unpack it, or save the table as CSV",
    b"MuDa": "a MuData file, not raw data",
    b"BZh": "compressed by bzip2; unpack it, or compress it by gzip",
    b"\xfd7zX": "compressed by xz; unpack it, or compress it by gzip",
}


class Head(NamedTuple):
    """The first lines with data, their numbers (1-based), and the comments above them."""

    lines: list[str]
    numbers: list[int]
    comments: list[str]


class Content(NamedTuple):
    """Formats that fit the content, the strictest first, and where it begins (for messages).

    ``nearly``: those that fit most lines; the name of a file may choose one, whose reader then tells what is wrong.
    """

    formats: list[str]
    start: str
    note: str = ""
    nearly: tuple[str, ...] = ()


def head_of(path: str | Path, n: int) -> Head:
    """The first ``n`` lines of a text file that carry data.

    Raises
    ------
    FileNotFoundError
        If there is no file.
    ValueError
        If it is no text, or has no such line.
    """
    head = Head([], [], [])
    with open_text(path) as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            if not head.lines and line.startswith(HEADERS):
                head.comments.append(line.rstrip("\n"))
                continue
            head.lines.append(line.rstrip("\n"))
            head.numbers.append(number)
            if len(head.lines) == n:
                break
    if not head.lines:
        msg = f"{path}: no line with data, only comments or blanks."
        raise ValueError(msg)
    return head


def sniff(path: str | Path) -> Content:
    """Tell the formats that a file may be of.

    Raises
    ------
    FileNotFoundError
        If there is no file.
    ValueError
        If it is empty, broken, or known to be something else.
    """
    path = check_file(path)
    if (binary := _binary(path)) is not None:
        return Content([binary], f"{binary} data")
    head = head_of(path, _N_LINES)
    first, start = head.lines[0], f"{head.lines[0][:80]!r} in line {head.numbers[0]}"
    if first.startswith(("fixedStep", "variableStep")):
        msg = f"{path}:{head.numbers[0]}: a wiggle file; make a bigWig of it (wigToBigWig)."
        raise ValueError(msg)
    if first.lower().startswith("chrbase\t"):
        return Content(["methylkit"], start)
    rows = [line.split("\t") if "\t" in line else line.split() for line in head.lines]
    # Numbers of cells of clusters 0, 1, 2 … can look like intervals.
    formats = [] if first.lower().startswith(_NAMES) else _fitting(rows)
    # One wrong line is not for here: the reader will name it. But if that is the first one, it is a header.
    if formats and any(_TEXT[name](rows[0]) for name in formats):
        return Content(formats, start, nearly=_nearly_fitting(rows))
    note = f" Line {head.numbers[0]} looks like a header: begin it with '#', or delete it." if formats else ""
    for fits, hint in _NOTES.items():
        if fits(rows[0]):
            return Content([], start, f" {hint}")
    return Content([EXPRESSION, REGULONS] if "\t" in first or "," in first else [], start, note)


def _binary(path: Path) -> str | None:
    """Format of a file that is no text."""
    with path.open("rb") as file:
        start = file.read(4)
    for magic, hint in _STRANGERS.items():
        if start.startswith(magic):
            msg = f"{path}: {hint}."
            raise ValueError(msg)
    if start.startswith(b"\x89HDF"):
        return EXPRESSION
    if not start.startswith(b"\x1f\x8b"):
        return _big(start)
    inside = _unzipped(path)
    if name := _big(inside):
        msg = f"{path}: a {name} file compressed by gzip; unpack it (gunzip)."
        raise ValueError(msg)
    return "bam" if inside == b"BAM\x01" else None


def _big(start: bytes) -> str | None:
    """The first number of a bigWig or bigBed, in either order of bytes."""
    orders = (struct.unpack(order, start)[0] for order in ("<I", ">I")) if len(start) == 4 else ()
    return next((_MAGIC[number] for number in orders if number in _MAGIC), None)


def _unzipped(path: Path) -> bytes:
    try:
        with gzip.open(path) as file:
            return file.read(4)
    except (OSError, EOFError, zlib.error):  # broken: reading it as a text will say so
        return b""


# --- lines -----------------------------------------------------------------------------------------------------------


def _fitting(rows: Sequence[Row]) -> list[str]:
    """Formats that fit most lines, if they fit at least half of them."""
    counts = {name: sum(map(fits, rows)) for name, fits in _TEXT.items()}
    best = max(counts.values())
    formats = [name for name, count in counts.items() if count == best] if 2 * best >= len(rows) else []
    if "broadpeak" in formats and sum(map(_has_thick, rows)) >= best:
        formats.remove("broadpeak")  # BED with nine columns
    if "bedgraph" in formats and "bed" in formats and any(len(row) == 4 and not _whole(row[3:]) for row in rows):
        formats.remove("bed")  # a name would not be a number with decimals
    return formats


def _nearly_fitting(rows: Sequence[Row]) -> tuple[str, ...]:
    """Formats that fit more than half of the lines."""
    return tuple(name for name, fits in _TEXT.items() if 2 * sum(map(fits, rows)) > len(rows))


_INTEGER = re.compile(r"\d+(?:\.0*)?(?:[eE]\+?\d+)?")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?(?:nan|inf)|NA|\.", re.IGNORECASE)
_COLOR = re.compile(r"\d+(?:,\d+,\d+)?,?|\.")


def _whole(fields: Row) -> bool:
    return all(map(_INTEGER.fullmatch, fields))


def _numbers(fields: Row) -> bool:
    return all(map(_NUMBER.fullmatch, fields))


def _percent(field: str) -> bool:
    if not _NUMBER.fullmatch(field):
        return False
    return field.upper() in ("NA", ".") or not (float(field) < 0 or float(field) > 100)


def _interval(row: Row) -> bool:
    return len(row) > 2 and row[0] != "" and _whole(row[1:3]) and float(row[1]) <= float(row[2])


def _bed(row: Row) -> bool:
    return _interval(row) and (len(row) < 6 or row[5] in ("+", "-", ".")) and not _bedmethyl(row)


def _bedgraph(row: Row) -> bool:
    return _interval(row) and len(row) == 4 and _numbers(row[3:])


def _narrowpeak(row: Row) -> bool:
    return _bed(row) and len(row) == 10 and _numbers(row[6:9]) and re.fullmatch(r"-?\d+", row[9]) is not None


def _broadpeak(row: Row) -> bool:
    return _bed(row) and len(row) == 9 and _numbers(row[6:9])


def _has_thick(row: Row) -> bool:
    """Whether columns 7 to 9 are BED's: a part of the interval, or nothing, and a colour."""
    if len(row) < 9 or not (_whole(row[6:8]) and _COLOR.fullmatch(row[8])):
        return False
    start, end, thick_start, thick_end = (float(row[i]) for i in (1, 2, 6, 7))
    return "," in row[8] or start <= thick_start <= thick_end <= end or thick_start == thick_end == 0


def _bedmethyl(row: Row) -> bool:
    """Coverage and percentage after the nine columns of BED; some versions of modkit put blanks between the last."""
    if len(row) < 10 or not _interval(row) or row[5] not in ("+", "-", ".") or not _COLOR.fullmatch(row[8]):
        return False
    coverage, percent, *_ = [*row[9].split(), *row[10:], "", ""]
    return _whole([*row[6:8], coverage]) and _percent(percent)


def _bismark(row: Row) -> bool:
    return _interval(row) and len(row) == 6 and _percent(row[3]) and _whole(row[4:6])


def _methylkit(row: Row) -> bool:
    """A line of a file without the header."""
    return len(row) == 7 and _whole([row[2], row[4]]) and row[3] in (*"FR+-*.",) and all(map(_percent, row[5:]))


def _is_report(row: Row) -> bool:
    """Bismark's report of every cytosine: chrom, position, strand, methylated, unmethylated, context, sequence."""
    return len(row) == 7 and _whole([row[1], *row[3:5]]) and row[5] in ("CG", "CHG", "CHH")


def _is_annotation(row: Row) -> bool:
    """GTF or GFF3."""
    return len(row) == 9 and _whole(row[3:5]) and row[6] in ("+", "-", ".", "?")


_NOTES = {
    _is_report: "This looks like Bismark's cytosine report: take its coverage file (.cov).",
    _is_annotation: "This looks like a GTF: give it as the annotation.",
}
#: The stricter ones first.
_TEXT: dict[str, Callable[[Row], bool]] = {
    "bedmethyl": _bedmethyl,
    "bismark": _bismark,
    "methylkit": _methylkit,
    "narrowpeak": _narrowpeak,
    "broadpeak": _broadpeak,
    "bedgraph": _bedgraph,
    "bed": _bed,
}

"""Text files of intervals and tables: plain or gzipped, in pieces, with errors that name file and line."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import numpy as np
import pandas as pd

#: Lines that carry no data, at the head of interval files.
HEADERS = ("#", "track", "browser")
_GZIP = b"\x1f\x8b"
_BROKEN = (EOFError, gzip.BadGzipFile, zlib.error)
_ENCODING = "utf-8-sig"  # Windows puts a mark before the first letter
_WHITE = " \t\r\n"


#: How tools write NaN.
NAN = ("nan", "NaN", "NAN", "-nan", "NA")


class Column(NamedTuple):
    """Where a column stands (0-based) and what it holds: ``"str"``, ``"category"``, ``"int64"`` or ``"float64"``.

    ``missing``: texts that stand for a missing number (NaN) in a ``"float64"`` column, such as :data:`NAN`; elsewhere
    they are an error.
    """

    index: int  # type: ignore[assignment]  # tuples have a method of this name
    dtype: str
    missing: tuple[str, ...] = ()


def check_file(path: str | Path) -> Path:
    """A file that is there and not empty.

    Raises
    ------
    FileNotFoundError
        If there is no file.
    ValueError
        If it is a folder, or empty.
    """
    path = Path(path)
    if not path.exists():
        msg = f"No file {str(path)!r}."
        raise FileNotFoundError(msg)
    if path.is_dir() or path.stat().st_size == 0:
        msg = f"{path}: {'a folder, not a file' if path.is_dir() else 'the file is empty'}."
        raise ValueError(msg)
    return path


@contextmanager
def open_text(path: str | Path) -> Iterator[IO[str]]:
    """Open a text file, gzipped or not (told from its first bytes).

    Raises
    ------
    FileNotFoundError
        If there is no file.
    ValueError
        If it is empty, cut off in the middle of its gzip stream, or no text.
    """
    path = check_file(path)
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == _GZIP
        with gzip.open(path, "rt", encoding=_ENCODING) if zipped else path.open(encoding=_ENCODING) as file:
            yield cast("IO[str]", file)
    except _BROKEN as error:
        msg = f"{path}: the gzip stream is broken or cut off ({error}); copy or download the file again."
        raise ValueError(msg) from error
    except UnicodeDecodeError as error:
        msg = f"{path}: not a text file ({error.reason} at byte {error.start})."
        raise ValueError(msg) from error


def read_chunks(
    path: str | Path,
    columns: Mapping[str, Column],
    *,
    separator: str | None = "\t",
    n_header: int = 0,
    chunk_rows: int = 1_000_000,
) -> Iterator[pd.DataFrame]:
    """Read columns of a delimited text file piece by piece, so that its size does not matter.

    Parameters
    ----------
    path
        File, gzipped or not. Lines that begin with ``#``, ``track`` or ``browser`` at its head are passed over.
    columns
        Columns to read, by the name to give them.
    separator
        Between fields: one character, or ``None`` for any white space.
    n_header
        Lines with column names that follow.
    chunk_rows
        Rows of a piece.

    Yields
    ------
    Tables with the given columns; the index counts the rows of the file (0-based; see :func:`line_of`).

    Raises
    ------
    FileNotFoundError
        If there is no file.
    ValueError
        If a line lacks a column or holds something else than it should; the message names file, line and column. (Of a
        line that lacks a column of text, that is empty.)
    """
    skipped, line = _head(path, n_header, separator)
    if not line:
        return
    if len(line.split(separator)) <= max(column.index for column in columns.values()):
        # The reader takes the number of columns from the first line, and would fill up all others too.
        raise _line_error(Path(path), columns, separator, skipped, ValueError(line))
    # The reader takes columns in the file's order.
    ordered = dict(sorted(columns.items(), key=lambda item: item[1].index))
    categories = {name: "category" for name, column in columns.items() if column.dtype == "category"}
    missing = {name: list(column.missing) for name, column in columns.items() if column.missing}
    try:
        with (
            open_text(path) as file,
            pd.read_csv(
                file,
                sep=r"\s+" if separator is None else separator,
                header=None,
                skiprows=skipped,
                usecols=[column.index for column in ordered.values()],
                names=list(ordered),
                dtype={name: _DTYPES.get(column.dtype, column.dtype) for name, column in ordered.items()},
                chunksize=chunk_rows,
                quoting=csv.QUOTE_NONE,
                na_filter=bool(missing),
                na_values=missing or None,
                keep_default_na=False,
                skip_blank_lines=True,
            ) as pieces,
        ):
            while (piece := _next(pieces)) is not None:
                yield piece[list(columns)].astype(categories)
    except (ValueError, OverflowError, FloatingPointError, pd.errors.ParserError) as error:
        if str(error).startswith(str(path)):
            raise
        raise _line_error(Path(path), columns, separator, skipped, error) from error


def _next(pieces: Iterator[pd.DataFrame]) -> pd.DataFrame | None:
    """The next piece; infinite where there must be a whole number is an error."""
    with np.errstate(invalid="raise"):
        return next(pieces, None)


#: A category is read as text first: pandas 3 takes a piece of ``1`` and ``01`` for numbers.
_DTYPES: dict[str, Any] = {"str": "object", "category": "object"}


def first_line(path: str | Path) -> str:
    """The first line with data, without its end; empty if there is none."""
    return _head(path)[1]


def _head(path: str | Path, n_header: int = 0, separator: str | None = "\t") -> tuple[int, str]:
    """Lines above the data, and the first line with data; empty if there is none."""
    n_head = 0
    with open_text(path) as file:
        for line in file:
            if line.strip() and not line.startswith(HEADERS):
                rest = islice(chain([line], file), n_header, None)
                first = next((line for line in rest if not _is_blank(line, separator)), "")
                return n_head + n_header, first.rstrip("\n")
            n_head += 1
    return n_head, ""


def _is_blank(line: str, separator: str | None) -> bool:
    """Whether the reader passes over a line."""
    return not line.strip(_WHITE) and (separator is None or separator not in line)


def _line_error(
    path: Path, columns: Mapping[str, Column], separator: str | None, skipped: int, error: Exception
) -> ValueError:
    """What is wrong in which line: found by reading the file again, slowly."""
    with open_text(path) as file:
        for number, line in enumerate(file, start=1):
            if number <= skipped or _is_blank(line, separator):
                continue
            fields = line.rstrip("\n").split(separator)
            for name, column in columns.items():
                if column.index >= len(fields):
                    return ValueError(
                        f"{path}:{number}: {len(fields)} columns, but {name} is column {column.index + 1}: "
                        f"{line.rstrip()[:80]!r}."
                    )
                if not _holds(column, fields[column.index]):
                    return ValueError(
                        f"{path}:{number}: {name} (column {column.index + 1}) must be "
                        f"{'a whole number' if column.dtype == 'int64' else 'a number'}, "
                        f"not {fields[column.index][:80]!r}."
                    )
    return ValueError(f"{path}: {error}")


def _holds(column: Column, field: str) -> bool:
    """Whether a field is what its column must be; a whole number may be written as 1e6, as R does."""
    if column.dtype not in ("int64", "float64") or field in column.missing:
        return True
    try:
        number = float(field)
    except ValueError:
        return False
    if column.dtype == "int64":
        return number.is_integer() and -(2.0**63) <= number < 2.0**63 and "_" not in field
    return number == number and "_" not in field  # Python reads both, the reader does not


def line_of(path: str | Path, row: int, *, n_header: int = 0) -> int:
    """Line number (1-based) of a data row (0-based): for messages.

    Parameters
    ----------
    path
        The file.
    row
        Row among the rows that :func:`read_chunks` gives.
    n_header
        As given there.
    """
    head, _ = _head(path, n_header)
    with open_text(path) as file:
        rows = (number for number, line in enumerate(file, start=1) if number > head and line.strip())
        return next(number for i, number in enumerate(rows) if i == row)


def check_rows(path: str | Path, bad: np.ndarray, first_row: int, what: str, *, n_header: int = 0) -> None:
    """Refuse rows of a piece of a file.

    Parameters
    ----------
    path
        The file.
    bad
        Which rows of the piece are wrong.
    first_row
        Rows before this piece.
    what
        What is wrong with them.
    n_header
        As given to :func:`read_chunks`.

    Raises
    ------
    ValueError
        If there is one; the message names the line.
    """
    if bad.any():
        line = line_of(path, first_row + int(np.argmax(bad)), n_header=n_header)
        msg = f"{path}:{line}: {what} ({int(bad.sum())} such lines)." if bad.sum() > 1 else f"{path}:{line}: {what}."
        raise ValueError(msg)


def is_number(text: str) -> bool:
    """Whether a field holds a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True

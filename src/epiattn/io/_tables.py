"""Tables with a header, separated by tabs or commas: which column stands where."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

from ._sniff import head_of


class Header(NamedTuple):
    """The header of a table."""

    names: list[str]  # as many as there are columns
    first: list[str]  # the first line of data
    separator: str
    n_lines: int  # that it takes, beyond comments


def read_header(path: str | Path) -> Header:
    """The header is the first line, or the last comment above the data; R gives column 1 no name.

    Parameters
    ----------
    path
        Text file, gzipped or not.

    Raises
    ------
    FileNotFoundError
        If there is no file.
    ValueError
        If it is no text, or has no line below the header.
    """
    head = head_of(path, 2)
    comment, line = (head.comments or [""])[-1][1:], head.lines[0]
    separator = "\t" if "\t" in line else ","
    commented = len(split_line(comment, separator)) == len(split_line(line, separator)) > 1
    if not commented and len(head.lines) < 2:
        msg = f"{path}: the table needs a header with the names of the columns, and lines below it."
        raise ValueError(msg)
    header, first = (comment, line) if commented else head.lines
    names, row = split_line(header, separator), split_line(first, separator)
    if len(names) == len(row) - 1:
        names.insert(0, "")
    return Header(names, row, separator, int(not commented))


def split_line(line: str, separator: str) -> list[str]:
    """Fields of a line, without quotes, blanks around them, and empty ones at the end."""
    fields = [field.strip() for field in next(csv.reader([line], delimiter=separator), [])]
    while fields and not fields[-1]:
        fields.pop()
    return fields

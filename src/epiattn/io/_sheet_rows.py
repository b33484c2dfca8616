"""Rows of a sample sheet as they are written: from text, YAML or a DataFrame."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from ._text import open_text

_ROW = "a row is '- cell_type: …' with the other columns below"


class Row(NamedTuple):
    """Where a row stands, and the text in each column."""

    where: str
    cells: dict[str, str]


class Problems:
    """All that is wrong."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def add(self, where: str, what: object) -> None:
        """Note a problem."""
        self.texts.append(f"{where}: {what}")


def rows_of_table(table: pd.DataFrame, problems: Problems) -> Iterator[Row]:
    """Rows of a DataFrame; missing values are empty cells."""
    names = [str(name) for name in table.columns]
    _check_repeated("the sheet", names, problems)
    for label, row in zip(table.index.tolist(), table.itertuples(index=False, name=None), strict=True):
        cells = ["" if pd.api.types.is_scalar(cell) and pd.isna(cell) else str(cell).strip() for cell in row]
        yield Row(f"row {label!r}", dict(zip(names, cells, strict=True)))


def rows_of_text(path: Path, problems: Problems) -> Iterator[Row]:
    """Rows of text separated by commas, tabs or semicolons, with a header."""
    with open_text(path) as file:
        lines = [(number, line) for number, line in enumerate(file, 1) if line.strip() and not line.startswith("#")]
    if not lines:
        return
    separator = max(",\t;", key=lines[0][1].count)
    try:
        names, *rows = (_cells(line, separator) for _, line in lines)
    except csv.Error as error:
        msg = f"{path}: no table: {error}."
        raise ValueError(msg) from error
    _check_repeated(f"{path}:{lines[0][0]}", names, problems)
    for (number, _), cells in zip(lines[1:], rows, strict=True):
        where = f"{path}:{number}"
        if any(cells[len(names) :]):
            problems.add(where, f"{len(cells)} cells, but the header has {len(names)} columns.")
        elif any(cells):  # else an empty line of a spreadsheet
            yield Row(where, dict(zip(names, [*cells, *[""] * len(names)], strict=False)))


def _cells(line: str, separator: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line], delimiter=separator, skipinitialspace=True))]


def rows_of_yaml(path: Path, problems: Problems) -> Iterator[Row]:
    """Rows of YAML: a list of mappings.

    Raises
    ------
    ImportError
        If PyYAML is not installed.
    ValueError
        If it is no YAML, or no list.
    """
    try:
        import yaml
    except ImportError as error:
        msg = f"{path}: YAML needs PyYAML (python -m pip install pyyaml); or write the sheet as CSV."
        raise ImportError(msg) from error
    with open_text(path) as file:
        try:
            node = yaml.compose(file, Loader=yaml.SafeLoader)  # nodes know their lines, and keep the text as it is
        except yaml.YAMLError as error:
            msg = f"{path}: no YAML: {' '.join(str(error).split())}"
            raise ValueError(msg) from error
    if node is not None and not isinstance(node, yaml.SequenceNode):
        msg = f"{path}: must be a list of rows; {_ROW}."
        raise ValueError(msg)
    for item in node.value if node is not None else []:
        where = f"{path}:{item.start_mark.line + 1}"
        pairs = item.value if isinstance(item, yaml.MappingNode) else []
        if not pairs or not all(isinstance(part, yaml.ScalarNode) for pair in pairs for part in pair):
            problems.add(where, f"{_ROW}, each with one value.")
            continue
        _check_repeated(where, [key.value for key, _ in pairs], problems)
        yield Row(where, {key.value: value.value.strip() for key, value in pairs})


def _check_repeated(where: str, names: Sequence[str], problems: Problems) -> None:
    for name in sorted({name for name in names if list(names).count(name) > 1}):
        problems.add(where, f"column {name!r} comes twice.")

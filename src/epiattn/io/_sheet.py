"""The sample sheet: which file holds what of which cell type."""

from __future__ import annotations

import math
import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from epiattn import _keys as k
from epiattn._logging import logger
from epiattn._messages import did_you_mean

from ._formats import ASSAYS, PEAKS, check_format, guess_format
from ._sheet_rows import Problems, Row, rows_of_table, rows_of_text, rows_of_yaml
from ._sniff import EXPRESSION, REGULONS
from ._text import check_file

EVERY_CELL_TYPE = "*"
ASSAY, TARGET, PATH, FORMAT, SCALE, WEIGHT = "assay", "target", "path", "format", "scale", "weight"
COLUMNS = (k.CELL_TYPE, ASSAY, TARGET, PATH, FORMAT, SCALE, WEIGHT)
_REQUIRED = (k.CELL_TYPE, ASSAY, PATH)
#: What people call the columns and assays; only for hints.
_OTHER_NAMES = {
    "mark": TARGET,
    "factor": TARGET,
    "tf": TARGET,
    "antibody": TARGET,
    "file": PATH,
    "filename": PATH,
    "sample": k.CELL_TYPE,
    "cell": k.CELL_TYPE,
    "tissue": k.CELL_TYPE,
    "chip": "histone",
    "chip-seq": "histone",
    "chipseq": "histone",
    "atac": "accessibility",
    "atac-seq": "accessibility",
    "dnase": "accessibility",
    "dnase-seq": "accessibility",
    "wgbs": "methylation",
    "rrbs": "methylation",
    "bisulfite": "methylation",
    "rna-seq": "rna",
    "rnaseq": "rna",
    "expression": "rna",
    "regulons": "tf",
}
_EMPTY = ("", "na", "nan", "none", "null", "~")
#: Assays whose targets become layers of one modality, and whose signal can be scaled.
_SIGNAL = ("histone", "accessibility")
#: What else a sequencer may tell of DNA, but is not read.
_OTHER_METHYLATION = ("5hmc", "hmc", "5fc", "5cac", "4mc", "6ma", "chg", "chh")


def read_sheet(sheet: str | Path | pd.DataFrame) -> pd.DataFrame:
    r"""Read a sample sheet and check all of it.

    A row is a file of a cell type. Rows of the same cell type, assay and target are replicates. Columns:

    * ``cell_type``; ``*`` stands for every cell type of the sheet, as for a table of regulons.
    * ``assay``: ``histone``, ``accessibility``, ``methylation``, ``tf`` or ``rna``.
    * ``target``: the mark (``histone``), or the TF (``tf`` with peaks). Of ``accessibility`` the name of its layer,
      such as ``ATAC`` or ``DNase`` (default: ``accessibility``). Of ``rna`` the column of a table with several cell
      types (default: the column named like the cell type, or the only one). Else it is empty.
    * ``path``: of the file, relative to the folder of the sheet (of a DataFrame: to the working directory).
    * ``format`` (optional): see ``epiattn.io._formats.ASSAYS``; told by the name and content of the file where empty.
    * ``scale`` (optional): the signal (``histone``, ``accessibility``) is multiplied by this positive number; 1.
    * ``weight`` (optional): of a replicate in the mean of its replicates, a positive number; 1.

    Parameters
    ----------
    sheet
        Table with these columns, or the path of one: text separated by commas, tabs or semicolons with a header (lines
        that begin with ``#`` are passed over), or YAML (``.yaml``, ``.yml``) with a list of mappings.

    Returns
    -------
    Table with all of these columns, in this order, one row a row of the sheet; paths are absolute.

    Raises
    ------
    FileNotFoundError
        If there is no sheet.
    ValueError
        If anything is wrong: one message lists all problems with their lines.
    ImportError
        If the sheet is YAML and PyYAML is not installed.

    Examples
    --------
    >>> import epiattn as attn
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "H1.narrowPeak").write_text("chr1\t100\t300\t.\t0\t.\t7.5\t-1\t-1\t50\n")
    ...     path = Path(folder) / "samples.csv"
    ...     _ = path.write_text("cell_type,assay,target,path\nH1,histone,H3K4me3,H1.narrowPeak\n")
    ...     attn.io.read_sheet(path)[["cell_type", "target", "format", "weight"]]
      cell_type   target      format  weight
    0        H1  H3K4me3  narrowpeak     1.0
    """
    problems = Problems()
    if isinstance(sheet, pd.DataFrame):
        name, folder, rows = "the sheet", Path.cwd(), list(rows_of_table(sheet, problems))
    else:
        path = check_file(Path(sheet).expanduser())
        read = rows_of_yaml if path.suffix.lower() in (".yaml", ".yml") else rows_of_text
        name, folder, rows = str(path), path.absolute().parent, list(read(path, problems))
    if not rows and not problems.texts:
        problems.add(name, "no rows.")
    given = _check_columns(name, rows, problems)
    samples = [sample for row in rows if (sample := _check_row(row, folder, given, problems)) is not None]
    _check_together(name, samples, problems)
    if problems.texts:
        count = f"{len(problems.texts)} problems" if len(problems.texts) > 1 else "1 problem"
        msg = "\n  ".join([f"{name}: {count}.", *problems.texts])
        raise ValueError(msg)
    _warn_of_repeats(samples)
    return pd.DataFrame([sample.values for sample in samples], columns=list(COLUMNS))


class _Sample(NamedTuple):
    """A row that was understood."""

    where: str
    values: dict[str, Any]


# --- checks ----------------------------------------------------------------------------------------------------------


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    known = list(known)
    plain = word.lower().replace(" ", "_")
    return did_you_mean(_OTHER_NAMES[plain] if _OTHER_NAMES.get(plain) in known else plain, known)


def _check_columns(name: str, rows: list[Row], problems: Problems) -> list[str]:
    """The columns that the sheet has."""
    names = list(dict.fromkeys(column for row in rows for column in row.cells))
    for column in names:
        if column not in COLUMNS:
            hint = _did_you_mean(column, [each for each in COLUMNS if each not in names])
            problems.add(name, f"unknown column {column!r}; known are {list(COLUMNS)}.{hint}")
    for column in _REQUIRED if rows else ():
        if column not in names:
            problems.add(name, f"no column {column!r}.")
    return names


def _check_row(row: Row, folder: Path, given: list[str], problems: Problems) -> _Sample | None:
    """A row with defaults filled in; ``None`` if anything in it is wrong."""
    before = len(problems.texts)
    cells = {column: row.cells.get(column, "") for column in COLUMNS}
    cells = {column: "" if cell.lower() in _EMPTY else cell for column, cell in cells.items()}
    for column in _REQUIRED:
        if column in given and not cells[column]:
            problems.add(row.where, f"{column} is empty.")
    assay = cells[ASSAY].lower()
    if assay and assay not in ASSAYS:
        hint = _did_you_mean(assay, ASSAYS)
        problems.add(row.where, f"assay must be one of {list(ASSAYS)}, not {cells[ASSAY]!r}.{hint}")
    numbers = {column: _positive(row, column, cells[column], problems) for column in (SCALE, WEIGHT)}
    path = Path(os.path.abspath(folder / Path(cells[PATH]).expanduser()))  # noqa: PTH100 - links keep their names
    format = _format_of(row, path, assay, cells[FORMAT], problems) if cells[PATH] and assay in ASSAYS else ""
    if assay in ASSAYS and assay not in _SIGNAL and cells[SCALE] and numbers[SCALE] != 1:
        problems.add(row.where, f"scale is for {' and '.join(_SIGNAL)}, not for {assay}; leave it empty.")
    if problem := _wrong_target(assay, cells[TARGET], format):
        problems.add(row.where, problem)
    if len(problems.texts) > before or not all(cells[column] for column in _REQUIRED):
        return None
    if assay in ("accessibility", "methylation"):
        cells[TARGET] = (cells[TARGET] if assay in _SIGNAL else "") or assay
    return _Sample(row.where, {**cells, ASSAY: assay, PATH: str(path), FORMAT: format, **numbers})


def _positive(row: Row, column: str, cell: str, problems: Problems) -> float:
    try:
        number = float(cell) if cell else 1.0
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        problems.add(row.where, f"{column} must be a positive number, not {cell!r}.")
    return number


def _format_of(row: Row, path: Path, assay: str, cell: str, problems: Problems) -> str:
    if "://" in cell or "://" in row.cells[PATH]:
        problems.add(row.where, f"{row.cells[PATH]!r} is an address: download the file.")
        return ""
    try:
        return check_format(path, assay, cell) if cell else guess_format(path, assay)
    except (OSError, ValueError) as error:
        problems.add(row.where, error)
        return ""


def _wrong_target(assay: str, target: str, format: str) -> str | None:
    """What is wrong with a target, if anything is."""
    if assay == "histone" and not target:
        return "target is empty; it must be the mark, such as H3K4me3."
    if assay == "tf" and format in PEAKS and not target:
        return "target is empty; it must be the TF whose peaks these are."
    if assay == "tf" and format == REGULONS and target:
        return f"target must be empty, not {target!r}: a table of regulons names its TFs."
    if assay == "methylation" and target.lower() in _OTHER_METHYLATION:
        return f"target {target!r}: what is read is 5-methylcytosine of CpGs; leave the target empty."
    if assay in _SIGNAL and "/" in target:
        return f"target {target!r} must not contain '/'."
    if assay in _SIGNAL and is_reserved(target):
        return f"target {target!r} is what the package calls results of its own; choose another name."
    return None


def is_reserved(layer: str) -> bool:
    """Whether a layer of this name would be taken for a result, not for a mark."""
    return layer.startswith(k.truth("")) or layer.endswith((k.attention(""), k.normalized("")))


def _check_together(name: str, samples: list[_Sample], problems: Problems) -> None:
    """What no single row shows."""
    first: dict[tuple[str, ...], str] = {}
    for where, values in samples:
        key = tuple(values[column] for column in (k.CELL_TYPE, ASSAY, TARGET, PATH))
        if key in first:
            what = " ".join(filter(None, key[:3]))
            problems.add(where, f"the same file as in {first[key]} for {what}: {values[PATH]}.")
        first.setdefault(key, where)
    _check_spelling(samples, k.CELL_TYPE, problems)
    _check_spelling([sample for sample in samples if sample.values[ASSAY] in _SIGNAL], TARGET, problems)
    if samples and all(sample.values[k.CELL_TYPE] == EVERY_CELL_TYPE for sample in samples):
        problems.add(name, f"no cell type is named, only {EVERY_CELL_TYPE!r} (every cell type).")


def _check_spelling(samples: list[_Sample], column: str, problems: Problems) -> None:
    """``H3K4me3`` and ``H3k4me3`` are meant to be the same."""
    first: dict[str, _Sample] = {}
    for where, values in samples:
        known = first.setdefault(values[column].lower(), _Sample(where, values))
        if values[column] != (name := known.values[column]):
            problems.add(where, f"{column} {values[column]!r} is {name!r} in {known.where}: spell them the same.")


def _warn_of_repeats(samples: list[_Sample]) -> None:
    """Say which tracks stand in the sheet more than once: that is rarely meant."""
    uses: dict[str, list[_Sample]] = defaultdict(list)
    for sample in samples:
        if sample.values[FORMAT] not in (EXPRESSION, REGULONS):
            uses[sample.values[PATH]].append(sample)
    for path, used in uses.items():
        if len(used) > 1:
            logger.warning("%s stands in %s: is that meant?", path, ", ".join(sample.where for sample in used))

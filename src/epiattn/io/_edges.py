"""Tables of edges between TFs and their targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from epiattn._keys import BINDING, MODE

from ._tables import read_header
from ._text import Column, check_rows, read_chunks

if TYPE_CHECKING:
    import pandas as pd

#: Columns of an edge table, and what else they are called; the first that is there counts.
_NAMES = {
    "tf": ("tf", "source", "regulator"),
    "target": ("target", "target_gene", "gene"),
    "confidence": ("confidence",),
    "weight": ("weight", "likelihood"),
    "mode": ("mor", "mode", "sign"),
}
_NAMELESS = ("", "nan", "NaN", "NA", "None")
#: DoRothEA's levels of confidence as numbers.
CONFIDENCE: Mapping[str, float] = MappingProxyType({"A": 1.0, "B": 0.8, "C": 0.6, "D": 0.4, "E": 0.2})


def read_edges(edges: str | Path | pd.DataFrame, *, confidence: Mapping[str, float] = CONFIDENCE) -> pd.DataFrame:
    """Read a table of edges.

    Parameters
    ----------
    edges, confidence
        See :func:`epiattn.io.read_regulons`; what this function returned is returned as it is.

    Returns
    -------
    Edges in the order of the table: ``tf`` and ``target`` (categorical), ``binding`` (confidence, or size of the
    weight, or 1), ``mode`` (1, -1 or 0).

    Raises
    ------
    FileNotFoundError
        If there is no file.
    ValueError
        If there is no column of TFs or targets, a name is missing, or a confidence, weight or mode makes no sense.
    """
    import pandas as pd

    if not isinstance(edges, pd.DataFrame):
        texts, n_header = _read(edges)

        def refuse(bad: np.ndarray, what: str) -> None:
            check_rows(edges, bad, 0, what, n_header=n_header)  # type: ignore[arg-type]

        return _convert(texts, confidence, refuse)
    if set(edges) >= {"tf", "target", BINDING, MODE} and edges["target"].dtype == "category":
        return edges
    index = edges.index
    places = _find("edges", [str(name) for name in edges])
    columns = {name: edges.iloc[:, i].astype(object) for name, i in places.items()}
    texts = pd.DataFrame({name: column.where(column.notna(), "NA").astype(str) for name, column in columns.items()})

    def refuse_row(bad: np.ndarray, what: str) -> None:
        if bad.any():
            msg = f"edges, row {index[int(np.argmax(bad))]!r}: {what}."
            raise ValueError(msg)

    return _convert(texts.astype("category"), confidence, refuse_row)


def _read(path: str | Path) -> tuple[pd.DataFrame, int]:
    """Texts of the columns that matter, as categories, and the number of lines of the header."""
    import pandas as pd

    header = read_header(path)
    columns = {name: Column(i, "category") for name, i in _find(str(path), header.names).items()}
    pieces = read_chunks(path, columns, separator=header.separator, n_header=header.n_lines)
    return pd.concat(pieces, ignore_index=True).astype("category"), header.n_lines


def _convert(
    texts: pd.DataFrame, confidence: Mapping[str, float], refuse: Callable[[np.ndarray, str], None]
) -> pd.DataFrame:
    """Numbers of texts; ``refuse`` raises where a row is wrong."""
    import pandas as pd

    def each(name: str, function: Callable[[Any], Any]) -> np.ndarray:
        """A function of every text of a column, called once for each category."""
        column = texts[name].cat
        categories = pd.Series(column.categories.astype(str)).str.strip().str.strip('"')
        return np.asarray(function(categories))[column.codes]

    def number(categories: pd.Series) -> pd.Series:
        return pd.to_numeric(categories, errors="coerce").astype(float)

    table = {}
    for name in ("tf", "target"):
        refuse(each(name, lambda names: names.isin(_NAMELESS)), f"the {name} has no name")
        table[name] = pd.Categorical(each(name, lambda names: names))
    binding, mode = np.ones(len(texts)), np.ones(len(texts))
    if "weight" in texts:
        weight = each("weight", number)
        refuse(~np.isfinite(weight), "the weight must be a number")
        binding, mode = np.abs(weight), np.sign(weight)
    if "confidence" in texts:
        binding = each("confidence", lambda texts: texts.map(dict(confidence)).astype(float).fillna(number(texts)))
        what = f"the confidence must be one of {', '.join(confidence)}, or a number of 0 or more"
        refuse(~(np.isfinite(binding) & (binding >= 0)), what)
    if "mode" in texts:
        mode = np.sign(each("mode", number))
        refuse(~np.isfinite(mode), "the mode must be a number: 1 activates, -1 represses, 0 is not known")
    return pd.DataFrame({**table, BINDING: binding, MODE: mode})


def _find(where: str, names: Sequence[str]) -> dict[str, int]:
    """Where the columns of an edge table stand."""
    plain = [name.strip().lower().lstrip("#") for name in names]
    found = {
        column: plain.index(next(name for name in known if name in plain))
        for column, known in _NAMES.items()
        if any(name in plain for name in known)
    }
    if lacking := [column for column in ("tf", "target") if column not in found]:
        known = " and ".join(f"{column!r} (or {', '.join(_NAMES[column][1:])})" for column in lacking)
        msg = f"{where}: a table of edges needs a header with {known}; its columns are {names}."
        raise ValueError(msg)
    return found

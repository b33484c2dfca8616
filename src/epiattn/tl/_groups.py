"""Which model is for which observations: one for all, or one for each cell type, as in Kang et al. 2020."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np

from epiattn import _keys as k
from epiattn._compat import take

from ._ensemble import Ensemble

if TYPE_CHECKING:
    from mudata import MuData

ALL = ""  # the model of all observations
_INDEX = "cell_types.json"  # folder of each cell type's model
Models = Mapping[str, Ensemble]


def rows_of_parts(mdata: MuData, per: str | None) -> dict[str, np.ndarray]:
    """The observations of each model, by name: those of each cell type, or all of them.

    Raises
    ------
    ValueError
        If there is no cell type, or it is missing for an observation.
    """
    if per is None:
        return {ALL: np.arange(mdata.n_obs)}
    if k.CELL_TYPE not in mdata.obs:
        msg = "per='cell_type' needs obs['cell_type'], which is missing."
        raise ValueError(msg)
    cell_type = mdata.obs[k.CELL_TYPE]
    if cell_type.isna().any():
        n, first = int(cell_type.isna().sum()), mdata.obs_names[cell_type.isna()][0]
        msg = f"per='cell_type': obs['cell_type'] is missing for {n} observations, such as {first!r}."
        raise ValueError(msg)
    names = cell_type.astype(str)
    return {name: np.flatnonzero(names == name) for name in names.unique()}


def parts_of(mdata: MuData, per: str | None) -> Iterator[tuple[str, np.ndarray, MuData]]:
    """The observations of each model, one after the other: name, rows, and an object that holds just these."""
    for name, rows in rows_of_parts(mdata, per).items():
        yield name, rows, mdata if name == ALL else take(mdata, rows)


def check_folder(model_dir: str | Path | None) -> None:
    """Refuse a place for models that is a file."""
    if model_dir is not None and Path(model_dir).exists() and not Path(model_dir).is_dir():
        msg = f"model_dir={str(model_dir)!r} is a file; it must be a folder (or not exist yet)."
        raise ValueError(msg)


def save_models(models: Models, folder: Path) -> None:
    """Save the one model in a folder, or each cell type's in a folder of its own; what was there is replaced."""
    if ALL in models:
        (folder / _INDEX).unlink(missing_ok=True)
        models[ALL].save(folder)
        return
    for own in ("model.pt", "ensemble.json"):
        (folder / own).unlink(missing_ok=True)
    places = {name: quote(name, safe=" ") for name in models}
    for name, model in models.items():
        model.save(folder / places[name])
    (folder / _INDEX).write_text(json.dumps(places, indent=2) + "\n", encoding="utf-8")


def load_models(folder: Path) -> dict[str, Ensemble]:
    """What :func:`save_models` saved."""
    if not (folder / _INDEX).is_file():
        return {ALL: Ensemble.load(folder)}
    places = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
    return {name: Ensemble.load(folder / place) for name, place in places.items()}

"""Members of ensembles, and models of cell types, trained at the same time in several processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from epiattn import _keys as k
from epiattn._compat import take
from epiattn._engine import Arrays, Pieces, Task, n_processes, run

from ._ensemble import Recipe, train_member
from ._groups import ALL
from ._shared import named_columns, read_shared, write_shared

if TYPE_CHECKING:
    from mudata import MuData

    from epiattn.models import RegulatoryModel

#: Gives a trained model of a part of the object, by the part's name.
Trainer = Callable[[str], Callable[["MuData", Recipe, int], "RegulatoryModel"]]


@contextmanager
def trainer(
    mdata: MuData, names: Sequence[str], recipe: Recipe, seeds: Sequence[int], *, n_jobs: int | None
) -> Iterator[Trainer]:
    """What trains the members when they are asked for, or has trained all of them in other processes.

    A model of another process is the same, bit by bit: it is saved there, and loaded here.

    Parameters
    ----------
    mdata
        The object.
    names
        Names of its parts, each of which gets models of its own: cell types, or that of all observations.
    recipe
        What to train.
    seeds
        One of each member.
    n_jobs
        Processes; ``None``: one for each core where that pays, and none where what the caller wants to see happens in
        them: callbacks and loggers.
    """
    if n_jobs is None:
        watched = any(recipe.train_options.get(name) for name in ("callbacks", "logger"))
        n_jobs = 1 if watched else n_processes(len(names) * len(seeds), mdata.n_obs)
    if n_jobs == 1:
        yield lambda _: train_member
        return
    with TemporaryDirectory(prefix="epiattn-") as folder:
        source = Path(folder) / "data.h5mu"
        columns = [recipe.label_key, recipe.split_key, *named_columns(recipe.model_options)]
        write_shared(mdata, source, channels=recipe.channels, columns=columns)
        places = {(name, seed): Path(folder) / f"{i}_{seed}" for i, name in enumerate(names) for seed in seeds}
        tasks = [
            Task(_title(name, recipe, seed), place.name, train_and_save, (source, name, recipe, seed, place))
            for (name, seed), place in places.items()
        ]
        run(tasks, Pieces(Path(folder)), n_jobs=n_jobs, title="Training")
        yield lambda name: lambda part, recipe, seed: _load(places[name, seed], part, recipe)


def train_and_save(source: Path, name: str, recipe: Recipe, seed: int, place: Path) -> Arrays:
    """Train one model, and save it; runs in a worker."""
    mdata = read_shared(source)
    if name != ALL:
        mdata = take(mdata, np.flatnonzero(mdata.obs[k.CELL_TYPE].astype(str) == name))
    recipe.model_class.setup_mudata(mdata, channels=recipe.channels, label_key=recipe.label_key)
    options = {"enable_progress_bar": False, **recipe.train_options}
    with named(name):
        train_member(mdata, recipe._replace(train_options=options), seed).save(str(place))
    return {}


@contextmanager
def named(cell_type: str) -> Iterator[None]:
    """Say in an error which cell type it is about."""
    try:
        yield
    except ValueError as error:
        if cell_type == ALL:
            raise
        msg = f"Cell type {cell_type!r}: {error}"
        raise ValueError(msg) from error


def _load(place: Path, part: MuData, recipe: Recipe) -> RegulatoryModel:
    """A model that was trained elsewhere, where the training would have left it."""
    devices = recipe.train_options.get("devices", "auto")
    device = devices[0] if isinstance(devices, list) else "auto"
    accelerator = recipe.train_options.get("accelerator", "auto")
    return recipe.model_class.load(place, part, accelerator=accelerator, device=device)


def _title(name: str, recipe: Recipe, seed: int) -> str:
    return ", ".join([recipe.model, *([] if name == ALL else [name]), f"seed {seed}"])

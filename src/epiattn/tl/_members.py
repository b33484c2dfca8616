"""Members of ensembles, and models of cell types, trained at the same time in several processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from epiattn._engine import Arrays, Pieces, Task, n_processes, n_workers, run
from epiattn._registry import models

from ._ensemble import Recipe, seeded, train_member, train_members
from ._groups import ALL, parts_of, rows_of_parts
from ._shared import named_columns, read_shared, write_shared

if TYPE_CHECKING:
    from mudata import MuData

    from epiattn.models import RegulatoryModel

    from ._ensemble import Members

#: Gives what trains the models of a part of the object, by the part's name.
Trainer = Callable[[str], Callable[["MuData", Recipe, Sequence[int]], "Members"]]


@contextmanager
def trainer(
    mdata: MuData, per: str | None, recipe: Recipe, seeds: Sequence[int], *, n_jobs: int | None
) -> Iterator[Trainer]:
    """What trains the members when they are asked for, or has trained all of them in other processes.

    A model of another process is saved there, and loaded here. On a CPU, and with PyTorch's settings as they are at the
    start, it is the same bit by bit.

    Parameters
    ----------
    mdata
        The object.
    per
        Whose models these are, as for :func:`epiattn.tl.fit`.
    recipe
        What to train.
    seeds
        One of each member.
    n_jobs
        Processes; ``None``: one for each core where that pays. None beside this one where the caller wants to see what
        happens in it (callbacks, loggers), for models that were registered in this session, and on a GPU.
    """
    names = list(rows_of_parts(mdata, per))
    members = [(name, seed) for name in names for seed in seeds]
    if n_jobs is None:
        n_jobs = n_processes(len(members), mdata.n_obs) if _may_go(recipe) else 1
    if n_workers(n_jobs, len(members)) == 1:
        yield lambda _: train_members
        return
    with TemporaryDirectory(prefix="epiattn-") as folder:
        columns = [recipe.label_key, recipe.split_key, *named_columns(recipe.model_options)]
        sources = {name: Path(folder) / f"{i}.h5mu" for i, name in enumerate(names)}
        for name, _, part in parts_of(mdata, per):
            with named(name):
                write_shared(part, sources[name], channels=recipe.channels, columns=columns)
        places = {(name, seed): sources[name].with_name(f"{sources[name].stem}_{seed}") for name, seed in members}
        tasks = [
            Task(_title(name, recipe, seed), place.name, train_and_save, (sources[name], name, recipe, seed, place))
            for (name, seed), place in places.items()
        ]
        run(tasks, Pieces(Path(folder)), n_jobs=n_jobs, title="Training")
        yield (
            lambda name: (
                lambda part, recipe, seeds: {seed: _load(places[name, seed], part, recipe, seed) for seed in seeds}
            )
        )


def _may_go(recipe: Recipe) -> bool:
    """Whether other processes may train without being asked for."""
    return not recipe.watched and recipe.model not in models.added and recipe.device.type == "cpu"


def train_and_save(source: Path, name: str, recipe: Recipe, seed: int, place: Path) -> Arrays:
    """Train one model, and save it; runs in a worker."""
    mdata = read_shared(source)
    options = {"enable_progress_bar": False, **recipe.train_options}
    with named(name):
        recipe.model_class.setup_mudata(mdata, channels=recipe.channels, label_key=recipe.label_key)
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


def _load(place: Path, part: MuData, recipe: Recipe, seed: int) -> RegulatoryModel:
    """A model that was trained elsewhere, where the training would have left it."""
    with seeded(seed):  # it draws weights before it gets its own
        model = recipe.model_class.load(place, part, accelerator="cpu")
    model.to_device(recipe.device)
    return model


def _title(name: str, recipe: Recipe, seed: int) -> str:
    return ", ".join([recipe.model, *([] if name == ALL else [name]), f"seed {seed}"])

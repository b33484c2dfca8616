"""Train every model on every fold: each run is a job, done here or in other processes, and kept."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import sparse

from epiattn import _keys as k
from epiattn._compat import new_mudata
from epiattn._engine import Arrays, Pieces, Task, fingerprint, n_processes, run
from epiattn._logging import logger
from epiattn._modalities import find_channels
from epiattn._registry import baselines, models

from ._ensemble import Recipe, parse_name, train_ensemble
from ._fit import _sort_options
from ._shared import named_columns, read_shared, write_shared
from ._write import setup_undone

if TYPE_CHECKING:
    from dask.distributed import Client
    from mudata import MuData

    from epiattn.pp._folds import Fold

#: Column of ``obs`` with the parts, in the object that a job works on.
_SPLIT = "epiattn_fold"


class Job(NamedTuple):
    """One model, one fold, one seed."""

    model: str
    fold: int
    seed: int


class Result(NamedTuple):
    """Scores of all observations (NaN where there is none), seconds, and why there are no scores."""

    score: np.ndarray
    seconds: float
    reason: str


class Setup(NamedTuple):
    """What all jobs share."""

    target: str
    channels: Mapping[str, Sequence[str]] | None
    label_key: str


def run_jobs(
    mdata: MuData,
    named: Mapping[str, Mapping[str, Any]],
    folds: Sequence[Fold],
    seeds: Sequence[int],
    setup: Setup,
    *,
    n_jobs: int | None,
    client: Client | None,
    folder: str | Path | None,
    tolerant: bool,
) -> dict[Job, Result]:
    """Train each model with its options on each fold with each seed.

    Parameters
    ----------
    mdata
        The object; it stays as it is.
    named
        Options of each model or baseline, by name.
    folds, seeds
        Folds and seeds.
    setup
        Target, channels and labels.
    n_jobs
        Processes; ``None``: one for each core where that pays.
    client
        A Dask client instead.
    folder
        Where results are kept, so that another call goes on from there; ``None``: nowhere. Another version of the
        package trains anew.
    tolerant
        Whether a model that cannot be trained on this object is a result (with the reason) instead of an error.
    """
    jobs = [Job(name, fold, seed) for fold in range(len(folds)) for seed in seeds for name in named]
    if n_jobs is None:
        n_jobs = n_processes(len(jobs), mdata.n_obs)
    with _place(folder) as place:
        data = fingerprint(version("epiattn"), *_contents(mdata, setup))
        source: MuData | Path = mdata
        if client is not None or n_jobs != 1:
            source = place / f"{data}.h5mu"
            if not source.exists():
                columns = [setup.label_key, *named_columns(*named.values())]
                write_shared(mdata, source, channels=setup.channels, columns=columns)
        tasks = {}
        for job in jobs:
            parts = np.asarray(folds[job.fold].values, dtype=object)
            arguments = (source, job.model, parts, job.seed, setup, dict(named[job.model]), tolerant)
            codes = folds[job.fold].values.codes
            key = fingerprint(data, job.model, codes, job.seed, setup, sorted(named[job.model].items()), tolerant)
            tasks[job] = Task(f"{job.model}, {folds[job.fold].name}, seed {job.seed}", key, train_one, arguments)
        pieces = Pieces(place)
        run(list(tasks.values()), pieces, n_jobs=n_jobs, client=client, title="Training")
        return {job: _result(pieces.load(task)) for job, task in tasks.items()}


def train_one(
    source: MuData | Path,
    name: str,
    parts: np.ndarray,
    seed: int,
    setup: Setup,
    options: dict[str, Any],
    tolerant: bool,
) -> Arrays:
    """Train on one split and score all observations; runs in a worker."""
    import pandas as pd

    whole = read_shared(source) if isinstance(source, Path) else source
    obs = whole.obs.assign(**{_SPLIT: pd.Categorical(parts, categories=list(k.PARTS))})
    mdata = new_mudata(whole.mod, obs)
    start = time.perf_counter()
    reason, score = "", np.full(mdata.n_obs, np.nan, np.float32)
    try:
        predict = _predict_baseline if name in baselines else _predict_model
        with _silent():
            score = predict(mdata, name, seed, setup, options)
    except ValueError as error:
        if not tolerant:
            raise
        reason = str(error)
    return {
        "score": np.asarray(score, np.float32),
        "seconds": np.array(time.perf_counter() - start),
        "reason": np.array(reason),
    }


def _predict_baseline(mdata: MuData, name: str, seed: int, setup: Setup, options: Mapping[str, Any]) -> np.ndarray:
    entry = baselines[name]
    arguments = {"target": setup.target, "channels": setup.channels, "label_key": setup.label_key}
    return entry.load()(mdata, **arguments, split_key=_SPLIT, seed=seed, **entry.options, **options)


def _predict_model(mdata: MuData, name: str, seed: int, setup: Setup, options: Mapping[str, Any]) -> np.ndarray:
    """Of an ensemble, no seed is used twice: the members of seed s have the seeds from s times their number on."""
    name, n_models = parse_name(name)
    model_class = models[name].load()
    of_model, of_train = _sort_options(model_class, {**models[name].options, **options})
    recipe = Recipe(
        name,
        setup.target,
        setup.channels,
        setup.label_key,
        _SPLIT,
        of_model,
        {"enable_progress_bar": False, **of_train},
    )
    with setup_undone(model_class, mdata):
        _, outputs = train_ensemble(mdata, recipe, range(seed * n_models, (seed + 1) * n_models))
    return outputs.prediction


@contextmanager
def _silent() -> Iterator[None]:
    """No word about each of many trainings."""
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _result(arrays: Arrays) -> Result:
    return Result(arrays["score"], float(arrays["seconds"]), str(arrays["reason"]))


@contextmanager
def _place(folder: str | Path | None) -> Iterator[Path]:
    if folder is None:
        with TemporaryDirectory(prefix="epiattn-") as name:
            yield Path(name)
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    yield Path(folder)


# --- the data that jobs read ------------------------------------------------------------------------------------------


def _contents(mdata: MuData, setup: Setup) -> Iterator[Any]:
    """All that a result depends on."""
    yield mdata.obs_names.to_numpy(dtype=object).astype(str)
    if setup.label_key in mdata.obs:
        yield mdata.obs[setup.label_key].astype(str).to_numpy(dtype=str)
    for modality, names in find_channels(mdata, setup.channels).items():
        yield modality
        for name in names:
            values = mdata[modality].layers[name]
            csr = sparse.csr_array(values) if sparse.issparse(values) else None
            yield from (name, np.asarray(values)) if csr is None else (name, csr.data, csr.indices, csr.indptr)
        if k.N_CPG in mdata[modality].obs:
            yield mdata[modality].obs[k.N_CPG].to_numpy()
        if k.MEASURED in mdata[modality].obsm:
            yield np.asarray(mdata[modality].obsm[k.MEASURED])
    if k.RNA in mdata.mod:
        yield np.asarray(mdata[k.RNA].X if not sparse.issparse(mdata[k.RNA].X) else mdata[k.RNA].X.toarray())

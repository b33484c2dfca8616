"""Out-of-fold predictions of one model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from epiattn import _keys as k
from epiattn._registry import models
from epiattn._validation import as_mudata, check_choice, check_key, give_back
from epiattn.pp._folds import folds as all_folds

from ._ensemble import check_n_models, name_of
from ._fit import _sort_options
from ._jobs import Job, Result, Setup, run_jobs
from ._ownership import check_places, plain, remove_places
from ._scoring import MEASURES, Truth
from ._tables import fold_table, summarize

if TYPE_CHECKING:
    from dask.distributed import Client
    from mudata import MuData

    from epiattn.pp._folds import Fold


def cross_validate(
    mdata: MuData,
    *,
    model: str = "multi_attention",
    target: str = "label",
    by: str = "chrom",
    n_folds: int | None = None,
    preset: str | None = None,
    seeds: Sequence[int] = (0,),
    channels: Mapping[str, Sequence[str]] | None = None,
    label_key: str = k.LABEL,
    n_models: int = 1,
    key_added: str = "cv",
    n_jobs: int | None = None,
    client: Client | None = None,
    folder: str | Path | None = None,
    copy: bool = False,
    **options: Any,
) -> MuData:
    """Predict every observation by a model that has not seen its chromosome (or cell type, or other group).

    In each fold a model is trained anew, with validation groups of its own for early stopping, and scores the test
    groups. Metrics are computed within a fold, never on scores of several models together.

    Parameters
    ----------
    mdata
        The object, as for :func:`fit`.
    model
        Name of a model or a baseline.
    target
        ``"label"`` or ``"expression"``.
    by, n_folds, preset
        How to split, see :func:`epiattn.pp.split`; four folds by chromosome by default.
    seeds
        Each fold is trained once with each seed.
    channels, label_key
        As for :func:`fit`.
    n_models
        Train this many models instead of each, and take the mean of what they say; see :func:`fit`. For seed s their
        seeds are those from ``s * n_models`` on, so that several seeds share none.
    key_added
        Prefix of everything that is written.
    n_jobs
        Processes; ``None``: one for each core where there are enough observations; -1: one for each core.
    client
        A Dask client, whose workers do the training; they must see ``folder``.
    folder
        Folder in which each trained fold is kept: an interrupted call goes on from there. ``None``: nothing is kept.
    copy
        Work on a copy.
    **options
        Further arguments of the model and of its training.

    Returns
    -------
    The same object (a copy with ``copy=True``), with these fields written:

    ``obs["cv_score"]``
        out-of-fold score: probability of high expression, or predicted expression; the mean over the seeds
    ``obs["cv_fold"]``
        the fold in which the observation was tested
    ``uns["cv"]``
        parameters; ``folds``, a DataFrame (model, fold, seed, metric, value, n_obs, seconds, note); ``summary``, a
        DataFrame of each metric with its 95 % interval; the ``splits``

    Raises
    ------
    TypeError
        If an option is unknown.
    ValueError
        If the object is not as the data model says, or it cannot be split like that.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=300, cell_types=1)
    >>> mdata = attn.tl.cross_validate(mdata, model="logistic", n_folds=3)
    >>> mdata.uns["cv"]["summary"].set_index("metric")["value"]["auc"].round(1)
    np.float64(0.9)
    """
    check_choice("target", target, MEASURES)
    check_n_models(n_models)
    if model not in models and n_models > 1:
        msg = f"n_models={n_models} is for models, not for the baseline {model!r}."
        raise ValueError(msg)
    if model in models:
        _sort_options(models[model].load(), {**models[model].options, **options})
    given, mdata = mdata, as_mudata(mdata, copy=copy)
    check_key(mdata, key_added)
    places = [f"obs/{k.score(key_added)}", f"obs/{k.fold(key_added)}"]
    check_places(mdata, key_added, places)
    folds = all_folds(mdata, by=by, n_folds=n_folds, preset=preset)
    truth = Truth(mdata, target, label_key)
    setup = Setup(target, channels, label_key)
    name = name_of(model, n_models)
    results = run_jobs(
        mdata, {name: options}, folds, seeds, setup, n_jobs=n_jobs, client=client, folder=folder, tolerant=False
    )
    remove_places(mdata, key_added)
    scores = out_of_fold(results, folds, name)
    mdata.obs[k.score(key_added)] = scores
    mdata.obs[k.fold(key_added)] = tested_in(folds)
    record = {
        "model": name,
        "target": target,
        "label_key": label_key,
        "by": by,
        "seeds": list(seeds),
        "options": options,
        "preset": preset,
    }
    mdata.uns[key_added] = {
        **plain(record),
        "folds": fold_table(results, folds, truth),
        "summary": summarize(results, folds, truth),
        "splits": {fold.name: plain(fold.record) for fold in folds},
        "written": places,
    }
    return give_back(mdata, given, copy=copy)


def out_of_fold(results: Mapping[Job, Result], folds: Sequence[Fold], model: str) -> np.ndarray:
    """Score of each observation by the models that did not see it, mean over seeds; NaN where it is never tested."""
    scores: list[np.ndarray] = []
    for i, fold in enumerate(folds):
        of_seeds = np.mean([result.score for job, result in results.items() if job[:2] == (model, i)], axis=0)
        scores.append(np.where(np.asarray(fold.values == k.TEST), of_seeds, np.nan))
    stacked = np.array(scores)
    there = np.isfinite(stacked)
    n = there.sum(0)
    return np.where(n > 0, np.where(there, stacked, 0).sum(0) / np.maximum(n, 1), np.nan).astype(np.float32)


def tested_in(folds: Sequence[Fold]) -> Any:
    """The fold in which each observation is tested, categorical; missing where there is none."""
    import pandas as pd

    codes = np.full(len(folds[0].values), -1)
    for i, fold in enumerate(folds):
        codes[np.asarray(fold.values == k.TEST)] = i
    return pd.Categorical.from_codes(codes, categories=[fold.name for fold in folds])

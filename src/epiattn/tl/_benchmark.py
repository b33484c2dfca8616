"""All models beside all baselines, on the same folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from epiattn import _keys as k
from epiattn._logging import logger
from epiattn._registry import baselines
from epiattn._registry import models as registered
from epiattn._validation import as_mudata, check_choice, check_key, give_back
from epiattn.pp._folds import folds as all_folds

from ._cross_validate import out_of_fold, tested_in
from ._ensemble import parse_name
from ._fit import _sort_options
from ._jobs import Setup, run_jobs
from ._ownership import check_places, plain, remove_places
from ._scoring import MEASURES, Truth
from ._tables import fold_table, summarize

if TYPE_CHECKING:
    import pandas as pd
    from dask.distributed import Client
    from mudata import MuData


def benchmark(
    mdata: MuData,
    *,
    models: str | Sequence[str] | Mapping[str, Mapping[str, Any]] = "all",
    target: str = "label",
    by: str = "chrom",
    n_folds: int | None = None,
    preset: str | None = None,
    seeds: Sequence[int] = (0,),
    channels: Mapping[str, Sequence[str]] | None = None,
    label_key: str = k.LABEL,
    key_added: str = "benchmark",
    n_jobs: int | None = None,
    client: Client | None = None,
    folder: str | Path | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Train models and baselines on the same folds and compare them.

    Metrics are computed within each fold and seed. A model or baseline that this object cannot train (no CpGs, one
    cell type, …) is in the table with the reason.

    Parameters
    ----------
    mdata
        The object, as for :func:`fit`.
    models
        ``"all"`` (every registered model and baseline), ``"baselines"``, names of models and baselines, or a mapping
        of names to their own options, such as ``{"kang2020": {"n_heads": 5}, "logistic": {}}``. A name such as
        ``"multi_attention x5"`` is an ensemble of five; see ``n_models`` of :func:`fit`, and of
        :func:`cross_validate` for its seeds.
    target
        ``"label"`` or ``"expression"``.
    by, n_folds, preset
        How to split, see :func:`epiattn.pp.split`; four folds by chromosome by default.
    seeds
        Each model is trained on each fold once with each seed.
    channels, label_key
        As for :func:`fit`.
    key_added
        Prefix of everything that is written.
    n_jobs, client, folder
        As for :func:`cross_validate`.
    **options
        Options of the training of all models, such as ``max_epochs``.

    Returns
    -------
    A tidy DataFrame with a row for each model, fold, seed and metric: ``model``, ``kind`` (``model`` or
    ``baseline``), ``fold``, ``seed``, ``metric``, ``value``, ``n_obs``, ``seconds`` of training and prediction, and
    ``note``, why a value is missing. Into the object is written:

    ``uns["benchmark"]``
        that table as ``folds``, and ``summary``: each metric of each model with its 95 % interval, and its difference
        to the best baseline with its interval, for the first metric with a permutation p-value; see
        :func:`epiattn.get.benchmark`
    ``obsm["benchmark_scores"]``
        DataFrame, out-of-fold score of each model, the mean over the seeds
    ``obs["benchmark_fold"]``
        the fold in which an observation was tested

    Raises
    ------
    TypeError
        If an option is unknown.
    ValueError
        If a model is unknown, or the object cannot be split like that.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=300, cell_types=1)
    >>> table = attn.tl.benchmark(mdata, models=["logistic", "prevalence"], n_folds=3)
    >>> attn.get.benchmark(mdata)["model"].tolist()
    ['logistic', 'prevalence']
    """
    import pandas as pd

    check_choice("target", target, MEASURES)
    named = {name: {**({} if name in baselines else options), **own} for name, own in _choose(models).items()}
    for name, own in named.items():
        if name not in baselines:
            entry = registered[parse_name(name)[0]]
            _sort_options(entry.load(), {**entry.options, **own})
    given, mdata = mdata, as_mudata(mdata)
    check_key(mdata, key_added)
    places = [f"obsm/{k.scores(key_added)}", f"obs/{k.fold(key_added)}"]
    check_places(mdata, key_added, places)
    folds = all_folds(mdata, by=by, n_folds=n_folds, preset=preset)
    truth = Truth(mdata, target, label_key)
    setup = Setup(target, channels, label_key)
    results = run_jobs(mdata, named, folds, seeds, setup, n_jobs=n_jobs, client=client, folder=folder, tolerant=True)
    remove_places(mdata, key_added)
    table = fold_table(results, folds, truth)
    scores = {name: out_of_fold(results, folds, name) for name in named}
    mdata.obsm[k.scores(key_added)] = pd.DataFrame(scores, index=mdata.obs_names)
    mdata.obs[k.fold(key_added)] = tested_in(folds)
    record = {"target": target, "label_key": label_key, "by": by, "preset": preset, "seeds": list(seeds)}
    mdata.uns[key_added] = {
        **plain({**record, "models": {name: dict(own) for name, own in named.items()}}),
        "folds": table,
        "summary": summarize(results, folds, truth),
        "splits": {fold.name: plain(fold.record) for fold in folds},
        "written": places,
    }
    for name in named:
        if reason := next(
            (result.reason for job, result in results.items() if job.model == name and result.reason), ""
        ):
            logger.warning("%s could not be trained: %s", name, reason)
    give_back(mdata, given, copy=False)
    return table


def _choose(models: str | Sequence[str] | Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Names with their own options."""
    if isinstance(models, Mapping):
        chosen = {name: dict(own) for name, own in models.items()}
    elif models == "all":
        chosen = {name: {} for name in (*registered, *baselines)}
    elif models == "baselines":
        chosen = {name: {} for name in baselines}
    else:
        chosen = {name: {} for name in ([models] if isinstance(models, str) else models)}
    if unknown := [name for name in chosen if parse_name(name)[0] not in {**registered, **baselines}]:
        msg = f"models names {unknown}; known are the models {list(registered)} and the baselines {list(baselines)}."
        raise ValueError(msg)
    if not chosen:
        msg = "models names no model."
        raise ValueError(msg)
    return chosen

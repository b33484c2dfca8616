"""The main job in one call."""

from __future__ import annotations

import inspect
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from epiattn import _keys as k
from epiattn._columns import parts_of_split
from epiattn._logging import logger
from epiattn._messages import did_you_mean
from epiattn._modalities import find_channels
from epiattn._registry import models
from epiattn._validation import as_mudata, check_choice, check_key, give_back
from epiattn.metrics._conformal import check_level
from epiattn.pp._split import ensure_split

from ._ensemble import Recipe, check_n_models, train_ensemble
from ._groups import ALL, Models, check_folder, parts_of, rows_of_parts, save_models
from ._members import named, trainer
from ._trained import remember
from ._write import check_owned, setup_undone, write_results

if TYPE_CHECKING:
    from mudata import MuData

    from epiattn.models import RegulatoryModel

    from ._ensemble import Ensemble

#: Observations of a training part below which a network learns little.
_FEW = 100


def fit(
    mdata: MuData,
    *,
    model: str = "multi_attention",
    target: str = "label",
    channels: Mapping[str, Sequence[str]] | None = None,
    label_key: str = k.LABEL,
    split_key: str = k.SPLIT,
    seed: int = 0,
    key_added: str = "attn",
    model_dir: str | Path | None = None,
    n_models: int = 1,
    per: str | None = None,
    interval: float | None = None,
    attention_dtype: str = "float32",
    n_jobs: int | None = None,
    copy: bool = False,
    **options: Any,
) -> MuData:
    """Train a model and write the regulatory latent space, attention and predictions into the object.

    Modalities, marks and channels are found by name; where there is no split, whole chromosomes are held out; signal
    is normalised inside the model. The same in explicit scvi-tools steps::

        import scvi

        attn.pp.split(mdata)
        scvi.settings.seed = 0
        attn.models.MultiAttention.setup_mudata(mdata)
        model = attn.models.MultiAttention(mdata)
        model.train()
        mdata.obsm["X_attn"] = model.get_latent_representation()
        mdata.obs["attn_score"] = model.predict()

    Parameters
    ----------
    mdata
        MuData with at least one of the modalities ``histone`` (any ``histone*``), ``methylation`` and ``tf``, and
        with ``obs["label"]`` (or ``rna`` for ``target="expression"``); or a histone-only AnnData.
    model
        Name of a model: ``"multi_attention"`` (default), ``"kang2020"``, its published form, or another published one
        that reads histone marks only: ``"hm_crnn"``, ``"attentive_chrome"``, ``"deep_chrome"``, ``"chromoformer"``.
    target
        ``"label"``: high or low expression; ``"expression"``: regression of ``mdata["rna"].X``.
    channels
        Modalities to use, each with its layers, such as ``{"histone": ["H3K4me3"]}``; ``None``: all.
    label_key, split_key
        Columns of ``obs`` with the label and the split.
    seed
        Seed of the weights, the shuffling and a random split. Your own random state is left as it was.
    key_added
        Prefix of everything that is written.
    model_dir
        Folder to save the model in, for :func:`embed`.
    n_models
        How many models to train: an ensemble. They are the same but for their seeds: ``seed``, ``seed + 1``, …
    per
        ``None`` (default): one model learns from all cell types, can be applied to others, and has one latent space.
        ``"cell_type"``: one model for each cell type, as published; their latent spaces are not comparable.
    interval
        Level of prediction intervals around predicted expression, such as 0.9: split-conformal ones, whose half width
        comes from the residuals of the validation part. ``None``: none.
    attention_dtype
        ``"float16"`` stores attention over bins and CpGs in half the memory, to three digits (attention over TFs is
        sparse, and stays ``"float32"``).
    n_jobs
        Processes that train several models (``n_models``, ``per``) at the same time; the models are the same. ``None``:
        one for each core from 4,000 observations on, but one in all on a GPU (where members of an ensemble are trained
        in one vectorised pass, on the same batches), with ``callbacks`` or a ``logger``, and for models of your own;
        -1: one for each core.
    copy
        Work on a copy.
    **options
        Further arguments of the model (such as ``n_heads``) and of its ``train`` (such as ``max_epochs``).

    Returns
    -------
    The same object (a copy with ``copy=True``), with these fields written:

    ``obsm["X_attn"]``
        regulatory latent space, shape ``(n_obs, n_latent)``; those of several models side by side,
        ``(n_obs, n_models * n_latent)``
    ``obsm["X_attn_histone"]``, ``obsm["X_attn_methylation"]``, ``obsm["X_attn_tf"]``
        context vector of each modality; those of several models side by side
    ``obsm["attn_modality"]``
        DataFrame, weight of each modality in the fusion; 1 is uniform
    ``obs["attn_score"]``
        probability of high expression, or predicted expression; the mean over the models
    ``obs["attn_score_sd"]``
        its standard deviation between the models (``n_models`` > 1 only)
    ``obs["attn_score_low"]``, ``obs["attn_score_high"]``
        ends of the interval (``interval`` only)
    ``obs["attn_prediction"]``
        predicted class, ``low`` or ``high`` (labels only)
    ``mdata["histone"].layers["attn_attention"]``
        attention over bins, rows sum to 1
    ``mdata["histone"].layers["attn_attention_<mark>"]``
        the part of each mark in it, where the model keeps the marks apart
    ``mdata["methylation"].layers["attn_attention"]``
        attention over CpGs, 0 on empty slots
    ``mdata["tf"].layers["attn_attention"]``, ``mdata["tf"].obs["attn_unbound"]``
        attention that each bound TF receives (CSR), and all unbound TFs together
    ``uns["attn"]``
        parameters, split, training history, versions, seed; ``metrics`` of each part of the split (the mean over the
        cell types with ``per="cell_type"``), and ``metrics_by_cell_type``, a DataFrame; with ``interval``, the
        ``coverage`` (share of truths inside) and the mean ``width`` are among the metrics
    ``obs["split"]``
        the split, if there was none

    Raises
    ------
    TypeError
        If ``mdata`` is of another type, a layer is not numeric, or an option is unknown.
    ValueError
        If the object is not as the data model says; the message names modality, layer and observations. If
        ``n_models`` is no whole number from 1 on, ``interval`` is not between 0 and 1 or asked of labels, or
        ``attention_dtype`` is another one.

    References
    ----------
    Kang, Lee, Lee & Kim, Front. Genet. 11:869 (2020), doi 10.3389/fgene.2020.00869; Lakshminarayanan, Pritzel &
    Blundell, NeurIPS (2017), arXiv 1612.01474 (ensembles); Lei, G'Sell, Rinaldo, Tibshirani & Wasserman, J. Am. Stat.
    Assoc. 113:1094 (2018), doi 10.1080/01621459.2017.1307116 (split-conformal intervals).

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=150, cell_types=2)
    >>> mdata = attn.tl.fit(mdata, max_epochs=2)
    >>> mdata.obsm["X_attn"].shape
    (300, 64)

    Three models, and intervals around their predictions:

    >>> mdata = attn.tl.fit(mdata, target="expression", n_models=3, interval=0.9, max_epochs=2)
    >>> bool((mdata.obs["attn_score_low"] < mdata.obs["attn_score"]).all())
    True
    """
    if per is not None:
        check_choice("per", per, ["cell_type"])
    check_n_models(n_models)
    _check_interval(interval, target)
    check_choice("attention_dtype", attention_dtype, k.ATTENTION_DTYPES)
    model_class = models[model].load()
    model_options, train_options = _sort_options(model_class, {**models[model].options, **options})
    check_folder(model_dir)
    given, mdata = mdata, as_mudata(mdata, copy=copy)
    check_key(mdata, key_added)
    check_owned(mdata, key_added)

    find_channels(mdata, channels)  # an object without inputs is refused before it is split
    start = time.perf_counter()
    ensure_split(mdata, key=split_key, seed=seed)
    _warn_if_few(mdata, split_key, per)
    recipe = Recipe(model, target, channels, label_key, split_key, model_options, train_options)
    seeds = range(seed, seed + n_models)
    trained: dict[str, Ensemble] = {}
    outputs = []
    with (
        setup_undone(model_class, mdata),
        trainer(mdata, per, recipe, seeds, n_jobs=n_jobs) as train_for,
    ):
        for name, rows, part in parts_of(mdata, per):
            with named(name):
                trained[name], found = train_ensemble(
                    part,
                    recipe,
                    seeds,
                    level=interval,
                    attention_dtype=attention_dtype,
                    train=train_for(name),
                )
                outputs.append((rows, found))
        record = {
            "model": model,
            "target": target,
            "seed": seed,
            "label_key": label_key,
            "split_key": split_key,
            "per": per,
            **({"n_models": n_models} if n_models > 1 else {}),
            "interval": interval,
            "model_options": model_options,
            "train_options": train_options,
            **_training_record(trained),
        }
        write_results(mdata, trained, outputs, key_added, record=record, split_key=split_key)
        mdata.uns[key_added]["seconds"] = time.perf_counter() - start
        if model_dir is not None:
            save_models(trained, Path(model_dir))
            mdata.uns[key_added]["model_dir"] = str(model_dir)
        remember(trained, mdata, key_added)
    return give_back(mdata, given, copy=copy)


def _warn_if_few(mdata: MuData, split_key: str, per: str | None) -> None:
    """Say it where a network has little to learn from."""
    train = parts_of_split(mdata, split_key) == k.TRAIN
    n_train = {name: int(train[rows].sum()) for name, rows in rows_of_parts(mdata, per).items()}
    few = {name: n for name, n in n_train.items() if n < _FEW}
    if few:
        first = next(iter(few))
        of = "" if first == ALL else f" of {first!r}" + (f" (and of {len(few) - 1} more)" if len(few) > 1 else "")
        logger.warning(
            "The training part%s has %d observations. Networks need some hundreds: compare with the baselines of "
            "epiattn.tl.benchmark.",
            of,
            few[first],
        )


def _training_record(trained: Models) -> dict[str, Any]:
    """The history and which epoch was kept; of several models one after the other, with whose and which epoch it is."""
    several = len(next(iter(trained.values())).members) > 1
    runs = []
    for name, ensemble in trained.items():
        for seed, model in ensemble.members.items():
            history = {metric: values[metric].to_numpy(dtype=float) for metric, values in model.history_.items()}
            if ALL in trained and not several:
                return {"best_epoch": model.best_epoch_, "history": history}
            epoch = np.arange(1, len(history["loss_train"]) + 1)
            whose = {} if ALL in trained else {"cell_type": np.full(len(epoch), name, dtype=object)}
            whose |= {"seed": np.full(len(epoch), seed)} if several else {}
            runs.append({**whose, "epoch": epoch, "kept": epoch == model.best_epoch_, **history})
    return {"history": {column: np.concatenate([run[column] for run in runs]) for column in runs[0]}}


def _sort_options(model_class: type[RegulatoryModel], options: Mapping[str, Any]) -> tuple[dict, dict]:
    """Options of the model and of its training; an unknown one is refused before any work is done."""
    own = {"mdata", "registry", "target", "self", "split_key", "together_with", "trainer_kwargs"}
    of_model = set(inspect.signature(model_class.__init__).parameters) - own
    of_train = (set(inspect.signature(model_class.train).parameters) | _trainer_options()) - own
    if unknown := [name for name in options if name not in of_model | of_train]:
        of_training = set(inspect.signature(model_class.train).parameters) - own
        listed = sorted(of_model | of_training)
        hint = did_you_mean(unknown[0], listed) or did_you_mean(unknown[0], sorted(of_train))
        msg = (
            f"Unknown options {unknown}.{hint} The model takes {sorted(of_model)}; training takes "
            f"{sorted(of_training)}."
        )
        raise TypeError(msg)
    return (
        {name: value for name, value in options.items() if name in of_model},
        {name: value for name, value in options.items() if name in of_train},
    )


def _trainer_options() -> set[str]:
    import lightning.pytorch as pl
    from scvi.train import Trainer

    return set(inspect.signature(Trainer.__init__).parameters) | set(inspect.signature(pl.Trainer.__init__).parameters)


def _check_interval(level: float | None, target: str) -> None:
    if level is None:
        return
    if target != "expression":
        msg = f"interval={level!r} is for target='expression', not {target!r}: a label has a probability instead."
        raise ValueError(msg)
    check_level(level, "interval")

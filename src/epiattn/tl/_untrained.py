"""Models that should explain nothing, or the same: with random weights, random labels, or another seed."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from epiattn import _keys as k
from epiattn._compat import take

from ._ensemble import Recipe, train_ensemble
from ._groups import ALL, parts_of
from ._trained import Trained
from ._write import setup_undone

if TYPE_CHECKING:
    from mudata import MuData

    from epiattn.models._explainer import Explainer


def with_random_weights(trained: Trained, seed: int) -> Trained:
    """The same models with the entries of every tensor of weights in random order; the given ones stay as they are."""
    import torch

    generator = torch.Generator().manual_seed(seed)

    def randomized(explainer: Explainer) -> Explainer:
        made = copy.copy(explainer)
        made.module = copy.deepcopy(explainer.module)
        with torch.no_grad():
            for weights in made.module.parameters():
                order = torch.randperm(weights.numel(), generator=generator).to(weights.device)
                weights.copy_(weights.flatten()[order].view_as(weights))
        return made

    found = copy.copy(trained)
    found.parts = [(rows, [randomized(member) for member in members]) for rows, members in trained.parts]
    return found


def check_trainable(record: Mapping[str, Any], key: str) -> None:
    """Refuse to train a run's model again where it is not known how it was trained.

    Raises
    ------
    ValueError
        If the run is one of ``tl.embed``.
    """
    if "train_options" not in record:
        msg = (
            f"checks='labels' and checks='seeds' train the model of {key!r} again, but it was applied by tl.embed: run "
            "attn.tl.faithfulness on the object that attn.tl.fit wrote to."
        )
        raise ValueError(msg)


def trained_again(
    mdata: MuData, trained: Trained, *, seed: int, shuffle: bool = False, max_epochs: int | None = None
) -> Trained:
    """One model like those of a run, trained from the beginning.

    Parameters
    ----------
    mdata
        The object; it stays as it is.
    trained
        The run's models.
    seed
        Of the model.
    shuffle
        Learn from labels (and expression) that have been exchanged at random among the observations of each cell type
        and part of the split.
    max_epochs
        ``None``: as the run.
    """
    record = trained.record
    check_trainable(record, trained.key)
    mdata = take(mdata, np.arange(mdata.n_obs))
    label_key, split_key = str(record["label_key"]), str(record["split_key"])
    if shuffle:
        _shuffle_targets(mdata, label_key, split_key, seed)
    train_options = dict(record["train_options"]) | ({} if max_epochs is None else {"max_epochs": max_epochs})
    channels = {name: [str(channel) for channel in names] for name, names in trained.channels.items()}
    recipe = Recipe(
        str(record["model"]),
        trained.target,
        channels,
        label_key,
        split_key,
        dict(record["model_options"]),
        train_options,
    )
    models = {}
    with setup_undone(recipe.model_class, mdata):
        for name, _, part in parts_of(mdata, record.get("per")):
            models[name], _ = train_ensemble(part, recipe, [seed])
    return Trained(mdata, trained.key, models=models)


def _shuffle_targets(mdata: MuData, label_key: str, split_key: str, seed: int) -> None:
    """Exchange labels and expression, together, within each cell type and part of the split."""
    import pandas as pd

    columns = [name for name in (k.CELL_TYPE, split_key) if name in mdata.obs]
    blocks = mdata.obs[columns].astype(str).agg(" ".join, axis=1) if columns else pd.Series(ALL, mdata.obs_names)
    order, rng = np.arange(mdata.n_obs), np.random.default_rng(seed)
    for rows in blocks.reset_index(drop=True).groupby(blocks.to_numpy()).indices.values():
        order[rows] = rng.permutation(rows)
    if label_key in mdata.obs:
        mdata.obs[label_key] = mdata.obs[label_key].array[order]
    if k.RNA in mdata.mod:
        mdata[k.RNA].X = mdata[k.RNA].X[order]

"""Models that differ in their seed alone, and answer together; one model is an ensemble of one."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.special import expit, logit

from epiattn import _keys as k
from epiattn._logging import logger
from epiattn._registry import models
from epiattn.metrics import conformal_half_width, temperature

if TYPE_CHECKING:
    import torch
    from mudata import MuData

    from epiattn.models import RegulatoryModel
    from epiattn.models._outputs import Outputs

    #: Models by their seeds.
    Members = dict[int, RegulatoryModel]

_MODEL = "model.pt"
_RECORD = "ensemble.json"  # the members' folders, and what was learned from the validation part after their training


class Ensemble:
    """One or several trained models of the same kind.

    Parameters
    ----------
    members
        The models, by seed.
    temperature
        Logits of the mean probability are divided by it.
    half_width
        Half of the width of the intervals around predicted expression; ``None``: there are none.

    References
    ----------
    Lakshminarayanan, Pritzel & Blundell, NeurIPS (2017), arXiv 1612.01474.
    """

    def __init__(
        self, members: Mapping[int, RegulatoryModel], *, temperature: float = 1.0, half_width: float | None = None
    ) -> None:
        self.members = dict(members)
        self.temperature, self.half_width = temperature, half_width

    @property
    def first(self) -> RegulatoryModel:
        """The member to ask for what all have in common."""
        return next(iter(self.members.values()))

    def run(self, mdata: MuData | None = None, *, attention_dtype: str = "float32") -> Outputs:
        """What the members say of all observations, put together; one member after the other is run.

        Parameters
        ----------
        mdata
            The object; ``None``: the one that the members were trained on.
        attention_dtype
            As for :func:`epiattn.tl.fit`.
        """
        outputs = self.first.run(mdata, attention_dtype=attention_dtype)
        if len(self.members) > 1:
            rest = (member.run(mdata, attention_dtype=attention_dtype) for member in list(self.members.values())[1:])
            outputs.average(rest)
            if self.temperature != 1:
                self._soften(outputs)
        if self.half_width is not None:
            outputs.add_interval(self.half_width)
        return outputs

    def score(self, output: np.ndarray) -> np.ndarray:
        """The prediction that outputs of the members make together, as :meth:`run` gives it.

        Parameters
        ----------
        output
            Log-odds, or expression, of each member, shape ``(n_members, n_obs)``.

        Returns
        -------
        Shape ``(n_obs,)``: probability, or expression.
        """
        if self.first.target != "label":
            return output.mean(0)
        probability = expit(output.astype(float)).mean(0)
        return probability if self.temperature == 1 else expit(_logit(probability) / self.temperature)

    def calibrate(self, outputs: Outputs, truth: np.ndarray) -> None:
        """Learn the temperature of the mean probability, from observations that no member learned from.

        Parameters
        ----------
        outputs
            Of :meth:`run`; the prediction is calibrated.
        truth
            Labels, shape ``(n_obs,)``; NaN where the observation is none of them.
        """
        known = np.isfinite(truth)
        self.temperature = temperature(truth[known], _logit(outputs.prediction[known]))
        self._soften(outputs)

    def conform(self, outputs: Outputs, truth: np.ndarray, level: float) -> None:
        """Learn the half width of intervals, from observations that no member learned from; they are added."""
        known = np.isfinite(truth)
        self.half_width = conformal_half_width(truth[known], outputs.prediction[known], level=level)
        if np.isinf(self.half_width):
            logger.warning(
                "The validation part has %d observations, too few for intervals at level %g: they are infinite.",
                known.sum(),
                level,
            )
        outputs.add_interval(self.half_width)

    def _soften(self, outputs: Outputs) -> None:
        outputs.prediction[:] = expit(_logit(outputs.prediction) / self.temperature)

    def save(self, folder: Path) -> None:
        """Save in a folder, one model as ``model.save`` does, several in folders of their own; it is replaced."""
        if (folder / _MODEL).exists() or (folder / _RECORD).exists():
            logger.warning("Replacing the model in %s.", folder)
        alone = len(self.members) == 1
        places = {str(seed): "." if alone else f"seed_{seed}" for seed in self.members}
        for old in (_MODEL, _RECORD):
            (folder / old).unlink(missing_ok=True)
        for member, place in zip(self.members.values(), places.values(), strict=True):
            member.save(str(folder / place), overwrite=True)
        if not alone or self.half_width is not None:
            record = {"members": places, "temperature": self.temperature, "half_width": self.half_width}
            (folder / _RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Ensemble:
        """What :meth:`save`, or ``model.save``, saved."""
        from epiattn.models import RegulatoryModel

        if not (folder / _RECORD).is_file():
            return cls({0: RegulatoryModel.load(folder)})
        record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
        members = {int(seed): RegulatoryModel.load(folder / place) for seed, place in record.pop("members").items()}
        return cls(members, **record)


class Recipe(NamedTuple):
    """What to train; the rest is data and seed. As for :func:`epiattn.tl.fit`, options sorted."""

    model: str
    target: str
    channels: Mapping[str, Sequence[str]] | None
    label_key: str
    split_key: str
    model_options: Mapping[str, Any]
    train_options: Mapping[str, Any]

    @property
    def model_class(self) -> type[RegulatoryModel]:
        """The class of the model."""
        return models[self.model].load()

    def make(self, mdata: MuData) -> RegulatoryModel:
        """A model that is not trained yet, for an object that has been set up for it."""
        return self.model_class(mdata, target=self.target, **self.model_options)

    @property
    def watched(self) -> bool:
        """Whether the caller wants to see what happens in the training of each model."""
        return any(self.train_options.get(name) for name in ("callbacks", "logger", "enable_checkpointing"))

    @property
    def device(self) -> torch.device:
        """Where the training takes place."""
        from scvi.model._utils import parse_device_args

        where = [self.train_options.get(name, "auto") for name in ("accelerator", "devices")]
        return parse_device_args(*where, return_device="torch")[2]


def train_members(mdata: MuData, recipe: Recipe, seeds: Sequence[int]) -> Members:
    """Train a model with each seed on an object, which has been set up for it; on a GPU, at once where that works."""
    if len(seeds) > 1 and recipe.device.type == "cuda" and not recipe.watched:
        return train_together(mdata, recipe, seeds)
    return {seed: train_member(mdata, recipe, seed) for seed in seeds}


def train_member(mdata: MuData, recipe: Recipe, seed: int) -> RegulatoryModel:
    """Train one model on an object, which has been set up for it."""
    with seeded(seed):
        model = recipe.make(mdata)
        model.train(split_key=recipe.split_key, **recipe.train_options)
    return model


def train_together(mdata: MuData, recipe: Recipe, seeds: Sequence[int]) -> Members:
    """Train models on the same batches, in one pass over them; one after the other if that cannot be.

    Each starts from the weights of its seed; batches, and what is random in a step, come from the first seed.
    """
    from epiattn.models._together import obstacle

    members = {}
    for seed in seeds:
        with seeded(seed):
            members[seed] = recipe.make(mdata)
    first, *others = members.values()
    knows = "together_with" in inspect.signature(first.train).parameters
    if not knows or obstacle(first.module, recipe.train_options):
        return {seed: train_member(mdata, recipe, seed) for seed in seeds}
    with seeded(seeds[0]):
        first.train(split_key=recipe.split_key, together_with=others, **recipe.train_options)
    return members


def train_ensemble(
    mdata: MuData,
    recipe: Recipe,
    seeds: Sequence[int],
    *,
    level: float | None = None,
    attention_dtype: str = "float32",
    train: Callable[[MuData, Recipe, Sequence[int]], Members] = train_members,
) -> tuple[Ensemble, Outputs]:
    """Train a model with each seed, and run them.

    Parameters
    ----------
    mdata
        The object.
    recipe
        What to train.
    seeds
        One of each member.
    level
        Of the intervals; ``None``: none.
    attention_dtype
        As for :func:`epiattn.tl.fit`.
    train
        Gives the members; another one than :func:`train_members` may have trained them before.
    """
    from epiattn.models._targets import split_rows

    recipe.model_class.setup_mudata(mdata, channels=recipe.channels, label_key=recipe.label_key)
    members = train(mdata, recipe, seeds)
    ensemble = Ensemble(members)
    with seeded(seeds[0]):  # a loader draws a number even where nothing is shuffled
        outputs = ensemble.run(attention_dtype=attention_dtype)
    calibrates = ensemble.first.calibrates(recipe.train_options.get("calibrate"))
    if (len(members) > 1 and calibrates) or level is not None:
        truth = np.asarray(ensemble.first.get_target())
        validation = split_rows(mdata, truth, recipe.split_key)[k.VALIDATION]
        held_out = np.full(mdata.n_obs, np.nan)
        held_out[validation] = truth[validation]
        if level is None:
            ensemble.calibrate(outputs, held_out)
        else:
            ensemble.conform(outputs, held_out, level)
    return ensemble, outputs


def check_n_models(n_models: Any) -> None:
    """Refuse what is no number of models."""
    if isinstance(n_models, bool) or not isinstance(n_models, int | np.integer) or n_models < 1:
        msg = f"n_models must be a whole number, 1 or more, not {n_models!r}."
        raise ValueError(msg)


def name_of(model: str, n_models: int) -> str:
    """How an ensemble is called in tables and lists: ``"multi_attention x5"``."""
    return model if n_models == 1 else f"{model} x{n_models}"


def parse_name(name: str) -> tuple[str, int]:
    """The model and the number of its members; the inverse of :func:`name_of`, for registered models only."""
    found = re.fullmatch(r"(.+) x([2-9]|[1-9]\d+)", name)
    return (found[1], int(found[2])) if found and found[1] in models else (name, 1)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed PyTorch, and leave its random state afterwards as it was."""
    import torch

    devices = list(range(torch.cuda.device_count()))
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield


def _logit(probability: np.ndarray) -> np.ndarray:
    """Finite also where a probability was rounded to 0 or 1."""
    smallest = np.finfo(np.float32).eps / 2
    return logit(np.clip(probability.astype(float), smallest, 1 - smallest))

"""The models behind a run: those of this session are kept, others are read from their folder."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from epiattn import _keys as k
from epiattn._modalities import expression_of, present
from epiattn._results import run_of

from ._groups import ALL, Models, load_models, parts_of
from ._write import setup_undone

if TYPE_CHECKING:
    from mudata import MuData

    from epiattn.models._explainer import Attributions, Change, Explainer

    from ._ensemble import Ensemble

#: Models of the latest runs of this session, by fingerprint.
_KEPT: OrderedDict[str, Models] = OrderedDict()
_N_KEPT = 8


def fingerprint(models: Models) -> str:
    """A hash of all weights: the same models have the same, wherever they come from."""
    found = hashlib.sha256()
    for name, ensemble in models.items():
        for seed, model in ensemble.members.items():
            found.update(f"{name}/{seed if len(ensemble.members) > 1 else 0}".encode())
            for weight, values in model.module.state_dict().items():
                found.update(weight.encode())
                found.update(values.detach().cpu().numpy().tobytes())
    return found.hexdigest()[:16]


def remember(models: Models, mdata: MuData, key: str) -> None:
    """Keep models for tools that ask them later, without the data that they were trained on."""
    name = fingerprint(models)
    mdata.uns[key]["fingerprint"] = name
    for ensemble in models.values():
        for model in ensemble.members.values():
            model._adata = model._adata_manager = model.trainer = None
    _KEPT[name] = models
    _KEPT.move_to_end(name)
    while len(_KEPT) > _N_KEPT:
        _KEPT.popitem(last=False)


def find_models(mdata: MuData, key: str, model_dir: str | Path | None = None) -> Models:
    """The models of a run.

    Parameters
    ----------
    mdata
        The object.
    key
        ``key_added`` of the run.
    model_dir
        Their folder; ``None``: models of this session, or the folder that the run recorded.

    Raises
    ------
    ValueError
        If there is no such run, its models are neither kept nor saved, or the folder holds others.
    """
    record = run_of(mdata, key)
    expected = str(record.get("fingerprint", ""))
    if model_dir is None and expected in _KEPT:
        return _KEPT[expected]
    folder = model_dir or record.get("model_dir")
    if folder is None or (model_dir is None and not Path(str(folder)).exists()):
        gone = "" if folder is None else f", and there is no folder {str(Path(folder).absolute())!r}"
        msg = (
            f"The models of the run {key!r} are not in this session's memory{gone}. Pass model_dir=, the folder that "
            "attn.tl.fit(mdata, model_dir=...) saved them in, or fit again."
        )
        raise ValueError(msg)
    models = load_models(Path(str(folder)))
    if fingerprint(models) != expected:
        msg = (
            f"The models in {str(folder)!r} are not those of the run {key!r}: pass the folder of that run, or apply "
            f"these first: attn.tl.embed(mdata, {str(folder)!r}, key_added={key!r})."
        )
        raise ValueError(msg)
    return models


class Trained:
    """The models of a run together with the tensors of an object, ready to be asked.

    Parameters
    ----------
    mdata
        The object.
    key
        ``key_added`` of the run.
    model_dir
        As for :func:`find_models`.
    models
        Other models for the same data, to be asked in place of the run's; ``None``: those of the run.
    """

    def __init__(
        self, mdata: MuData, key: str, model_dir: str | Path | None = None, *, models: Models | None = None
    ) -> None:
        from epiattn.models._explainer import Explainer

        self.record = run_of(mdata, key)
        models = find_models(mdata, key, model_dir) if models is None else models
        first = next(iter(models.values())).first
        self.target, self.n_obs = first.target, mdata.n_obs
        #: What the models read of this object.
        self.channels = present(mdata, first.channels)
        self.key, self.fingerprint = key, fingerprint(models)
        #: Rows of the object, and the members that were made for them.
        self.parts: list[tuple[np.ndarray, list[Explainer]]] = []
        self.ensembles: list[Ensemble] = []
        with setup_undone(type(first), mdata):
            for name, rows, part in parts_of(mdata, None if ALL in models else k.CELL_TYPE):
                self.parts.append((rows, [Explainer(model, part) for model in models[name].members.values()]))
                self.ensembles.append(models[name])
        self.n_members = len(self.parts[0][1])

    @property
    def about(self) -> dict[str, str]:
        """What a tool's record says of the run."""
        return {"key": self.key, "fingerprint": self.fingerprint, "target": self.target}

    def inside(self, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, list[Explainer]]]:
        """By model: which of the rows it is for (their places among them, and in its own data), and its members."""
        for of_part, members in self.parts:
            where, local = _inside(rows, of_part)
            if len(where):
                yield where, local, members

    def output(
        self,
        rows: np.ndarray | None = None,
        change: Change | None = None,
        *,
        change_of: Callable[[Explainer], Change] | None = None,
    ) -> np.ndarray:
        """What each member says of observations, whose inputs may be changed.

        Parameters
        ----------
        rows
            Observations of the object; ``None``: all.
        change
            As for :meth:`Explainer.output`; it is told rows of the object.
        change_of
            Instead, makes the change of each member, which is told rows of the member's part.

        Returns
        -------
        Log-odds of high expression, or predicted expression, float32, shape ``(n_members, n_rows)``.
        """
        rows = np.arange(self.n_obs) if rows is None else np.asarray(rows)
        found = np.empty((self.n_members, len(rows)), np.float32)
        for of_part, members in self.parts:
            where, local = _inside(rows, of_part)
            told = None if change is None else _translated(change, of_part)
            for i, member in enumerate(members):
                found[i, where] = member.output(local, told if change_of is None else change_of(member))
        return found

    def score(self, output: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """The prediction that outputs of the members make together: as in ``obs``, of the run.

        Parameters
        ----------
        output
            Of :meth:`output`, shape ``(n_members, n_rows)``.
        rows
            The observations that these are.

        Returns
        -------
        Probability, or expression, shape ``(n_rows,)``.
        """
        found = np.empty(len(rows))
        for (of_part, _), ensemble in zip(self.parts, self.ensembles, strict=True):
            where, _ = _inside(rows, of_part)
            found[where] = ensemble.score(output[:, where])
        return found

    def truth(self, mdata: MuData) -> np.ndarray:
        """Labels (1: high) or expression, shape ``(n_obs,)``; NaN where there are none."""
        from epiattn.models._targets import encode_labels

        label_key = self.ensembles[0].first.registry_["setup_args"]["label_key"]
        if self.target == "expression" and k.RNA in mdata.mod:
            return expression_of(mdata)
        if self.target == "label" and label_key in mdata.obs:
            return encode_labels(mdata.obs[label_key].to_numpy(dtype=object))
        return np.full(self.n_obs, np.nan)

    def attribute(
        self,
        rows: np.ndarray | None = None,
        *,
        method: str = "integrated_gradients",
        n_steps: int = 50,
        smooth: float = 0.0,
        seed: int = 0,
        member: int | None = None,
    ) -> Attributions:
        """Attributions of observations, as the mean over the members.

        Parameters
        ----------
        rows
            Observations of the object; ``None``: all.
        method, n_steps, smooth, seed
            As for :meth:`Explainer.attribute`.
        member
            Ask this one only.
        """
        rows = np.arange(self.n_obs) if rows is None else np.asarray(rows)
        parts = []
        options: dict[str, Any] = {"method": method, "n_steps": n_steps, "smooth": smooth, "seed": seed}
        for of_part, members in self.parts:
            where, local = _inside(rows, of_part)
            asked = members if member is None else [members[member]]
            if len(where):
                found = [each.attribute(local, **options) for each in asked]
                parts.append((where, _mean(found)))
        return parts[0][1] if len(parts) == 1 else _join(parts, len(rows))


def _inside(rows: np.ndarray, part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which of the rows are in a part (sorted), and where they are in it."""
    where = np.flatnonzero(np.isin(rows, part))
    return where, np.searchsorted(part, rows[where])


def _translated(change: Change, part: np.ndarray) -> Change:
    return lambda batch, rows: change(batch, part[rows])


def _mean(found: list[Attributions]) -> Attributions:
    if len(found) == 1:
        return found[0]
    first, *rest = found
    values = {name: sum((each.values[name] for each in rest), of_first) for name, of_first in first.values.items()}
    return type(first)(
        {name: total / len(found) for name, total in values.items()},
        np.mean([each.output for each in found], axis=0),
        np.mean([each.baseline for each in found], axis=0),
    )


def _join(parts: list[tuple[np.ndarray, Attributions]], n_rows: int) -> Attributions:
    from scipy import sparse

    order = np.argsort(np.concatenate([where for where, _ in parts]))
    values = {}
    for name, first in parts[0][1].values.items():
        blocks = [found.values[name] for _, found in parts]
        values[name] = (sparse.vstack(blocks, format="csr") if sparse.issparse(first) else np.concatenate(blocks))[
            order
        ]
    outputs, baselines = (np.concatenate([found[i] for _, found in parts])[order] for i in (1, 2))
    return type(parts[0][1])(values, outputs, baselines)

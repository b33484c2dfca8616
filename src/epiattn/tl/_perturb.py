"""What the model would say if marks, CpGs or TFs were others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from epiattn import _keys as k
from epiattn._validation import as_mudata, check_key, give_back, rows_of_genes

from ._edits import Edit
from ._inputs import Inputs
from ._ownership import check_places, write_places

if TYPE_CHECKING:
    from mudata import MuData

    from epiattn.models._explainer import Change
    from epiattn.nn import ModalityBatch

    from ._trained import Trained

Perturbations = Mapping[str, Edit | Sequence[Edit]]
#: What a perturbation is: asked for, one of its edits by itself, or what these do together less what they do alone.
GIVEN, SINGLE, INTERACTION = "given", "single", "interaction"


class Perturbation(NamedTuple):
    """Edits that are made one after the other, and of which perturbation they are a part."""

    edits: list[Edit]
    kind: str
    of: str


def perturb(
    mdata: MuData,
    perturbations: Edit | Perturbations,
    *,
    interaction: bool = False,
    genes: Sequence[str] | None = None,
    key: str = "attn",
    key_added: str | None = None,
    model_dir: str | Path | None = None,
    copy: bool = False,
) -> MuData:
    """Change marks, CpGs or TFs in silico, and see how the prediction changes.

    What can be changed (an *edit*):

    - :class:`~epiattn.tl.SetSignal`, :class:`~epiattn.tl.ScaleSignal`, :class:`~epiattn.tl.ShiftSignal`: the signal of
      a mark, in the window or in a region
    - :class:`~epiattn.tl.SwapMarks`, :class:`~epiattn.tl.SwapCellType`: another mark's signal, or that of the same gene
      in another cell type
    - :class:`~epiattn.tl.Methylate`, :class:`~epiattn.tl.Demethylate`: CpGs
    - :class:`~epiattn.tl.KnockOut`: TFs

    Values are in the units of the layers. Effects are changes of the model's output (log-odds of high expression, or
    expression) and, for labels, of the probability. With an ensemble, they are those of the ensemble, with the standard
    deviation between its members. Any model of the package can be asked; it is not changed, and neither are the data.

    An effect says what the *model* would predict. It extrapolates where a perturbation makes combinations of marks
    that do not occur.

    Parameters
    ----------
    mdata
        Object that ``tl.fit`` or ``tl.embed`` wrote to.
    perturbations
        By name, an edit, or several that are made together, in this order; or a single edit without a name.
    interaction
        Of perturbations with several edits also perturb by each edit alone, and find the *interaction*: the effect of
        all together less the sum of their effects alone.
    genes
        Names or ids of genes, in all cell types, or names of observations; ``None``: all. Others get NaN.
    key
        ``key_added`` of the run.
    key_added
        Prefix of what is written; ``None``: ``f"{key}_perturbation"``.
    model_dir
        Folder of the model; ``None``: the model of this session, or the folder that was given to ``tl.fit``.
    copy
        Work on a copy.

    Returns
    -------
    The same object (a copy with ``copy=True``), with these fields written, each a DataFrame with a column for each
    perturbation:

    ``obsm["attn_perturbation"]``
        change of the output, in log-odds or units of expression; the mean over the members
    ``obsm["attn_perturbation_probability"]``
        change of the probability of high expression (labels only)
    ``obsm["attn_perturbation_sd"]``, ``obsm["attn_perturbation_probability_sd"]``
        standard deviation of either between the members (ensembles only)
    ``obsm["attn_perturbation_changed"]``
        whether the inputs of the observation were changed at all; where not, the effect is 0
    ``uns["attn_perturbation"]``
        what was done, and the run

    Raises
    ------
    TypeError
        If a perturbation is something else than edits.
    ValueError
        If there is no such run, gene, mark, TF or cell type, a region is empty, the model is not at hand, or something
        else is under the key.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=100, cell_types=1)
    >>> mdata = attn.tl.fit(mdata, max_epochs=1)
    >>> promoter = (-500, 500)
    >>> silence = [
    ...     attn.tl.SetSignal("H3K27me3", "95%", region=promoter),
    ...     attn.tl.ScaleSignal("H3K27ac", 0, region=promoter),
    ... ]
    >>> mdata = attn.tl.perturb(mdata, {"silence": silence}, interaction=True)
    >>> list(attn.get.perturbation(mdata)["kind"])
    ['given', 'single', 'single', 'interaction']
    """
    import pandas as pd

    from ._trained import Trained

    given, mdata = mdata, as_mudata(mdata, copy=copy)
    named = _named(perturbations, interaction=interaction)
    key_added = k.perturbation(key) if key_added is None else key_added
    check_key(mdata, key_added)
    rows = rows_of_genes(mdata, genes)
    trained = Trained(mdata, key, model_dir)
    tables = _tables(trained)
    places = {what: f"obsm/{k.part_of(key_added, what) if what else key_added}" for what in tables}
    check_places(mdata, key_added, list(places.values()))
    inputs = Inputs(mdata, trained)
    todo = {
        name: (_Together([edit._prepare(inputs) for edit in each.edits], mdata.n_obs), _possible(each.edits, inputs))
        for name, each in named.items()
        if each.kind != INTERACTION
    }  # what cannot be done is said before anything is
    before = trained.output(rows)
    found: dict[str, _Effect] = {}
    changed: dict[str, np.ndarray] = {}
    for name, (change, _) in todo.items():
        same = next((other for other in found if named[other].edits == named[name].edits), None)
        found[name] = _Effect(trained, rows, before, trained.output(rows, change)) if same is None else found[same]
        changed[name] = change.changed[rows] if same is None else changed[same]
    possible = {name: these[rows] for name, (_, these) in todo.items()}
    for name, each in named.items():
        if each.kind == INTERACTION:
            alone = [other for other, of in named.items() if of.kind == SINGLE and of.of == each.of]
            found[name] = found[each.of].less([found[other] for other in alone])
            changed[name] = np.any([changed[other] for other in (each.of, *alone)], axis=0)
            possible[name] = possible[each.of]
    columns: dict[str, dict[str, np.ndarray]] = {what: {} for what in tables}
    for name in named:
        for what, effect in found[name].tables(tables).items():
            known = np.where(changed[name], effect, 0).astype(np.float32)
            columns[what][name] = np.where(possible[name], known, np.nan)
        columns["changed"][name] = changed[name] & possible[name]
    values: dict[str, Any] = {}
    for what, place in places.items():
        table = pd.DataFrame(columns[what], index=mdata.obs_names[rows])
        values[place] = table.reindex(mdata.obs_names, **({"fill_value": False} if what == "changed" else {}))
    of_all = {
        "perturbation": list(named),
        "kind": [each.kind for each in named.values()],
        "of": [each.of for each in named.values()],
        "edits": ["; ".join(map(str, each.edits)) for each in named.values()],
    }
    record = {
        "tool": "perturb",
        **trained.about,
        "n_members": trained.n_members,
        "tables": list(tables),
        "perturbations": pd.DataFrame(of_all),
    }
    write_places(mdata, key_added, values, record)
    return give_back(mdata, given, copy=copy)


def _named(perturbations: Edit | Perturbations, *, interaction: bool) -> dict[str, Perturbation]:
    """What is to be done, by name, in the order of the tables."""
    if isinstance(perturbations, Edit):
        perturbations = {str(perturbations).replace("/", "|"): perturbations}
    if not isinstance(perturbations, Mapping) or not perturbations:
        msg = (
            "perturbations must be an edit, such as attn.tl.SetSignal('H3K27me3', 'high'), or a dictionary of edits by "
            f"name, not {perturbations!r}."
        )
        raise TypeError(msg)
    named: dict[str, Perturbation] = {}
    for name, given in perturbations.items():
        edits = [given] if isinstance(given, Edit) else list(given) if isinstance(given, list | tuple) else []
        if not edits or not all(isinstance(edit, Edit) for edit in edits):
            from epiattn._registry import edits as known

            msg = f"The perturbation {name!r} must be one or several edits, not {given!r}. Edits are:\n{known!r}"
            raise TypeError(msg)
        if not isinstance(name, str) or not name or "/" in name:
            msg = f"Names of perturbations must be non-empty text without '/', not {name!r}."
            raise ValueError(msg)
        parts = {name: Perturbation(edits, GIVEN, name)}
        if interaction and len(edits) > 1:
            alone = {f"{name}: {edit}".replace("/", "|"): Perturbation([edit], SINGLE, name) for edit in edits}
            if len(alone) < len(edits):
                msg = f"The perturbation {name!r} makes the same edit twice: {[str(edit) for edit in edits]}."
                raise ValueError(msg)
            parts |= alone
            parts[f"{name}: interaction"] = Perturbation(edits, INTERACTION, name)
        if twice := sorted(set(parts) & set(named)):
            msg = f"Two perturbations would be called {twice[0]!r}: choose another name."
            raise ValueError(msg)
        named |= parts
    return named


def _possible(edits: Sequence[Edit], inputs: Inputs) -> np.ndarray:
    """For which observations all of the edits can be made."""
    return np.all([edit._possible(inputs) for edit in edits], axis=0)


class _Together:
    """Several changes, one after the other; notes of which observations they changed the inputs."""

    def __init__(self, changes: Sequence[Change], n_obs: int) -> None:
        self.changes, self.changed = changes, np.zeros(n_obs, bool)

    def __call__(self, batch: dict[str, ModalityBatch], rows: np.ndarray) -> dict[str, ModalityBatch]:
        after = batch
        for change in self.changes:
            after = change(after, rows)
        for name, modality in batch.items():
            if after[name] is not modality:
                differs = (after[name].values != modality.values).flatten(1).any(1) & modality.present
                self.changed[rows] |= differs.cpu().numpy()
        return after


def _tables(trained: Trained) -> list[str]:
    """Which tables there are: of the output, of the probability, and of their standard deviations."""
    several, of_label = trained.n_members > 1, trained.target == "label"
    asked = {"": True, "sd": several, "probability": of_label, "probability_sd": of_label and several, "changed": True}
    return [name for name, wanted in asked.items() if wanted]


class _Effect:
    """Change of the output of each member, of its probability, and of the probability that all make together."""

    def __init__(self, trained: Trained, rows: np.ndarray, before: np.ndarray, after: np.ndarray) -> None:
        from scipy.special import expit

        before, after = before.astype(float), after.astype(float)
        self.output = after - before
        if trained.target == "label":
            self.probability = expit(after) - expit(before)
            self.of_all = trained.score(after, rows) - trained.score(before, rows)

    def less(self, others: Sequence[_Effect]) -> _Effect:
        """What is left when other effects are taken from it."""
        left = object.__new__(_Effect)
        for name, values in vars(self).items():
            setattr(left, name, values - sum(getattr(other, name) for other in others))
        return left

    def tables(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        """What is written, by table, each of shape ``(n_rows,)``."""
        found = {"": self.output.mean(0)}
        if "sd" in names:
            found["sd"] = self.output.std(0, ddof=1)
        if "probability" in names:
            found["probability"] = self.of_all
        if "probability_sd" in names:
            found["probability_sd"] = self.probability.std(0, ddof=1)
        return found

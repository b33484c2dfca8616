"""What the model would say without a modality or a mark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from math import factorial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from epiattn import _keys as k
from epiattn import metrics
from epiattn._results import run_of
from epiattn._validation import as_mudata, check_choice, check_key, give_back, rows_of_genes

from ._inputs import Inputs
from ._ownership import check_places, write_places
from ._write import METRICS

if TYPE_CHECKING:
    import pandas as pd
    from mudata import MuData

    from epiattn.models._explainer import Change, Explainer
    from epiattn.nn import ModalityBatch

    from ._trained import Trained

#: What takes the place of a modality.
NOTHING, MISSING = "nothing", "missing"
_MOST = 10  # modalities, of which there are 2 ** n coalitions


def ablate(
    mdata: MuData,
    *,
    baseline: str | None = None,
    split_key: str | None = None,
    genes: Sequence[str] | None = None,
    key: str = "attn",
    key_added: str | None = None,
    model_dir: str | Path | None = None,
    copy: bool = False,
) -> MuData:
    """Take each modality and each mark away, and share the prediction among the modalities by Shapley values.

    The *effect* of taking something away is how the output changes (log-odds of high expression, or expression).
    *Shapley values* share the difference between the output of an observation and that without any modality: the value
    of a modality is what it adds, averaged over all orders in which modalities can be added. They are exact (all
    coalitions are tried) and sum to the difference; a modality that never changes the output gets 0, and modalities
    that change it in the same way get the same.

    What takes the place of what is taken away: for a mark, no signal. For a modality, *nothing*: no signal, CpGs at the
    mean methylation of all CpGs, no evidence at the bound TFs, as in :func:`epiattn.tl.attribute`; or *missing*: the
    vector that a model learned for a modality that was not measured (it never saw an observation without all of them,
    so that this end of the difference is an extrapolation). The accuracy without them is that of the same model, which
    was not trained anew.

    Parameters
    ----------
    mdata
        Object that ``tl.fit`` or ``tl.embed`` wrote to.
    baseline
        ``"nothing"`` or ``"missing"``; ``None``: ``"missing"`` if the model was trained with ``modality_dropout``, else
        ``"nothing"``.
    split_key
        Column of ``obs`` whose ``test`` part the accuracy is measured on; ``None``: that of the run, or all
        observations where it has none (after ``tl.embed``).
    genes
        Names or ids of genes, in all cell types, or names of observations; ``None``: all. Others get NaN.
    key
        ``key_added`` of the run.
    key_added
        Prefix of what is written; ``None``: ``f"{key}_ablation"``.
    model_dir
        Folder of the model; ``None``: the model of this session, or the folder that was given to ``tl.fit``.
    copy
        Work on a copy.

    Returns
    -------
    The same object (a copy with ``copy=True``), with these fields written:

    ``obsm["attn_ablation"]``
        DataFrame: change of the output without each modality and each mark (at all resolutions), the mean over the
        members of an ensemble
    ``obsm["attn_ablation_shapley"]``
        DataFrame: Shapley value of each modality
    ``obsm["attn_ablation_sd"]``, ``obsm["attn_ablation_shapley_sd"]``
        standard deviation of either between the members (ensembles only)
    ``uns["attn_ablation"]``
        the baseline, ``accuracy`` (a table: AUC, or R² for expression, on the test part, with 95 % intervals of the
        change), and the run

    Raises
    ------
    ValueError
        If there is no such run, gene or column, the model is not at hand or has no vector for missing modalities, or
        something else is under the key.

    References
    ----------
    Shapley, in Contributions to the Theory of Games II, Princeton University Press (1953).

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=100, cell_types=1)
    >>> mdata = attn.tl.fit(mdata, max_epochs=1)
    >>> mdata = attn.tl.ablate(mdata)
    >>> list(mdata.obsm["attn_ablation_shapley"])
    ['histone', 'methylation', 'tf']
    """
    from ._trained import Trained

    if baseline is not None:
        check_choice("baseline", baseline, (NOTHING, MISSING))
    given, mdata = mdata, as_mudata(mdata, copy=copy)
    key_added = k.ablation(key) if key_added is None else key_added
    check_key(mdata, key_added)
    rows = rows_of_genes(mdata, genes)
    if split_key is not None and split_key not in mdata.obs:
        msg = f"split_key={split_key!r}: there is no such column in obs, which has {list(mdata.obs.columns)}."
        raise ValueError(msg)
    trained = Trained(mdata, key, model_dir)
    names = ["", "shapley"] + (["sd", "shapley_sd"] if trained.n_members > 1 else [])
    places = {what: f"obsm/{k.part_of(key_added, what) if what else key_added}" for what in names}
    check_places(mdata, key_added, list(places.values()))
    baseline = _baseline(trained, baseline)
    inputs = Inputs(mdata, trained)
    modalities = list(inputs.channels)
    outputs = _coalitions(trained, rows, modalities, baseline)
    whole = outputs[(True,) * len(modalities)]
    without = {name: outputs[tuple(other != name for other in modalities)] for name in modalities}
    marks = list(dict.fromkeys(mark for name, each in inputs.signal.items() if name != k.DISTAL for mark in each))
    without |= {mark: trained.output(rows, _without_mark(inputs, mark)) for mark in marks if mark not in without}
    effects = {name: each - whole for name, each in without.items()}
    shares = dict(zip(modalities, shapley_values(outputs), strict=True))
    kinds = {name: "modality" if name in modalities else "mark" for name in without}
    values: dict[str, Any] = {
        places[""]: _table(mdata, rows, effects, _mean),
        places["shapley"]: _table(mdata, rows, shares, _mean),
    }
    if trained.n_members > 1:
        values[places["sd"]] = _table(mdata, rows, effects, _sd)
        values[places["shapley_sd"]] = _table(mdata, rows, shares, _sd)
    record = {
        "tool": "ablate",
        **trained.about,
        "n_members": trained.n_members,
        "tables": names,
        "baseline": baseline,
        "kinds": kinds,
        "accuracy": _accuracy(mdata, trained, rows, whole, without, kinds, split_key=split_key),
    }
    write_places(mdata, key_added, values, record)
    return give_back(mdata, given, copy=copy)


def shapley_values(outputs: Mapping[tuple[bool, ...], np.ndarray]) -> list[np.ndarray]:
    """Shapley value of each player, from the value of each coalition.

    Parameters
    ----------
    outputs
        By who is in: an array of values, of any shape.

    Returns
    -------
    An array of that shape for each player.
    """
    n = len(next(iter(outputs)))
    found = []
    for player in range(n):
        total = np.zeros(np.shape(next(iter(outputs.values()))))
        for inside, value in outputs.items():
            if not inside[player]:
                size = sum(inside)
                joined = outputs[(*inside[:player], True, *inside[player + 1 :])]
                total += factorial(size) * factorial(n - size - 1) / factorial(n) * (joined.astype(float) - value)
        found.append(total)
    return found


def _baseline(trained: Trained, asked: str | None) -> str:
    """What takes the place of a modality."""
    learned = trained.parts[0][1][0].module.network.modality_dropout > 0
    if asked == MISSING and not learned:
        msg = (
            "baseline='missing' needs a model that was trained with modality_dropout > 0 (attn.tl.fit(mdata, "
            "modality_dropout=0.2)): this one never learned to do without a modality."
        )
        raise ValueError(msg)
    return asked or (MISSING if learned else NOTHING)


def _coalitions(
    trained: Trained, rows: np.ndarray, modalities: Sequence[str], baseline: str
) -> dict[tuple[bool, ...], np.ndarray]:
    """Output of each member with each subset of the modalities, shape ``(n_members, n_rows)``."""
    if len(modalities) > _MOST:
        msg = f"{len(modalities)} modalities have {2 ** len(modalities):,} subsets, which is too many; at most {_MOST}."
        raise ValueError(msg)
    outputs = {}
    for inside in product((False, True), repeat=len(modalities)):
        out = [name for name, stays in zip(modalities, inside, strict=True) if not stays]
        outputs[inside] = trained.output(rows, change_of=partial(_without, modalities=out, baseline=baseline))
    return outputs


def _without(explainer: Explainer, modalities: Sequence[str], baseline: str) -> Change:
    """Take modalities away."""

    def change(batch: dict[str, ModalityBatch], _: np.ndarray) -> dict[str, ModalityBatch]:
        if baseline == MISSING:
            gone = {name: batch[name]._replace(present=batch[name].present & False) for name in modalities}
        else:
            nothing = explainer.baseline(batch)
            gone = {name: nothing[name] for name in modalities}
        return {**batch, **gone}

    return change


def _without_mark(inputs: Inputs, mark: str) -> Change:
    from ._edits_signal import ScaleSignal

    return ScaleSignal(mark, 0.0)._prepare(inputs)


def _mean(values: np.ndarray) -> np.ndarray:
    return values.mean(0)


def _sd(values: np.ndarray) -> np.ndarray:
    return values.std(0, ddof=1)


def _table(mdata: MuData, rows: np.ndarray, values: Mapping[str, np.ndarray], of: Any) -> pd.DataFrame:
    """Members put together; NaN in other rows."""
    import pandas as pd

    columns = {name: of(each).astype(np.float32) for name, each in values.items()}
    return pd.DataFrame(columns, index=mdata.obs_names[rows]).reindex(mdata.obs_names)


def _accuracy(
    mdata: MuData,
    trained: Trained,
    rows: np.ndarray,
    whole: np.ndarray,
    without: Mapping[str, np.ndarray],
    kinds: Mapping[str, str],
    *,
    split_key: str | None,
) -> pd.DataFrame:
    """How good the model is without each, on the test part."""
    import pandas as pd

    split_key = run_of(mdata, trained.key).get("split_key") if split_key is None else split_key
    tested = split_key is not None and str(split_key) in mdata.obs
    truth = trained.truth(mdata)[rows]
    used = np.isfinite(truth)
    if tested:
        used &= (mdata.obs[str(split_key)] == k.TEST).to_numpy()[rows]
    name, metric = next(iter(METRICS[trained.target].items()))
    # Whose model a score is from: scores of several models are never ranked together.
    fold = np.empty(trained.n_obs, int)
    for i, (of_part, _) in enumerate(trained.parts):
        fold[of_part] = i
    of_obs = {"groups": k.CHROM, "gene": k.GENE_ID}
    columns = {
        argument: mdata.obs[column].astype(str).to_numpy()[rows][used]
        for argument, column in of_obs.items()
        if column in mdata.obs and mdata.obs[column].notna().all()
    }
    full = trained.score(whole, rows)[used]
    table = []
    for ablated, output in without.items():
        about: dict[str, Any] = {"ablated": ablated, "kind": kinds[ablated], "metric": name}
        about |= {"part": k.TEST if tested else "all", "n_obs": int(used.sum())}
        about |= dict.fromkeys(("full", "without", "change", "low", "high"), np.nan) | {"method": ""}
        if used.any():
            score = trained.score(output, rows)[used]
            found = metrics.paired_difference(
                metric, truth[used], score, score_b=full, fold=fold[rows][used], n_permutations=0, **columns
            )
            of_full = metrics.interval(metric, truth[used], full, fold=fold[rows][used], n_resamples=0).value
            about |= {"full": of_full, "without": of_full + found.value, "change": found.value}
            about |= {"low": found.low, "high": found.high, "method": found.method}
        table.append(about)
    return pd.DataFrame(table)

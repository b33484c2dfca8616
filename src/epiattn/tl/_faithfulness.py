"""Whether explanations say what the model uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from epiattn import _keys as k
from epiattn._logging import logger
from epiattn._results import note_unfaithful
from epiattn._validation import as_mudata, check_choice, check_key, give_back, rows_of_genes

from ._ownership import check_places, write_places

if TYPE_CHECKING:
    from mudata import MuData

    from ._explanations import Scores
    from ._trained import Trained

CHECKS = ("weights", "labels", "seeds")
#: Fewer observations, or fewer values in each, are no test.
_MIN_OBS, _MIN_VALUES = 10, 2


def faithfulness(
    mdata: MuData,
    *,
    methods: Sequence[str] = ("attention", "integrated_gradients", "occlusion"),
    checks: Sequence[str] = ("weights",),
    genes: Sequence[str] | None = None,
    n_obs: int = 300,
    n_points: int = 10,
    n_random: int = 5,
    n_steps: int = 50,
    smooth: float = 0.0,
    max_epochs: int | None = None,
    key: str = "attn",
    key_added: str | None = None,
    model_dir: str | Path | None = None,
    seed: int = 0,
    copy: bool = False,
) -> MuData:
    """Test whether attention and attribution point at what the model uses.

    An explanation puts the values of a modality (marks x bins, CpGs, bound TFs) in an order. *Deletion* sets them to
    the baseline, the first in the order first, in equal shares, and follows the output; *insertion* starts at the
    baseline and puts them back. The other modalities stay as they are, and only values that differ from the baseline
    take part: an order gains nothing from knowing where there is no signal. The area under a curve is the mean distance
    that the output has come, in the direction in which the modality as a whole moves it; so a gene that is predicted
    low because of a mark is treated as one that is predicted high. Attribution has a sign, and is ordered by its value
    in that direction; attention has none.

    Areas are compared, observation by observation, with those of random orders and of the reversed one. Intervals are
    over chromosomes where there are ten or more, and over genes otherwise (:func:`epiattn.metrics.interval`). An
    explanation *passes* if it beats the random orders by deletion and by insertion, both with a 95 % interval above 0;
    it is *sane* if it is better at deletion than the explanations of models that learned nothing (``checks``). Where
    the attention does not pass, or is not sane, a warning is logged here and whenever it is read or drawn; the same
    holds for attribution when it is computed or compared. The size of the signal is tested beside the methods: what an
    explanation is worth that does not know the model.

    Parameters
    ----------
    mdata
        Object that ``tl.fit`` or ``tl.embed`` wrote to.
    methods
        ``"attention"``, and methods of :func:`epiattn.tl.attribute`.
    checks
        ``"weights"``: explanations of a model whose weights are in random order within every tensor; ``"labels"``:
        those of a model trained on labels that were exchanged at random. Both should be other than the model's, and
        point less well at what it uses. ``"seeds"``: train the model with another seed too, where the run is no
        ensemble, and compare the explanations; members of an ensemble are always compared.
    genes
        Test all observations of these genes (or these observations); ``None``: ``n_obs`` random ones, in equal shares
        of cell types, and of high and low predictions in each.
    n_obs
        Observations to test.
    n_points
        Shares in which values are taken away.
    n_random
        Random orders.
    n_steps, smooth
        Of attributions; see :func:`epiattn.tl.attribute`.
    max_epochs
        Of models that are trained for the checks; ``None``: as the run.
    key
        ``key_added`` of the run.
    key_added
        Where the result is written; ``None``: ``f"{key}_faithfulness"``.
    model_dir
        Folder of the model; ``None``: the model of this session, or the folder that was given to ``tl.fit``.
    seed
        Seed of the choice of observations, of random orders, and of models that are trained.
    copy
        Work on a copy.

    Returns
    -------
    The same object (a copy with ``copy=True``), with this field written:

    ``uns["attn_faithfulness"]``
        the tables of :func:`epiattn.get.faithfulness` (``verdicts``, ``tests``, ``curves``, ``agreement``; also
        ``sanity``, ``stability``, and, on simulated data, ``planted``, where there are any), and the arguments. Records
        of :func:`epiattn.tl.attention` about the same run note the modalities at which it failed (``unfaithful``)

    Raises
    ------
    ValueError
        If there is no such run, method, check or gene, a number is too small, no modality can be tested, or a model has
        to be trained again and it is not known how.

    References
    ----------
    Samek et al., IEEE Trans. Neural Netw. Learn. Syst. 28:2660 (2017), arXiv 1509.06321, and Petsiuk, Das & Saenko,
    BMVC (2018), arXiv 1806.07421 (deletion, insertion); Jain & Wallace, NAACL (2019), arXiv 1902.10186 (agreement);
    Adebayo et al., NeurIPS (2018), arXiv 1810.03292 (randomised weights and labels).

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=100, cell_types=1)
    >>> mdata = attn.tl.fit(mdata, max_epochs=1)
    >>> mdata = attn.tl.faithfulness(mdata, methods=["attention"], n_obs=40)
    >>> attn.get.faithfulness(mdata)["modality"].tolist()
    ['histone', 'methylation', 'tf']
    """
    import pandas as pd

    numbers = {"n_obs": n_obs, "n_points": n_points, "n_random": n_random, "n_steps": n_steps, "smooth": smooth}
    methods, checks = _checked(methods, checks, numbers)
    from ._faithfulness_tables import verdicts
    from ._trained import Trained
    from ._untrained import check_trainable

    given, mdata = mdata, as_mudata(mdata, copy=copy)
    key_added = k.faithfulness(key) if key_added is None else key_added
    check_key(mdata, key_added)
    check_places(mdata, key_added, [])
    rng = np.random.default_rng(seed)
    trained = Trained(mdata, key, model_dir)
    if "labels" in checks or ("seeds" in checks and trained.n_members == 1):
        check_trainable(trained.record, key)
    rows = _chosen(mdata, key, rng, n_obs) if genes is None else rows_of_genes(mdata, genes)
    options = {"n_steps": n_steps, "smooth": smooth, "seed": seed}
    found = _tables(
        mdata,
        trained,
        rows,
        methods,
        _others(mdata, trained, checks, seed, max_epochs),
        rng,
        n_points=n_points,
        n_random=n_random,
        **options,
    )
    if not found["tests"]:
        msg = f"Nothing to test: no modality has {_MIN_VALUES} values to take away in {_MIN_OBS} observations or more."
        raise ValueError(msg)
    tables = {name: pd.DataFrame(table) for name, table in found.items() if table}
    tables["verdicts"] = verdicts(tables["tests"], tables.get("sanity"))
    record: dict[str, Any] = {
        "tool": "faithfulness",
        **trained.about,
        "methods": methods,
        "checks": checks,
        "n_obs": len(rows),
        "n_points": n_points,
        "n_random": n_random,
        "max_epochs": max_epochs,
        **options,
        **tables,
    }
    write_places(mdata, key_added, {}, record)
    note_unfaithful(mdata, key)
    _say(tables["verdicts"])
    return give_back(mdata, given, copy=copy)


def _checked(
    methods: Sequence[str], checks: Sequence[str], numbers: Mapping[str, float]
) -> tuple[list[str], list[str]]:
    from epiattn.models._explainer import METHODS

    from ._explanations import ATTENTION

    methods = [methods] if isinstance(methods, str) else list(dict.fromkeys(methods))
    checks = [checks] if isinstance(checks, str) else list(dict.fromkeys(checks))
    for method in methods:
        check_choice("methods", method, (ATTENTION, *METHODS))
    for check in checks:
        check_choice("checks", check, CHECKS)
    if not methods:
        msg = f"methods is empty: name some of {[ATTENTION, *METHODS]}."
        raise ValueError(msg)
    smallest = {"n_obs": _MIN_OBS, "n_points": 2, "n_random": 1, "n_steps": 1, "smooth": 0}
    for name, number in numbers.items():
        if number < smallest[name]:
            msg = f"{name} must be {smallest[name]} or more, not {number}."
            raise ValueError(msg)
    return methods, checks


def _chosen(mdata: MuData, key: str, rng: np.random.Generator, n_obs: int) -> np.ndarray:
    """Random observations, as far as there are equally many of each cell type, and of its high and low predictions."""
    score = mdata.obs[k.score(key)].to_numpy(dtype=float)
    cell_type = np.zeros(mdata.n_obs, dtype=int)
    if k.CELL_TYPE in mdata.obs:
        cell_type = np.unique(mdata.obs[k.CELL_TYPE].astype(str), return_inverse=True)[1]
    order = rng.permutation(mdata.n_obs)
    place = np.empty(mdata.n_obs)
    for name in np.unique(cell_type):
        middle = np.median(score[cell_type == name])
        for side in (score > middle, score <= middle):
            rows = order[(cell_type == name)[order] & side[order]]
            place[rows] = np.arange(len(rows))
    return np.sort(np.lexsort((rng.random(mdata.n_obs), place))[:n_obs])


def _others(
    mdata: MuData, trained: Trained, checks: Sequence[str], seed: int, max_epochs: int | None
) -> dict[str, Trained]:
    """Models to compare with, by check."""
    from ._untrained import trained_again, with_random_weights

    found = {}
    if "weights" in checks:
        found["weights"] = with_random_weights(trained, seed)
    if "labels" in checks:
        found["labels"] = trained_again(mdata, trained, seed=seed, shuffle=True, max_epochs=max_epochs)
    if "seeds" in checks and trained.n_members == 1:
        another = int(trained.record.get("seed", 0)) + 1 + seed
        found["seeds"] = trained_again(mdata, trained, seed=another, max_epochs=max_epochs)
    return found


def _tables(
    mdata: MuData,
    trained: Trained,
    rows: np.ndarray,
    methods: Sequence[str],
    others: dict[str, Trained],
    rng: np.random.Generator,
    *,
    n_points: int,
    n_random: int,
    **options: Any,
) -> dict[str, list[dict[str, Any]]]:
    """Rows of all tables, by name."""
    from ._explanations import SIGNAL, between_members, scores_of
    from ._faithfulness_tables import RANDOM, Sample, Trial, in_modality, mean_scores
    from ._planted import planted_causes
    from ._removal import ground_of

    members = between_members(trained, rows, [*methods, SIGNAL], **options)
    scores = mean_scores(members)
    of_others = {
        check: {method: scores_of(other, rows, method, **options) for method in methods}
        for check, other in others.items()
    }
    planted = planted_causes(mdata, trained.channels, rows)
    everyone = Sample.of(trained, rows, mdata.obs)
    found: dict[str, list] = {name: [] for name in ("tests", "curves", "agreement", "sanity", "stability", "planted")}
    for modality, differences in scores[SIGNAL].items():
        which = (differences != 0).sum(1) >= _MIN_VALUES
        if which.sum() < _MIN_OBS:
            logger.info("%r is not tested: %d of the %d observations have values.", modality, which.sum(), len(rows))
            continue
        sample = everyone.part(which)
        ground = ground_of(trained, sample.rows, modality, differences[which])
        trial = Trial(sample, modality, ground, n_points, rng)
        random = trial.walk_at_random(n_random)
        found["curves"] += trial.curves_of(RANDOM, random)
        ours = _rows_of(in_modality(scores, modality), which)
        grounds = {
            check: ground_of(other, sample.rows, modality, differences[which])
            for check, other in others.items()
            if check != "seeds"
        }
        for method, values in ours.items():
            walk = trial.walk_by(trial.toward(method, values))
            found["tests"] += trial.tests_of(method, walk, random)
            found["curves"] += trial.curves_of(method, walk)
            for check, theirs in grounds.items():
                if method != SIGNAL:
                    nothing = of_others[check][method][modality][which]
                    found["sanity"].append(trial.sanity_of(check, method, values, walk, nothing, theirs))
        found["agreement"] += trial.agreement_of(ours)
        seeds = [*members, of_others["seeds"]] if "seeds" in of_others else members
        by_seed = [_rows_of(in_modality(each, modality), which) for each in seeds]
        found["stability"] += trial.stability_of([{m: each[m] for m in ours if m != SIGNAL} for each in by_seed])
        if modality in planted:
            found["planted"] += trial.planted_in(ours, *(each[which] for each in planted[modality]))
    return found


def _rows_of(scores: Scores, which: np.ndarray) -> Scores:
    return {name: values[which] for name, values in scores.items()}


def _say(verdicts: Any) -> None:
    for row in verdicts.itertuples():
        sane = getattr(row, "sane", True)
        beats = "beats random orders" if row.passes else "does not beat random orders"
        more = "" if sane else ", and is no better than that of a model that learned nothing"
        level = logger.warning if row.method == "attention" and not (row.passes and sane) else logger.info
        level("Faithfulness of %s over %s: %s%s.", row.method, row.modality, beats, more)

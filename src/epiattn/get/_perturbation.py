"""Effects of perturbations as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from epiattn._effects import groups_of, over_genes, tables_of
from epiattn._results import result_of
from epiattn._validation import as_mudata, check_choice

if TYPE_CHECKING:
    import pandas as pd
    from mudata import MuData


def perturbation(
    mdata: MuData,
    *,
    level: str = "groups",
    groupby: str | None = None,
    changed_only: bool = False,
    key: str = "attn_perturbation",
) -> pd.DataFrame:
    """What :func:`epiattn.tl.perturb` found.

    Parameters
    ----------
    mdata
        The object.
    level
        ``"groups"``: one row for each perturbation and group; ``"observations"``: one for each perturbation and
        observation.
    groupby
        Column of ``obs``; ``None``: all observations together.
    changed_only
        Leave observations out whose inputs the perturbation did not change, such as genes that a knocked-out TF does
        not bind.
    key
        The ``key_added`` of :func:`epiattn.tl.perturb`.

    Returns
    -------
    Both levels: ``perturbation``; ``kind``, which is ``"given"``, ``"single"`` (one of its edits alone) or
    ``"interaction"``; ``group``; ``effect``, the change of the output in log-odds or units of expression;
    ``probability``, the change of the probability (labels only); ``effect_sd`` and ``probability_sd``, the standard
    deviation between the members (ensembles only; of groups, the mean over the observations). Groups: ``effect_low``
    to ``effect_high`` and ``probability_low`` to ``probability_high``, 95 % intervals of the mean over genes;
    ``n_obs``, ``n_genes`` and ``n_changed``. Observations: ``obs_name`` and ``changed``.

    Raises
    ------
    ValueError
        If there is no such result, level or column.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=100, cell_types=2)
    >>> mdata = attn.tl.fit(mdata, max_epochs=1)
    >>> mdata = attn.tl.perturb(mdata, {"no H3K27ac": attn.tl.ScaleSignal("H3K27ac", 0)})
    >>> table = attn.get.perturbation(mdata, groupby="cell_type")
    >>> list(table["group"])
    ['cell_type_0', 'cell_type_1']
    """
    import pandas as pd

    check_choice("level", level, ("groups", "observations"))
    mdata = as_mudata(mdata, copy=bool(getattr(mdata, "is_view", False)))
    record = result_of(mdata, key, "perturb")
    tables = {name: table.to_numpy() for name, table in tables_of(mdata, key, list(record["tables"])).items()}
    changed = tables.pop("changed").astype(bool)
    names = {"": "effect", "sd": "effect_sd"}
    done = record["perturbations"]
    parts = []
    for group, member in groups_of(mdata, groupby).items():
        for i, (name, kind) in enumerate(zip(done["perturbation"], done["kind"], strict=True)):
            used = member & np.isfinite(tables[""][:, i]) & (changed[:, i] | (not changed_only))
            columns = {names.get(what, what): np.where(used, each[:, i], np.nan) for what, each in tables.items()}
            about: dict[str, Any] = {"perturbation": str(name), "kind": str(kind), "group": group}
            if level == "observations":
                rows = np.flatnonzero(used)
                of_rows = {what: each[rows] for what, each in columns.items()}
                parts.append(
                    pd.DataFrame({**about, "obs_name": mdata.obs_names[rows], **of_rows, "changed": changed[rows, i]})
                )
                continue
            for what, each in columns.items():
                found = over_genes(mdata, each)
                about[what] = found["mean"] if not what.endswith("_sd") else _mean(each)
                if not what.endswith("_sd"):
                    about |= {f"{what}_{end}": found[end] for end in ("low", "high")}
                    counts = {number: found[number] for number in ("n_obs", "n_genes")}
            parts.append(pd.DataFrame([{**about, **counts, "n_changed": int((used & changed[:, i]).sum())}]))
    return pd.concat(parts, ignore_index=True)


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")

"""What regulates genes here and not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import false_discovery_control

from epiattn import _keys as k
from epiattn._results import run_of, warn_if_several_models
from epiattn._validation import as_mudata, check_choice, check_key, give_back

from ._comparisons import REST, as_scanpy, comparisons, units_of
from ._ownership import write_places
from ._permutation import GeneTest, compare_genes, compare_units, compare_within_genes, pair_genes
from ._regulation import regulation_of

if TYPE_CHECKING:
    import pandas as pd
    from mudata import MuData

#: Share of a group's genes that the reference must hold too, so that genes are compared with themselves.
_PAIRED = 0.5


def differential_regulation(
    mdata: MuData,
    *,
    groupby: str = k.CELL_TYPE,
    group: str | Sequence[str] | None = None,
    reference: str | Sequence[str] = REST,
    of: str = "attribution",
    regions: Mapping[str, tuple[float, float]] | None = None,
    tfs: bool = False,
    n_permutations: int = 1_000,
    key: str = "attn",
    key_added: str | None = None,
    seed: int = 0,
    copy: bool = False,
) -> MuData:
    """Compare what regulates genes between cell types (or clusters): which marks, CpGs and TFs, and at which genes.

    *Features*: does a mark add more, over all genes, in the group than in the reference? Genes that both hold are
    compared with themselves, and the names of their observations are exchanged gene by gene; where fewer than half of
    a group's genes are in the reference too (clusters), genes change sides, and those that are on both exchange their
    two means. *Genes*: which genes differ, mark by mark?
    The score of a gene is a moderated t; its p-value comes from the scores of all genes with the names of their
    observations exchanged. That needs a gene to have three observations, such as one cell type against two. Of one
    against one nothing can be exchanged: scores are differences, p-values are ranks among all genes, and there are no
    adjusted p-values. p-values are adjusted by Benjamini and Hochberg, over the features of a group, and over all genes
    and features of a group.

    Parameters
    ----------
    mdata
        Object that ``tl.fit`` or ``tl.embed``, and ``tl.attribute`` (for ``of="attribution"``), wrote to.
    groupby
        Column of ``obs``: cell types, conditions, clusters.
    group
        One or several of its values, taken together; ``None``: each value by itself.
    reference
        What they are compared with: ``"rest"`` (all others), or one or several values.
    of
        ``"attribution"``: what a feature adds to the model's output, in log-odds or units of expression;
        ``"attention"``: its share of the attention, for marks that the model keeps apart and for TFs.
    regions
        Parts of the window to tell apart, in bp from the TSS, such as ``{"promoter": (-500, 500)}``; features are then
        called ``"H3K4me3 promoter"``. ``None``: the window as a whole.
    tfs
        Tell single TFs apart, instead of taking all of an observation together.
    n_permutations
        Random exchanges for the features' p-values, which are never below ``1 / (n_permutations + 1)``.
    key
        ``key_added`` of the run.
    key_added
        Where the result is written; ``None``: ``f"{key}_differential"``.
    seed
        Seed of the exchanges.
    copy
        Work on a copy.

    Returns
    -------
    The same object (a copy with ``copy=True``), with this field written:

    ``uns["attn_differential"]``
        ``features`` and ``genes``, the tables of :func:`epiattn.get.differential_regulation`; and the features in the
        layout of :func:`scanpy.tl.rank_genes_groups` (``names``, ``scores``, ``pvals``, ``pvals_adj``,
        ``logfoldchanges``, which are the differences, and ``params``)

    Raises
    ------
    ValueError
        If there is no such run, column or group, nothing to compare, or no attribution.

    References
    ----------
    Tusher, Tibshirani & Chu, PNAS 98:5116 (2001), doi 10.1073/pnas.091062498 (moderated t, pooled permutations);
    Phipson & Smyth, Stat. Appl. Genet. Mol. Biol. 9:39 (2010), doi 10.2202/1544-6115.1585; Benjamini & Hochberg, J. R.
    Stat. Soc. B 57:289 (1995).

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=100, cell_types=3)
    >>> mdata = attn.tl.attribute(attn.tl.fit(mdata, max_epochs=1), n_steps=5)
    >>> mdata = attn.tl.differential_regulation(mdata, group="cell_type_0", n_permutations=100)
    >>> attn.get.differential_regulation(mdata, level="features").shape
    (9, 12)
    """
    import pandas as pd

    check_choice("of", of, ("attribution", "attention"))
    if n_permutations < 1:
        msg = f"n_permutations must be 1 or more, not {n_permutations}."
        raise ValueError(msg)
    given, mdata = mdata, as_mudata(mdata, copy=copy)
    run = run_of(mdata, key)
    warn_if_several_models(mdata, key, {"attribution": "attributions"}.get(of, "weights of attention"))
    key_added = k.differential(key) if key_added is None else key_added
    check_key(mdata, key_added)
    compared = comparisons(mdata, groupby, group, reference)
    table = regulation_of(mdata, key, of=of, regions=regions, tfs=tfs)
    values, known = table.to_numpy(dtype=float), np.isfinite(table.to_numpy()).all(1)
    gene = pd.factorize(mdata.obs[k.GENE_ID] if k.GENE_ID in mdata.obs else pd.Series(mdata.obs_names))
    rng = np.random.default_rng(seed)
    features, genes, notes = [], [], {}
    for (name, other), side in compared.items():
        side = np.where(known, side, 0)
        if not ((side == 1).any() and (side == -1).any()):
            msg = f"obs[{groupby!r}]: {name!r} and {other!r} must both have observations with {of}."
            raise ValueError(msg)
        blocks = pair_genes(gene[0], side)
        n_paired = sum(len(block.genes) for block in blocks)
        if n_paired >= _PAIRED * len(np.unique(gene[0][side == 1])):
            found = compare_within_genes(values, blocks, n_permutations=n_permutations, rng=rng)
            tested = compare_genes(values, blocks, rng)
            genes.append(_gene_table(tested, table.columns, gene[1], name, other, mdata))
            notes[name] = "within genes" if tested.replicated else "within genes; p-values of genes are ranks"
        else:
            units = units_of(values, gene[0], side)
            found = compare_units(*units[:2], n_permutations=n_permutations, rng=rng, n_paired=units[2])
            notes[name] = "between genes"
        of_feature = found._asdict()
        n_units = of_feature.pop("n_units")
        columns = {"group": name, "reference": other, "feature": table.columns, **of_feature, "n_units": n_units}
        frame = pd.DataFrame(columns).rename(columns={"p_value": "pvals"})
        frame["pvals_adj"] = false_discovery_control(frame["pvals"])
        frame["mean_group"], frame["mean_reference"] = (values[side == value].mean(0) for value in (1, -1))
        features.append(frame)
    of_features = pd.concat(features, ignore_index=True)
    record: dict[str, Any] = {
        "tool": "differential_regulation",
        "key": key,
        "fingerprint": run.get("fingerprint"),
        "params": {
            "groupby": groupby,
            "reference": reference if isinstance(reference, str) else ", ".join(reference),
            "method": "permutation",
            "of": of,
            "n_permutations": n_permutations,
            "seed": seed,
            "use_raw": False,
            "corr_method": "benjamini-hochberg",
        },
        "exchanged": pd.DataFrame({"group": list(notes), "exchanged": list(notes.values())}),
        "features": of_features,
        "genes": _compact(pd.concat(genes, ignore_index=True)) if genes else _no_genes(),
    }
    write_places(mdata, key_added, {}, record)
    mdata.uns[key_added] |= as_scanpy(of_features)
    return give_back(mdata, given, copy=copy)


def _gene_table(
    tested: GeneTest, features: pd.Index, gene_ids: pd.Index, name: str, other: str, mdata: MuData
) -> pd.DataFrame:
    """One row for each gene and feature, the largest scores first."""
    import pandas as pd

    n_genes, n_features = tested.effect.shape
    ids = np.asarray(gene_ids, dtype=object)[tested.genes]
    columns = {
        "group": name,
        "reference": other,
        "gene_id": np.repeat(ids, n_features),
        "feature": np.tile(np.asarray(features, dtype=object), n_genes),
        "effect": tested.effect.ravel(),
        "score": tested.score.ravel(),
        "pvals": tested.p_value.ravel(),
    }
    if k.GENE_NAME in mdata.obs and k.GENE_ID in mdata.obs:
        by_id = mdata.obs.drop_duplicates(k.GENE_ID).set_index(k.GENE_ID)[k.GENE_NAME].astype(str)
        columns["gene_name"] = by_id.loc[columns["gene_id"]].to_numpy(dtype=object)
    else:
        columns["gene_name"] = columns["gene_id"]
    frame = pd.DataFrame(columns)
    frame = frame[(frame["effect"] != 0) | (frame["score"].abs() > 0)]  # a TF that is bound nowhere says nothing
    frame["pvals_adj"] = np.nan
    if tested.replicated and len(rows := np.flatnonzero(frame["pvals"].notna())):
        adjusted = frame["pvals"].to_numpy().copy()
        adjusted[rows] = false_discovery_control(adjusted[rows])
        frame["pvals_adj"] = adjusted
    order = np.argsort(-np.abs(np.nan_to_num(frame["score"].to_numpy())), kind="stable")
    names = ["group", "reference", "gene_id", "gene_name", "feature", "effect", "score", "pvals", "pvals_adj"]
    return frame.iloc[order][names]


def _no_genes() -> pd.DataFrame:
    import pandas as pd

    text = ["group", "reference", "gene_id", "gene_name", "feature"]
    numbers = ["effect", "score", "pvals", "pvals_adj"]
    return pd.DataFrame({**{name: pd.Series(dtype=object) for name in text}, **{name: [] for name in numbers}})


def _compact(table: pd.DataFrame) -> pd.DataFrame:
    """Text as categories: names repeat thousands of times."""
    text = ["group", "reference", "gene_id", "gene_name", "feature"]
    return table.astype(dict.fromkeys(text, "category"))

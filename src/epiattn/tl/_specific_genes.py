"""Genes whose expression and regulation are specific to a cell type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from epiattn import _keys as k
from epiattn._by_gene import ByGene, by_gene
from epiattn._logging import logger
from epiattn._modalities import expression_of
from epiattn._results import run_of, warn_if_several_models
from epiattn._validation import as_mudata, check_key, give_back

from ._ownership import write_places
from ._regulation import regulation_of
from ._specificity import agreement, differences, share_above, tau, z_scores

if TYPE_CHECKING:
    import pandas as pd
    from mudata import MuData

SCORE = "score"
_NAMED = 3  # marks in the column `features`


def specific_genes(
    mdata: MuData,
    *,
    groupby: str = k.CELL_TYPE,
    key: str | None = "attn",
    key_added: str | None = None,
    copy: bool = False,
) -> MuData:
    """Find genes whose expression and regulation are specific to a cell type, and the marks that are responsible.

    *Expression* is ``mdata["rna"]``; where there is none, the model's score takes its place, and the result says so.
    *Regulation* is what the observation's marks, CpGs and TFs add to the model's output
    (:func:`epiattn.tl.attribute`). Of both, the table holds the difference between a cell type and the mean of the
    others, and its z-score over the cell types; of what cannot be negative (expression and score), tau. A feature is
    responsible by as much as it adds more in this cell type than in the mean of the others; these differences sum to
    that of the regulation.

    The test asks whether a gene is more specific in both than it would be if they had nothing in common: genes are
    ranked in both, and the worse rank is compared with that of all genes when, within each gene, the names of the cell
    types are exchanged in the regulation. All exchanges are made. p-values are adjusted over the genes of a cell type
    (Benjamini and Hochberg). Without expression, or without a run, there are no two measurements: p-values are then the
    share of the genes that are at least as specific, and there are no adjusted ones.

    Two cell types have no tau and no z-score, which could only say which of the two is higher: the differences and the
    test say by how much.

    Parameters
    ----------
    mdata
        Object that ``tl.fit`` or ``tl.embed``, and ``tl.attribute``, wrote to.
    groupby
        Column of ``obs``: cell types, or lineages of cell types, whose mean is taken.
    key
        ``key_added`` of the run; ``None``: expression alone, without regulation.
    key_added
        Where the result is written; ``None``: ``f"{key}_specific"``.
    copy
        Work on a copy.

    Returns
    -------
    The same object (a copy with ``copy=True``), with this field written:

    ``uns["attn_specific"]``
        ``genes``, the table of :func:`epiattn.get.specific_genes`, ``features``, what each feature adds more (one row
        for each row of ``genes``), ``n_tested`` and ``params``, among them ``expression``: what was taken for it

    Raises
    ------
    ValueError
        If there is no such run or column, no attribution, fewer than two cell types, or no gene that is in all of them.

    References
    ----------
    Yanai et al., Bioinformatics 21:650 (2005), doi 10.1093/bioinformatics/bti042 (tau); Kryuchkova-Mostacci &
    Robinson-Rechavi, Brief. Bioinform. 18:205 (2017), doi 10.1093/bib/bbw008 (tau compared with others); Phipson &
    Smyth, Stat. Appl. Genet. Mol. Biol. 9:39 (2010), doi 10.2202/1544-6115.1585; Benjamini & Hochberg, J. R. Stat. Soc.
    B 57:289 (1995).

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=100, cell_types=3)
    >>> mdata = attn.tl.attribute(attn.tl.fit(mdata, max_epochs=1), n_steps=5)
    >>> mdata = attn.tl.specific_genes(mdata)
    >>> table = attn.get.specific_genes(mdata, group="cell_type_1")
    >>> len(table)
    100
    """
    given, mdata = mdata, as_mudata(mdata, copy=copy)
    run = None if key is None else run_of(mdata, key)
    key_added = k.specific(key or "attn") if key_added is None else key_added
    check_key(mdata, key_added)
    if key is not None:
        warn_if_several_models(mdata, key, "attributions")
    place = by_gene(mdata, groupby)
    if len(place.groups) < 2:
        msg = f"obs[{groupby!r}] holds {place.groups} only: specific to what?"
        raise ValueError(msg)
    found = _measure(mdata, key, place)
    adjusted = found.regulation is not None and found.source == k.EXPRESSION
    params: dict[str, Any] = {"groupby": groupby, "expression": found.source, "corr_method": "benjamini-hochberg"}
    if not adjusted:
        logger.warning(
            "Nothing but the %s tells which genes are specific: p-values are shares of genes, and are not adjusted.",
            "model" if found.source == SCORE else k.EXPRESSION,
        )
    genes, features = _tables(found, place, adjusted=adjusted)
    record = {
        "tool": "specific_genes",
        **({} if run is None else {"key": key, "fingerprint": run.get("fingerprint")}),
        "params": params,
        "n_tested": int(found.whole.sum()),
        "groups": place.groups,
        "genes": genes,
        "features": features,
    }
    write_places(mdata, key_added, {}, record)
    return give_back(mdata, given, copy=copy)


class _Measured(NamedTuple):
    """Of groups x genes: expression or what stands for it, the score, the regulation and its features."""

    source: str
    expression: np.ndarray
    score: np.ndarray | None
    regulation: np.ndarray | None
    features: pd.DataFrame | None
    added: np.ndarray | None
    whole: np.ndarray
    """Genes with everything in all groups, shape ``(n_genes,)``."""


def _measure(mdata: MuData, key: str | None, place: ByGene) -> _Measured:
    expression = place.mean(expression_of(mdata)) if k.RNA in mdata.mod else None
    score = features = added = regulation = None
    if key is not None:
        features = regulation_of(mdata, key)
        added = place.mean(features.to_numpy(dtype=float))
        regulation = added.sum(2)
        score = place.mean(mdata.obs[k.score(key)].to_numpy(dtype=float))
    source, values = (SCORE, score) if expression is None else (k.EXPRESSION, expression)
    if values is None:
        msg = f"No expression: the modalities are {list(mdata.mod)}; without 'rna', key= must name a run."
        raise ValueError(msg)
    whole = np.isfinite(values).all(0) & (True if regulation is None else np.isfinite(regulation).all(0))
    if not whole.any():
        msg = f"No gene has {source} and attributions in all of {place.groups}."
        raise ValueError(msg)
    return _Measured(source, values, score, regulation, features, added, whole)


def _tables(found: _Measured, place: ByGene, *, adjusted: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The genes of each group, and what each feature adds more there; in the same order, the best first."""
    import pandas as pd

    whole, n_groups = found.whole, len(place.groups)
    about = place.genes[whole]
    shape = (n_groups, len(about))
    values = found.expression[:, whole]
    columns: dict[str, np.ndarray] = {
        "group": np.repeat(np.array(place.groups, dtype=object), len(about)),
        k.GENE_ID: np.tile(about.index.to_numpy(dtype=object), n_groups),
        k.GENE_NAME: np.tile(about[k.GENE_NAME].to_numpy(dtype=object), n_groups),
        found.source: values,
        "tau": np.broadcast_to(tau(values), shape),
        "z": z_scores(values),
        "difference": (of_expression := differences(values)),
    }
    rank, names, more = share_above(of_expression), [], np.zeros((n_groups * len(about), 0))
    p_value, p_adjusted = rank, np.full(shape, np.nan)
    if found.regulation is not None and found.added is not None and found.features is not None:
        regulation = found.regulation[:, whole]
        of_regulation = differences(regulation)
        names = list(found.features.columns)
        more = differences(found.added[:, whole]).reshape(-1, len(names))
        if found.score is not None and found.source != SCORE:
            score = found.score[:, whole]
            columns |= {SCORE: score, "tau_score": np.broadcast_to(tau(score), shape)}
        columns |= {
            "regulation": regulation,
            "z_regulation": z_scores(regulation),
            "difference_regulation": of_regulation,
            "features": _responsible(more, names),
        }
        if adjusted:
            rank, p_value, p_adjusted = agreement(of_expression, of_regulation)
        else:
            rank = np.maximum(rank, share_above(of_regulation))
            p_value = share_above(-rank)
    columns |= {"rank": rank, "pvals": p_value, "pvals_adj": p_adjusted}
    table = pd.DataFrame({name: np.asarray(each).reshape(-1) for name, each in columns.items()})
    order = np.lexsort((table["rank"], table["group"].map({name: i for i, name in enumerate(place.groups)})))
    text = ["group", k.GENE_ID, k.GENE_NAME]
    genes = table.iloc[order].reset_index(drop=True).astype(dict.fromkeys(text, "category"))
    return genes, pd.DataFrame(more[order].astype(np.float32), columns=names)


def _responsible(more: np.ndarray, names: list[str]) -> np.ndarray:
    """The features that add most more than elsewhere, as ``"H3K27ac +0.81, H3K4me3 +0.52"``."""
    best = np.argsort(-more, axis=1, kind="stable")[:, :_NAMED]
    texts = [
        ", ".join(f"{names[i]} {row[i]:+.2f}" for i in chosen if row[i] > 0)
        for row, chosen in zip(more, best, strict=True)
    ]
    return np.array(texts, dtype=object)

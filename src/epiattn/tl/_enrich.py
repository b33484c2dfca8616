"""What lists of genes have in common: gene sets that are over-represented in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import false_discovery_control

from epiattn import _keys as k
from epiattn._logging import logger
from epiattn._validation import as_mudata, check_key, give_back

from ._gene_lists import GeneList, lists_of_groups, lists_of_result, lists_of_user
from ._gene_sets import GeneSets, read_gene_sets
from ._ownership import write_places

if TYPE_CHECKING:
    import pandas as pd
    from mudata import MuData


def enrich(
    mdata: MuData,
    gene_sets: GeneSets | str | Path,
    *,
    of: str = "attn_specific",
    groupby: str | None = None,
    genes: Mapping[str, Iterable[str]] | Iterable[str] | None = None,
    fdr: float = 0.05,
    n_top: int | None = None,
    background: Iterable[str] | None = None,
    min_size: int = 5,
    max_size: int = 500,
    key_added: str | None = None,
    copy: bool = False,
) -> MuData:
    """Test which gene sets are over-represented among specific genes, differential genes, clusters or any genes.

    The test is the hypergeometric one (Fisher's, one-sided) of gseapy; nothing is downloaded. The background are the
    genes that could have been in the list: those that were tested, not the genome. Genes are known to the sets by
    ``obs["gene_name"]`` or by ``obs["gene_id"]``, whichever the sets hold more of. p-values are adjusted over all sets
    of a list (Benjamini and Hochberg), also those without a gene in common.

    Parameters
    ----------
    mdata
        The object.
    gene_sets
        GMT file (plain or gzipped), or a dictionary of sets, such as ``{"heme": ["ALAS2", "HBB"]}``.
    of
        ``key_added`` of :func:`epiattn.tl.specific_genes` (a list for each cell type) or of
        :func:`epiattn.tl.differential_regulation` (for each group, feature and direction).
    groupby
        Column of ``obs``, such as ``"attn_cluster"``, instead: a list for each group, of genes with an observation in
        it.
    genes
        Names or ids instead: a list, or several by name.
    fdr
        Largest adjusted p-value of the genes that are taken from a result.
    n_top
        Take so many of its best genes instead.
    background
        Names or ids of genes; ``None``: all that were tested, have a group, or are in the object.
    min_size, max_size
        Sets with fewer or more genes in the background are left out.
    key_added
        Where the result is written; ``None``: ``"attn_enrich"``.
    copy
        Work on a copy.

    Returns
    -------
    The same object (a copy with ``copy=True``), with this field written:

    ``uns["attn_enrich"]``
        ``table``, see :func:`epiattn.get.enrich`, and ``params``

    Raises
    ------
    ImportError
        If gseapy is not installed.
    ValueError
        If there is no such result, column, gene or set, the background has no gene of the sets, or no list has a gene.

    References
    ----------
    Fang, Liu & Peltz, Bioinformatics 39:btac757 (2023), doi 10.1093/bioinformatics/btac757 (gseapy); Boyle et al.,
    Bioinformatics 20:3710 (2004), doi 10.1093/bioinformatics/bth456 (hypergeometric test, background).

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=100, cell_types=1)
    >>> names = mdata.obs["gene_id"]
    >>> sets = {"first": list(names[:20]), "last": list(names[80:])}
    >>> mdata = attn.tl.enrich(mdata, sets, genes=list(names[:10]))
    >>> attn.get.enrich(mdata)["gene_set"].tolist()
    ['first', 'last']
    """
    import pandas as pd

    try:
        import gseapy
    except ImportError as error:
        msg = 'tl.enrich needs gseapy: pip install "epiattn[enrich]".'
        raise ImportError(msg) from error

    if n_top is not None and n_top < 1:
        msg = f"n_top must be 1 or more, not {n_top}."
        raise ValueError(msg)
    given, mdata = mdata, as_mudata(mdata, copy=copy)
    key_added = k.enrichment("attn") if key_added is None else key_added
    check_key(mdata, key_added)
    if k.GENE_ID not in mdata.obs:
        msg = "obs['gene_id'] is missing: which gene each observation is about."
        raise ValueError(msg)
    sets = read_gene_sets(gene_sets)
    if genes is not None:
        lists, source = lists_of_user(mdata, genes), "genes"
    elif groupby is not None:
        lists, source = lists_of_groups(mdata, groupby), f"obs/{groupby}"
    else:
        lists, source = lists_of_result(mdata, of, fdr=fdr, n_top=n_top), f"uns/{of}"
    if background is not None:
        tested = lists_of_user(mdata, {"background": background})["background"].genes
        known = set(tested)
        lists = {name: GeneList([i for i in each.genes if i in known], tested) for name, each in lists.items()}
    named = _names_in_sets(mdata, sets)
    tables = []
    for name, each in lists.items():
        chosen, all_names = ({named[i] for i in ids} for ids in each)
        if not chosen:
            continue
        here = {title: members & all_names for title, members in sets.items()}
        here = {title: members for title, members in here.items() if min_size <= len(members) <= max_size}
        if not here:
            n = f"{len(all_names):,}"
            msg = f"No set has {min_size} to {max_size} genes among the {n} of the background: see min_size=."
            raise ValueError(msg)
        tables.append(_test(gseapy, name, chosen, all_names, here))
    if not tables:
        by_fdr = genes is None and groupby is None and n_top is None
        msg = f"No list of {source} has a gene" + (f" at fdr={fdr:g}; try n_top=." if by_fdr else ".")
        raise ValueError(msg)
    if len(tables) < len(lists):
        logger.info("%d of the %d lists have no gene, and are left out.", len(lists) - len(tables), len(lists))
    record = {
        "tool": "enrich",
        "params": {"source": source, "fdr": fdr, "n_top": n_top, "min_size": min_size, "max_size": max_size},
        "table": pd.concat(tables, ignore_index=True),
    }
    write_places(mdata, key_added, {}, record)
    return give_back(mdata, given, copy=copy)


def _names_in_sets(mdata: MuData, sets: Mapping[str, set[str]]) -> dict[str, str]:
    """What the sets call a gene, by its id."""
    known = set().union(*sets.values())
    ids = mdata.obs[k.GENE_ID].astype(str).to_numpy()
    ways = [mdata.obs[column].astype(str).to_numpy() for column in (k.GENE_NAME, k.GENE_ID) if column in mdata.obs]
    best = max(ways, key=lambda names: len(known & set(names)))
    if not known & set(best):
        some, ours = sorted(known)[:3], [list(names[:2]) for names in ways]
        msg = f"No gene of the sets is in the object: the sets hold {some}, names and ids here are such as {ours}."
        raise ValueError(msg)
    return dict(zip(ids, best, strict=True))


def _test(gseapy: Any, name: str, chosen: set[str], background: set[str], sets: Mapping[str, set[str]]) -> pd.DataFrame:
    """One row for each set, the smallest p-value first."""
    import pandas as pd

    n, total = len(chosen), len(background)
    shared = {title: sorted(members & chosen) for title, members in sets.items()}
    size = np.array([len(members) for members in sets.values()])
    overlap = np.array([len(each) for each in shared.values()])
    table = pd.DataFrame(
        {
            "group": name,
            "gene_set": list(sets),
            "overlap": overlap,
            "set_size": size,
            "list_size": n,
            "background_size": total,
            "expected": n * size / total,
            "odds_ratio": 0.0,
            "pvals": 1.0,
            "genes": [";".join(each) for each in shared.values()],
        },
        index=pd.Index(list(sets)),
    )
    if overlap.any():
        tested = gseapy.enrich(
            sorted(chosen), {title: sorted(members) for title, members in sets.items()},
            background=sorted(background), outdir=None, no_plot=True,
        ).results.set_index("Term")  # fmt: skip
        table.loc[tested.index, "pvals"] = tested["P-value"].to_numpy(dtype=float)
        table.loc[tested.index, "odds_ratio"] = tested["Odds Ratio"].to_numpy(dtype=float)
    table["pvals_adj"] = false_discovery_control(table["pvals"].clip(0, 1))
    return table.sort_values(["pvals", "gene_set"], kind="stable").reset_index(drop=True)

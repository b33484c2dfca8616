"""Splits into training, validation and test observations."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from epiattn import _keys as k
from epiattn._logging import logger
from epiattn._validation import as_mudata, give_back

from ._plan import Plan

if TYPE_CHECKING:
    from mudata import MuData


def split(
    mdata: MuData,
    *,
    by: str = "chrom",
    validation: Collection[str] | None = None,
    test: Collection[str] | None = None,
    n_folds: int | None = None,
    fold: int | None = None,
    preset: str | None = None,
    seed: int = 0,
    key_added: str = k.SPLIT,
    copy: bool = False,
) -> MuData:
    """Split the observations into training, validation and test parts.

    Neighbouring genes share chromatin, so whole chromosomes are held out by default; a random split of genes is
    optimistic, see :func:`leakage`. All observations of a group (a chromosome; a gene) fall into one part.

    Parameters
    ----------
    mdata
        The object.
    by
        What is held out:

        ``"chrom"`` (default)
            whole chromosomes. A gene's observations in different cell types are always in one part
        ``"random"``
            genes, at random
        ``"cell_type"``, or any other column of ``obs``
            whole groups of that column
        ``"hybrid"``
            cell types and chromosomes at once: test is the held-out cell types on the held-out chromosomes, training
            is the other cell types on the other chromosomes, so that neither the gene nor the cell type has been seen.
            Validation is made likewise of cell types and chromosomes of its own. What is held out in one respect
            only belongs to no part (a missing value)
    validation, test
        Groups to hold out, such as ``("chr14", "chr19")``, or with ``by="hybrid"`` cell types and chromosomes, such as
        ``("liver", "chr14")``. What is not named is filled with groups up to about 15 % of the observations each, the
        same ones every time.
    n_folds, fold
        Make that number of folds with about the same number of genes, the same ones every time, and test on one of
        them, counted from 0. Validation is chosen from the others as above. With ``by="hybrid"`` there are folds of
        chromosomes and of cell types, and fold ``i`` tests on the ``i``-th of both (where there are fewer cell types
        than folds, their turn comes again).
    preset
        ``"chromoformer"``: the four folds of chromosomes of Lee et al. 2022; choose one with ``fold``. ``chr1`` and
        ``1`` are the same, chromosomes without genes do no harm, and other ones than 1-22, X and Y belong to no part.
    seed
        Seed of ``by="random"``.
    key_added
        Column of ``obs`` to write.
    copy
        Work on a copy.

    Returns
    -------
    The object, with ``obs[key_added]`` (categorical: ``train``, ``validation``, ``test``; missing where an observation
    has no part) and ``uns["epiattn"]["splits"][key_added]`` (what was asked for, the groups and the number of
    observations of each part, and of those without a part).

    Raises
    ------
    ValueError
        If a column, a group or a fold does not exist, a group is named twice, or a part would be empty.

    Notes
    -----
    Where all but one cell type are tested on, as with two cell types, validation is a share of that one's chromosomes.

    A gene that lies on several chromosomes (in a table with repeated gene names, say) keeps only the observations of
    its most held-out part; the others are left out, and a warning says so.

    References
    ----------
    Schreiber et al., Genome Biol. 21:282 (2020), on held-out cell types and loci. Lee et al., Nat. Commun. 13:6678
    (2022), the folds of Chromoformer.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=200, cell_types=3)
    >>> mdata = attn.pp.split(mdata, test=("chr1",))
    >>> mdata.obs.loc[mdata.obs["chrom"] == "chr1", "split"].unique().tolist()
    ['test']

    The first of four folds:

    >>> mdata = attn.pp.split(mdata, n_folds=4, fold=0)
    >>> mdata.uns["epiattn"]["splits"]["split"]["n_test"]
    147

    A cell type and chromosomes that the model has not seen:

    >>> mdata = attn.pp.split(mdata, by="hybrid", test=("cell_type_2", "chr1", "chr2"))
    >>> mdata.obs.loc[mdata.obs["split"] == "test", ["cell_type", "chrom"]].drop_duplicates().to_numpy().tolist()
    [['cell_type_2', 'chr1'], ['cell_type_2', 'chr2']]
    """
    given, mdata = mdata, as_mudata(mdata, copy=copy)
    plan = Plan(by, validation=validation, test=test, n_folds=n_folds, fold=fold, preset=preset, seed=seed)
    mdata.obs[key_added], record = plan.make(mdata)
    for level, remark in plan.remarks:
        logger.log(level, remark)
    package = dict(mdata.uns.get(k.PACKAGE, {}))
    package["splits"] = {**package.get("splits", {}), key_added: record}
    package.setdefault("schema_version", k.SCHEMA_VERSION)
    mdata.uns[k.PACKAGE] = package
    return give_back(mdata, given, copy=copy)


def ensure_split(mdata: MuData, *, key: str = k.SPLIT, seed: int = 0) -> None:
    """Write the default split where there is none: by chromosome, or by gene if there are too few chromosomes."""
    if key in mdata.obs:
        return
    n_chromosomes = mdata.obs[k.CHROM].nunique() if k.CHROM in mdata.obs else 0
    if n_chromosomes >= len(k.PARTS):
        split(mdata, key_added=key)
    else:
        logger.warning(
            "obs['chrom'] has %d chromosomes, too few to hold whole ones out: splitting at random by gene (seed %d). "
            "Neighbouring genes on both sides make the test metrics optimistic.",
            n_chromosomes,
            seed,
        )
        split(mdata, by="random", seed=seed, key_added=key)

"""Clusters and a map of the latent space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from epiattn import _keys as k
from epiattn._results import record_of, run_of, warn_if_several_models
from epiattn._validation import as_mudata, check_key, give_back

from ._ownership import check_places, write_places

if TYPE_CHECKING:
    from mudata import MuData


def cluster(
    mdata: MuData,
    *,
    use_rep: str | None = None,
    resolution: float = 1.0,
    n_neighbors: int = 15,
    umap: bool = True,
    key: str = "attn",
    key_added: str | None = None,
    seed: int = 0,
    copy: bool = False,
) -> MuData:
    """Cluster the latent space: scanpy's neighbours, Leiden (igraph) and UMAP in one call.

    The three steps can be made one by one with ``sc.pp.neighbors(mdata, use_rep="X_attn")``, :func:`scanpy.tl.leiden`
    and :func:`scanpy.tl.umap`. Here, all that is written has names of its own, so that several latent spaces can lie
    side by side.

    Parameters
    ----------
    mdata
        Object that ``tl.fit`` or ``tl.embed`` wrote to.
    use_rep
        Coordinates in ``obsm``, such as ``"X_attn_histone"``; ``None``: the run's latent space ``f"X_{key}"``.
    resolution
        The larger, the more clusters.
    n_neighbors
        Neighbours of each observation.
    umap
        Also compute a UMAP.
    key
        ``key_added`` of the run.
    key_added
        Where the result is written; ``None``: ``f"{key}_cluster"``.
    seed
        Seed of all three steps.
    copy
        Work on a copy.

    Returns
    -------
    The same object (a copy with ``copy=True``), with these fields written:

    ``obs["attn_cluster"]``
        the cluster, a category: ``"0"`` is the largest
    ``obsm["X_attn_cluster_umap"]``
        coordinates, shape ``(n_obs, 2)``, for ``attn.pl.latent(mdata)``
    ``obsp["attn_cluster_connectivities"]``, ``obsp["attn_cluster_distances"]``
        the neighbours, CSR, shape ``(n_obs, n_obs)``
    ``uns["attn_cluster"]``
        what scanpy's functions read when they are given ``neighbors_key="attn_cluster"``

    Raises
    ------
    ValueError
        If there is no such run or coordinates, or something else is under the key.

    References
    ----------
    Traag, Waltman & van Eck, Sci. Rep. 9:5233 (2019), doi 10.1038/s41598-019-41695-z (Leiden); McInnes, Healy &
    Melville, arXiv 1802.03426 (UMAP); Wolf, Angerer & Theis, Genome Biol. 19:15 (2018), doi
    10.1186/s13059-017-1382-0 (scanpy).

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=100, cell_types=2)
    >>> mdata = attn.tl.fit(mdata, max_epochs=1)
    >>> mdata = attn.tl.cluster(mdata, umap=False)
    >>> len(mdata.obs["attn_cluster"].cat.categories) > 1
    True
    """
    import scanpy as sc
    from anndata import AnnData

    given, mdata = mdata, as_mudata(mdata, copy=copy)
    run = run_of(mdata, key) if use_rep is None else record_of(mdata, key)
    use_rep = k.latent(key) if use_rep is None else use_rep
    of_run = {k.latent(key), *(k.context(key, name) for name in mdata.mod)}
    about = {"key": key, "fingerprint": run["fingerprint"]} if use_rep in of_run and "fingerprint" in run else {}
    if about:
        warn_if_several_models(mdata, key, "points of the latent space")
    key_added = k.cluster(key) if key_added is None else key_added
    check_key(mdata, key_added)
    if use_rep not in mdata.obsm or use_rep in mdata.mod:
        known = [name for name in mdata.obsm if name not in mdata.mod]
        msg = f"use_rep={use_rep!r} is not in obsm, which holds {known}."
        raise ValueError(msg)
    whats = ("connectivities", "distances")
    places = [f"obs/{key_added}", *(f"obsp/{k.neighbors(key_added, what)}" for what in whats)]
    places += [f"obsm/{k.umap(key_added)}"] if umap else []
    check_places(mdata, key_added, places)

    space = AnnData(obs=mdata.obs[[]].copy(), obsm={use_rep: mdata.obsm[use_rep]})
    sc.pp.neighbors(space, n_neighbors, use_rep=use_rep, random_state=seed)
    sc.tl.leiden(space, resolution, flavor="igraph", n_iterations=2, directed=False, random_state=seed)
    values: dict[str, Any] = {f"obs/{key_added}": space.obs["leiden"]}
    values |= {f"obsp/{k.neighbors(key_added, what)}": space.obsp[what] for what in whats}
    if umap:
        sc.tl.umap(space, random_state=seed)
        values[f"obsm/{k.umap(key_added)}"] = space.obsm["X_umap"]
    record = {
        "tool": "cluster",
        **about,
        **{f"{what}_key": k.neighbors(key_added, what) for what in whats},
        "params": {
            "use_rep": use_rep,
            "n_neighbors": n_neighbors,
            "method": "umap",
            "metric": "euclidean",
            "random_state": seed,
            "resolution": resolution,
        },
    }
    write_places(mdata, key_added, values, record)
    return give_back(mdata, given, copy=copy)

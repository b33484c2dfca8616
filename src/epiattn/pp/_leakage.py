"""What a test part shares with the training part: the leakage report."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from epiattn import _keys as k
from epiattn._columns import parts_of_split
from epiattn._logging import logger
from epiattn._modalities import find_channels
from epiattn._validation import as_mudata

from ._parts import genes_of

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from mudata import MuData

#: Genes whose TSS are no further apart than this share chromatin, and often signal outside the window, in bp.
NEAR = 20_000

BLOCK = 4_096  # rows that are made dense at a time

_SUMMARY = {
    "overlap": "windows overlap",
    "near": "within 20 kb",
    "same_gene": "same gene",
    "identical": "identical signal",
    "cell_type": "cell type seen",
}


def leakage(mdata: MuData | AnnData, *, split_key: str = k.SPLIT, window: int | None = None) -> pd.DataFrame:
    """Report what the validation and test parts of a split share with its training part.

    A model can be right about such genes without having learned a rule: what it remembers of the training part is
    enough. A metric is honest where the report shows 0.

    Parameters
    ----------
    mdata
        The object, with ``obs["chrom"]`` and ``obs["tss"]``.
    split_key
        Column of ``obs`` with ``train``, ``validation`` and ``test``; see :func:`split`.
    window
        Half the width of a gene's window in bp: it reaches from ``tss - window`` to ``tss + window``. ``None``: as far
        as the bins of the widest ``histone*`` modality reach.

    Returns
    -------
    A table with a row for each part and leak, and the columns

    ``part``
        ``validation`` or ``test``
    ``cell_types``
        ``all``; where a part has cell types of both kinds, also those ``seen`` in training and those ``unseen``
    ``leak``
        ``overlap``: genes whose window overlaps a training window on the same chromosome by 1 bp or more; ``near``:
        genes whose TSS is at most 20 kb from that of a training gene; ``same_gene``: genes that are in training too,
        in another cell type; ``identical``: observations with the very signal (all marks and bins; not all of it 0) of
        a training observation; ``cell_type``: observations of a cell type that is in training
    ``n``, ``of``, ``share``
        how many there are, of how many (genes, each counted once, or observations), and the share

    A gene that is in training counts as overlapping and near too: it lies where the training gene lies. What the
    object has no data for (``chrom`` and ``tss``, signal, ``cell_type``) is left out.

    Raises
    ------
    ValueError
        If there is no split, no training part or nothing beside it, or the width of the windows is unknown or 0.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=300, cell_types=2)
    >>> report = attn.pp.leakage(attn.pp.split(mdata))
    >>> report[report["part"] == "test"].set_index("leak")["share"].round(2).to_dict()
    {'overlap': 0.0, 'near': 0.0, 'same_gene': 0.0, 'identical': 0.0, 'cell_type': 1.0}

    With a held-out cell type, the genes have been seen (but for those that validation took):

    >>> mdata = attn.pp.split(mdata, by="cell_type", test=("cell_type_1",))
    >>> report = attn.pp.leakage(mdata)
    >>> report[report["part"] == "test"].set_index("leak")["share"].round(2).to_dict()
    {'overlap': 0.85, 'near': 0.85, 'same_gene': 0.85, 'identical': 0.0, 'cell_type': 0.0}
    """
    import pandas as pd

    if window is not None and window <= 0:
        msg = f"window must be positive, in bp, not {window}."
        raise ValueError(msg)
    mdata = as_mudata(mdata)
    parts = _parts(mdata, split_key)
    train = parts == k.TRAIN
    genes = pd.factorize(genes_of(mdata))[0]
    leaks: dict[str, np.ndarray] = {}
    if {k.CHROM, k.TSS} <= set(mdata.obs):
        reach = _window(mdata) if window is None else window
        distance = nearest(mdata.obs[k.CHROM].astype(object).to_numpy(), mdata.obs[k.TSS].to_numpy(float), train)
        leaks |= {"overlap": distance < 2 * reach, "near": distance <= NEAR}
    leaks["same_gene"] = np.isin(genes, genes[train])
    if (signal := _fingerprints(mdata)) is not None:
        leaks["identical"] = np.isin(signal, signal[train & (signal >= 0)])
    seen = None
    if k.CELL_TYPE in mdata.obs:
        cell_type = mdata.obs[k.CELL_TYPE].astype(object).to_numpy()
        seen = leaks["cell_type"] = np.isin(pd.factorize(cell_type)[0], pd.factorize(cell_type)[0][train])
    rows = [
        {"part": part, "cell_types": cell_types, "leak": leak, "n": n, "of": of, "share": n / of}
        for part in (k.VALIDATION, k.TEST)
        for cell_types, here in _groups(parts == part, seen)
        for leak, found in leaks.items()
        for n, of in [_count(found, here, genes, by_gene=leak not in ("identical", "cell_type"))]
    ]
    table = pd.DataFrame(rows)
    logger.info(_sentence(table, split_key))
    return table


def nearest(chromosome: np.ndarray, tss: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Distance in bp to the nearest training TSS of the same chromosome; infinite where there is none.

    Parameters
    ----------
    chromosome, tss
        Place of each observation, shape ``(n_obs,)``; missing ones are near nothing.
    train
        Which observations are training observations.
    """
    import pandas as pd

    codes = pd.factorize(chromosome)[0]
    known = (codes >= 0) & np.isfinite(tss)
    # All chromosomes on one line, so far apart that a neighbour on another one is recognised by its distance.
    span = 1 + (np.ptp(tss[known]) if known.any() else 0)
    place = np.where(known, 2 * span * codes + (tss - tss[known].min(initial=np.inf)), np.nan)
    there = np.unique(place[train & known])
    distance = np.full(len(tss), np.inf)
    if len(there):
        after = np.searchsorted(there, place[known]).clip(0, len(there) - 1)
        gap = np.minimum(np.abs(there[after] - place[known]), np.abs(there[np.maximum(after - 1, 0)] - place[known]))
        distance[known] = np.where(gap < span, gap, np.inf)
    return distance


def _parts(mdata: MuData, split_key: str) -> np.ndarray:
    if split_key not in mdata.obs:
        msg = f"obs[{split_key!r}] is missing: split the observations first, epiattn.pp.split(mdata)."
        raise ValueError(msg)
    parts = parts_of_split(mdata, split_key)
    if not (parts == k.TRAIN).any() or not np.isin(parts, (k.VALIDATION, k.TEST)).any():
        found = sorted(set(parts) - {""})
        msg = f"obs[{split_key!r}] must hold 'train', and 'validation' or 'test'; it holds {found}."
        raise ValueError(msg)
    return parts


def _window(mdata: MuData) -> float:
    """How far the bins reach, in bp."""
    tables = [mdata[name].var for name in mdata.mod if name.startswith(k.HISTONE)]
    reaches = [table[[k.START, k.END]].abs().to_numpy().max() for table in tables if {k.START, k.END} <= set(table)]
    if not reaches:
        msg = (
            "The width of the windows is not known: there is no 'histone*' modality with var['start'] and "
            "var['end']; pass window=2_000, say."
        )
        raise ValueError(msg)
    return float(max(reaches))


def _fingerprints(mdata: MuData) -> np.ndarray | None:
    """A number for each signal: the same one for the same signal, -1 where it is 0 all over."""
    import pandas as pd

    if not any(name.startswith(k.HISTONE) for name in mdata.mod):
        return None
    channels = {name: marks for name, marks in find_channels(mdata).items() if name.startswith(k.HISTONE)}
    layers = [mdata[name].layers[mark] for name, marks in channels.items() for mark in marks]
    layers = [layer.tocsr() if sparse.issparse(layer) else layer for layer in layers]
    prints: list[bytes | None] = []
    for start in range(0, mdata.n_obs, BLOCK):
        blocks = [layer[start : start + BLOCK] for layer in layers]
        values = np.hstack([block.toarray() if sparse.issparse(block) else block for block in blocks]) + 0.0  # no -0.0
        prints += [hashlib.blake2b(row.tobytes(), digest_size=16).digest() if row.any() else None for row in values]
    return pd.factorize(np.array(prints, dtype=object))[0]


def _groups(here: np.ndarray, seen: np.ndarray | None) -> list[tuple[str, np.ndarray]]:
    """Observations of a part: all, and those of seen and of unseen cell types if there are both."""
    if not here.any():
        return []
    if seen is None or len(np.unique(seen[here])) == 1:
        return [("all", here)]
    return [("all", here), ("seen", here & seen), ("unseen", here & ~seen)]


def _count(found: np.ndarray, here: np.ndarray, genes: np.ndarray, *, by_gene: bool) -> tuple[int, int]:
    if by_gene:
        return len(np.unique(genes[here & found])), len(np.unique(genes[here]))
    return int((here & found).sum()), int(here.sum())


def _sentence(table: pd.DataFrame, split_key: str) -> str:
    """Summarise the last part in one line."""
    rows = table[(table["part"] == table["part"].iloc[-1]) & (table["cell_types"] == "all")]
    shares = ", ".join(f"{_SUMMARY[leak]} {share:.1%}" for leak, share in zip(rows["leak"], rows["share"], strict=True))
    return f"obs[{split_key!r}], {rows['part'].iloc[0]} against train: {shares}."

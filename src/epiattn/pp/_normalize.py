"""Normalised signal to look at: what a model makes of it inside."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from epiattn import _keys as k
from epiattn._columns import parts_of_split
from epiattn._compat import layer_names
from epiattn._modalities import find_channels, kind, record_written
from epiattn._validation import as_mudata, check_choice, check_values

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

#: Those of ``epiattn.models``; all of them keep zeros.
METHODS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "log1p": np.log1p,
    "arcsinh": np.arcsinh,
    "none": lambda x: x,
}


def normalize(
    mdata: MuData | AnnData,
    *,
    method: str = "log1p",
    scale: bool = True,
    split_key: str = k.SPLIT,
    channels: Mapping[str, Sequence[str]] | None = None,
    copy: bool = False,
) -> MuData | AnnData:
    """Write normalised signal, to plot it or to run a PCA on it. Models do not need it: they normalise by themselves.

    Each mark is transformed and then divided by its root mean square over all observations of the training part and
    all bins, as a model does it with ``scale_by=None``; by default models first bring each mark to one mean in every
    cell type. Methylation and TFs are left as they are.

    Parameters
    ----------
    mdata
        The object.
    method
        ``"log1p"``, ``"arcsinh"`` or ``"none"``.
    scale
        Divide each mark by its root mean square; a mark without signal in the training part is divided by 1.
    split_key
        Column of ``obs`` whose value ``train`` says which observations the scale is learned on; only for ``scale``.
    channels
        ``{modality: [mark, ...]}``; ``None``: all marks.
    copy
        Work on a copy.

    Returns
    -------
    The object, with ``layers["<mark>_normalized"]`` (float32, shape ``(n_obs, n_bins)``; sparse stays sparse) in every
    ``histone*`` modality, and there ``uns["epiattn"]["normalization"]``: ``method``, ``scale`` (what each mark was
    divided by) and ``split_key``. Layers of an earlier run are replaced. They are never taken for marks.

    Raises
    ------
    ValueError
        If there is no signal or no split, a value is missing or negative, or a layer of that name is not from here.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=100, cell_types=2)
    >>> mdata = attn.pp.normalize(attn.pp.split(mdata))
    >>> mdata["histone"].layers["H3K4me3_normalized"].dtype
    dtype('float32')
    """
    from mudata import MuData

    check_choice("method", method, METHODS)
    given, mdata = mdata, as_mudata(mdata, copy=copy)
    marks = {name: names for name, names in find_channels(mdata, channels).items() if kind(name) == k.HISTONE}
    if not marks:
        msg = f"pp.normalize needs a modality 'histone' (or any 'histone*'), found {list(channels or mdata.mod)}."
        raise ValueError(msg)
    train = _training_rows(mdata, split_key) if scale else None
    for modality, names in marks.items():
        _check_free(mdata[modality], modality, names)
    check_values(mdata, marks)
    for modality, names in marks.items():
        _normalize_marks(mdata[modality], names, method=method, train=train, split_key=split_key)
    return mdata if isinstance(given, MuData) else mdata[k.HISTONE]


def _training_rows(mdata: MuData, split_key: str) -> np.ndarray:
    if split_key not in mdata.obs:
        msg = (
            f"obs[{split_key!r}] is missing, and the scale is learned on its training part: run attn.pp.split(mdata) "
            "first, or pass scale=False."
        )
        raise ValueError(msg)
    train = parts_of_split(mdata, split_key) == k.TRAIN
    if not train.any():
        msg = (
            f"obs[{split_key!r}] has no observation of the part 'train': run attn.pp.split(mdata), or pass scale=False."
        )
        raise ValueError(msg)
    return train


def _earlier(adata: AnnData) -> list[str]:
    """Layers that an earlier run wrote."""
    record = adata.uns.get(k.PACKAGE, {}).get("normalization", {})
    return [k.normalized(str(mark)) for mark in record.get("scale", {})]


def _check_free(adata: AnnData, modality: str, marks: Sequence[str]) -> None:
    layers, earlier = layer_names(adata), _earlier(adata)
    if taken := [
        k.normalized(mark) for mark in marks if k.normalized(mark) in layers and k.normalized(mark) not in earlier
    ]:
        msg = f"{taken} in mdata[{modality!r}].layers are not from pp.normalize: rename or delete them first."
        raise ValueError(msg)


def _normalize_marks(
    adata: AnnData, marks: Sequence[str], *, method: str, train: np.ndarray | None, split_key: str
) -> None:
    for name in _earlier(adata):
        if name in layer_names(adata):
            del adata.layers[name]
    scales = {}
    for mark in marks:
        values = _transform(adata.layers[mark], METHODS[method])
        scales[mark] = 1.0 if train is None else _root_mean_square(values, train)
        stored = values.data if sparse.issparse(values) else values
        stored /= np.float32(scales[mark])
        adata.layers[k.normalized(mark)] = values
        record_written(adata, k.normalized(mark))
    record: dict[str, Any] = {"method": method, "scale": scales}
    if train is not None:
        record["split_key"] = split_key
    adata.uns[k.PACKAGE] = {**adata.uns[k.PACKAGE], "normalization": record}


def _transform(values: Any, function: Callable[[np.ndarray], np.ndarray]) -> Any:
    """A transformed copy in float32."""
    if not sparse.issparse(values):
        return function(values.astype(np.float32))
    values = values.astype(np.float32)
    values.sum_duplicates()
    values.data = function(values.data)
    return values


def _root_mean_square(values: Any, rows: np.ndarray) -> float:
    """Root mean square of some rows, rounded to float32; 1 where it is 0."""
    part = values[rows]
    stored = part.data if sparse.issparse(part) else part
    mean = np.sum(np.square(stored, dtype=np.float64)) / max(part.shape[0] * part.shape[1], 1)
    return float(np.float32(np.sqrt(mean))) if mean > 0 else 1.0

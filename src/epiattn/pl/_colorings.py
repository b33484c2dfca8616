"""What the points of the latent space can be coloured by, besides columns of ``obs``."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse

from epiattn import _keys as k
from epiattn._messages import did_you_mean
from epiattn._modalities import bound_tfs, expression_of, find_channels, kind
from epiattn._results import result_of, run_of

from ._data import dense
from ._quantities import ALL_MARKS, ATTENTION, ATTRIBUTION, QUANTITIES, SIGNAL, layers_of, unit_of, values_of

if TYPE_CHECKING:
    from mudata import MuData

EXPRESSION = "expression"
_MOST = 99


class Coloring(NamedTuple):
    """A value for each observation (NaN: missing), what the colour bar says, and how the colours run."""

    values: np.ndarray
    label: str
    signed: bool = False
    #: First and last colour; ``None``: from the values.
    ends: tuple[float, float] | None = None
    #: Percentile of the last colour.
    percentile: float = 100


def limits(coloring: Coloring, vmax: float | str | None) -> tuple[float, float]:
    """Values of the first and the last colour.

    Raises
    ------
    ValueError
        If ``vmax`` is neither a number nor a percentile.
    """
    if coloring.ends is not None and vmax is None:
        return coloring.ends
    known = coloring.values[np.isfinite(coloring.values)]
    size = np.abs(known) if coloring.signed else known
    percentile = _percentile(vmax, coloring.percentile)
    if not len(known):
        return (-1, 1) if coloring.signed else (0, 1)
    last = float(vmax) if isinstance(vmax, int | float) else float(np.percentile(size, percentile))
    if last == 0 and size.max() > 0:  # most values are 0
        last = float(size.max())
    return (-last if coloring.signed else min(float(known.min()), last)), last


def _percentile(vmax: float | str | None, default: float) -> float:
    if not isinstance(vmax, str):
        return default
    number = vmax.removeprefix("p")
    if vmax.startswith("p") and number.replace(".", "", 1).isdigit() and float(number) <= 100:
        return float(number)
    msg = f"vmax must be a number, or a percentile such as 'p99', not {vmax!r}."
    raise ValueError(msg)


def title_of(name: str) -> str:
    """Title of a panel: ``"H3K4me3 attribution"`` for ``"attribution:H3K4me3"``."""
    of, _, feature = name.partition(":")
    return f"{feature} {of}" if of in QUANTITIES else name


def coloring_of(mdata: MuData, name: str, key: str) -> Coloring:
    """The values of ``"<feature>"``, ``"signal:<feature>"``, ``"attention:<feature>"`` or ``"attribution:<feature>"``.

    Raises
    ------
    ValueError
        If there is no such feature, or it was not computed.
    """
    if name == EXPRESSION and k.RNA in mdata.mod:
        return Coloring(expression_of(mdata), "Expression")
    of, _, feature = name.partition(":")
    if of not in QUANTITIES:
        of, feature = SIGNAL, name
    found = {SIGNAL: _signal, ATTENTION: _attention, ATTRIBUTION: _attribution}[of](mdata, feature, key)
    if found is None:
        others = known_colorings(mdata, key)
        msg = (
            f"obs[{name!r}] is missing; the columns are {list(mdata.obs.columns)}, and other colours are "
            f"{others}.{did_you_mean(name, [*mdata.obs.columns, *others])}"
        )
        raise ValueError(msg)
    return found


def known_colorings(mdata: MuData, key: str) -> list[str]:
    """What there is to colour by, without single TFs."""
    features = list(_marks(mdata)) + [name for name in (k.METHYLATION, k.TF) if name in mdata.mod]
    names = [*features, *([EXPRESSION] if k.RNA in mdata.mod else [])]
    names += [f"{ATTENTION}:{name}" for name in mdata.obsm.get(k.modality_weights(key), ())]
    names += [f"{ATTENTION}:{name}" for name in _kept_apart(mdata, key)]
    return names + [f"{ATTRIBUTION}:{name}" for name in mdata.obsm.get(k.attribution(key), ())]


def _marks(mdata: MuData) -> dict[str, tuple[str, str]]:
    """Modality and mark behind the name of each feature."""
    channels = find_channels(mdata)
    return {
        k.feature(name, mark): (name, mark) for name in channels if kind(name) == k.HISTONE for mark in channels[name]
    }


def _kept_apart(mdata: MuData, key: str) -> dict[str, tuple[str, str, str]]:
    """Modality, mark and layer behind the name of each mark whose attention the model tells apart."""
    of_run = [name for name in run_of(mdata, key)["channels"] if name in mdata.mod and kind(name) == k.HISTONE]
    return {
        k.feature(name, mark): (name, mark, layer)
        for name in of_run
        for mark, layer in layers_of(mdata, name, of=ATTENTION, key=key).items()
        if mark != ALL_MARKS
    }


def _signal(mdata: MuData, feature: str, key: str) -> Coloring | None:
    if feature in (marks := _marks(mdata)):
        modality, mark = marks[feature]
        rows = np.arange(mdata.n_obs)
        return Coloring(
            np.log1p(values_of(mdata[modality], mark, mark, rows).mean(1)), "log(1 + mean signal)", percentile=_MOST
        )
    if feature == k.METHYLATION and feature in mdata.mod:
        adata = mdata[feature]
        n_cpg = adata.obs[k.N_CPG].to_numpy(dtype=float)
        beta = np.where(np.arange(adata.n_vars) < n_cpg[:, None], dense(adata.layers[k.BETA]), 0).sum(1)
        return Coloring(
            np.divide(beta, n_cpg, out=np.full(len(beta), np.nan), where=n_cpg > 0), "Mean methylation", ends=(0, 1)
        )
    if k.TF in mdata.mod and (feature == k.TF or feature in mdata[k.TF].var_names):
        bound = bound_tfs(mdata[k.TF], find_channels(mdata)[k.TF])
        if feature == k.TF:
            return Coloring(np.asarray(bound.sum(1), dtype=float).ravel(), "TFs bound", percentile=_MOST)
        column = mdata[k.TF].var_names.get_loc(feature)
        return Coloring(dense(bound[:, [column]])[:, 0], "Bound", ends=(0, 1))
    return None


def _attention(mdata: MuData, feature: str, key: str) -> Coloring | None:
    weights = mdata.obsm.get(k.modality_weights(key))
    if weights is not None and feature in weights:
        return Coloring(weights[feature].to_numpy(dtype=float), "Attention relative to uniform", percentile=_MOST)
    if feature in (apart := _kept_apart(mdata, key)):
        modality, mark, layer = apart[feature]
        return Coloring(
            values_of(mdata[modality], mark, layer, np.arange(mdata.n_obs)).sum(1),
            "Attention (share)",
            percentile=_MOST,
        )
    return _of_factor(mdata, feature, k.attention(key), "Attention (share)", signed=False)


def _attribution(mdata: MuData, feature: str, key: str) -> Coloring | None:
    name = k.attribution(key)
    result_of(mdata, name, "attribute")
    label = unit_of(mdata, ATTRIBUTION, key).capitalize()
    if feature in mdata.obsm[name]:
        return Coloring(mdata.obsm[name][feature].to_numpy(dtype=float), label, signed=True, percentile=_MOST)
    return _of_factor(mdata, feature, name, label, signed=True)


def _of_factor(mdata: MuData, feature: str, layer: str, label: str, *, signed: bool) -> Coloring | None:
    """One TF; missing where it is not bound."""
    if k.TF not in mdata.mod or feature not in mdata[k.TF].var_names or layer not in mdata[k.TF].layers:
        return None
    column = mdata[k.TF].var_names.get_loc(feature)
    values = dense(sparse.csc_array(mdata[k.TF].layers[layer])[:, [column]])[:, 0]
    return Coloring(np.where(values == 0, np.nan, values), label, signed=signed, percentile=_MOST)

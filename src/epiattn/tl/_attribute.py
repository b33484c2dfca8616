"""What each bin, CpG and TF adds to a prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from epiattn import _keys as k
from epiattn._logging import logger
from epiattn._modalities import kind
from epiattn._results import warn_if_unfaithful
from epiattn._validation import as_mudata, check_choice, check_key, give_back, rows_of_genes

from ._ownership import check_places, write_places

if TYPE_CHECKING:
    import pandas as pd
    from mudata import MuData

    from epiattn.models._explainer import Attributions

#: From this share of the change of the output on, a sum of attributions that misses it is worth a warning.
_INCOMPLETE = 0.01


def attribute(
    mdata: MuData,
    *,
    method: str = "integrated_gradients",
    n_steps: int = 50,
    smooth: float = 0.0,
    genes: Sequence[str] | None = None,
    key: str = "attn",
    key_added: str | None = None,
    model_dir: str | Path | None = None,
    seed: int = 0,
    copy: bool = False,
) -> MuData:
    """Share each prediction among the marks and bins, CpGs and TFs that it was made from.

    What is shared is the difference between the model's output (the log-odds of high expression, or the predicted
    expression) for an observation and for a baseline: no signal, CpGs at the mean methylation of all CpGs, and no
    evidence at the bound TFs. Integrated gradients sum to that difference. With an ensemble, attributions are the mean
    over its members. Any model of the package can be asked.

    Attribution says what the *model* uses. Marks that go together share what they say in a way that a cause need not
    follow; see :func:`epiattn.tl.perturb` and :func:`epiattn.tl.faithfulness`.

    Parameters
    ----------
    mdata
        Object that ``tl.fit`` or ``tl.embed`` wrote to.
    method
        ``"integrated_gradients"``; ``"gradient_x_input"``, fast and crude; ``"gradient_shap"``, against random
        observations' signal; ``"deeplift"``, whose rules do not cover products and softmax, so that its sums miss;
        ``"occlusion"``: the loss when one value is set to the baseline, with a pass of the network for each value.
    n_steps
        Points between baseline and input, or random points. Observations whose integrated gradients miss the
        difference by more than 1 % are done anew with four, or 16, times as many.
    smooth
        Standard deviation, in bp, of the Gaussian by which attributions of a mark are spread over bins nearby, for
        what single bins are too noisy to tell; sums stay. 0: none. Regions of ``distal`` stay as they are.
    genes
        Names or ids of genes (``obs["gene_name"]``, ``obs["gene_id"]``), in all cell types, or names of observations;
        ``None``: all. Others get NaN (TFs: nothing).
    key
        ``key_added`` of the run.
    key_added
        Prefix of what is written; ``None``: ``f"{key}_attribution"``.
    model_dir
        Folder of the model; ``None``: the model of this session, or the folder that was given to ``tl.fit``.
    seed
        Seed of random points.
    copy
        Work on a copy.

    Returns
    -------
    The same object (a copy with ``copy=True``), with these fields written:

    ``mdata["histone"].layers["attn_attribution_<mark>"]``
        what each bin of a mark adds, shape ``(n_obs, n_bins)``, in log-odds or units of expression
    ``mdata["methylation"].layers["attn_attribution"]``
        what the level of each CpG adds, shape ``(n_obs, n_slots)``, 0 on empty slots
    ``mdata["tf"].layers["attn_attribution"]``
        what each bound TF adds, CSR, shape ``(n_obs, n_tfs)``
    ``obsm["attn_attribution"]``
        DataFrame: the sum of each mark, of methylation and of the TFs
    ``uns["attn_attribution"]``
        method, run, and ``error``: by how much sums miss the change of the output, as a share of it

    Raises
    ------
    ValueError
        If there is no such run, method or gene, a number is out of range, its model is not at hand, or something else
        is under the key.

    References
    ----------
    Sundararajan, Taly & Yan, ICML (2017), arXiv 1703.01365 (integrated gradients); Shrikumar, Greenside & Kundaje, ICML
    (2017), arXiv 1704.02685 (DeepLIFT); Lundberg & Lee, NeurIPS (2017), arXiv 1705.07874 (SHAP); Kokhlikyan et al.,
    arXiv 2009.07896 (captum).

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=100, cell_types=1)
    >>> mdata = attn.tl.fit(mdata, max_epochs=1)
    >>> mdata = attn.tl.attribute(mdata, n_steps=10)
    >>> mdata["histone"].layers["attn_attribution_H3K4me3"].shape
    (100, 40)
    """
    from epiattn.models._explainer import METHODS

    from ._trained import Trained

    check_choice("method", method, METHODS)
    if n_steps < 1:
        msg = f"n_steps must be 1 or more, not {n_steps}."
        raise ValueError(msg)
    given, mdata = mdata, as_mudata(mdata, copy=copy)
    key_added = k.attribution(key) if key_added is None else key_added
    check_key(mdata, key_added)
    rows = rows_of_genes(mdata, genes)
    trained = Trained(mdata, key, model_dir)
    check_places(mdata, key_added, _places(trained.channels, key_added))
    found = trained.attribute(rows, method=method, n_steps=n_steps, smooth=smooth, seed=seed)
    error = relative_error(found)
    if (share := float(np.mean(error > _INCOMPLETE))) > 0.01:
        logger.warning(
            "Attributions by %r miss the change of the output by more than %g %% in %.0f %% of the observations "
            "(median error %.1f %%).",
            method, 100 * _INCOMPLETE, 100 * share, 100 * np.median(error),
        )  # fmt: skip
    values = _in_places(mdata, found, trained.channels, key_added, rows)
    record = {
        "tool": "attribute",
        **trained.about,
        "method": method,
        "n_steps": n_steps,
        "smooth": smooth,
        "seed": seed,
        "error": {"median": float(np.median(error)), "max": float(error.max()), "share_above_1_percent": share},
    }
    write_places(mdata, key_added, values, record)
    warn_if_unfaithful(mdata, key, method=method, smooth=smooth)
    return give_back(mdata, given, copy=copy)


def relative_error(found: Attributions) -> np.ndarray:
    """By how much sums miss the change of the output, as a share of it (of the mean change, where it is smaller)."""
    change = found.output.astype(float) - found.baseline
    size = np.maximum(np.abs(change), np.abs(change).mean())
    return np.abs(found.sums() - change) / np.where(size > 0, size, 1)


def totals(found: Attributions, channels: Mapping[str, Sequence[str]], index: pd.Index) -> pd.DataFrame:
    """Sum of the attributions of each mark, of methylation and of the TFs."""
    import pandas as pd

    columns: dict[str, np.ndarray] = {}
    for name, values in found.values.items():
        if kind(name) == k.HISTONE:
            sums = np.asarray(values).sum(2)
            columns |= {k.feature(name, mark): sums[:, i] for i, mark in enumerate(channels[name])}
        else:
            columns[k.feature(name)] = np.asarray(values.sum(1)).ravel()
    return pd.DataFrame(columns, index=index)


def _places(channels: Mapping[str, Sequence[str]], key_added: str) -> list[str]:
    places = [f"obsm/{key_added}"]
    for name in channels:
        marks = channels[name] if kind(name) == k.HISTONE else []
        places += [f"{name}/layers/{k.mark_layer(key_added, mark)}" for mark in marks]
        places += [] if marks else [f"{name}/layers/{key_added}"]
    return places


def _in_places(
    mdata: MuData, found: Attributions, channels: Mapping[str, Sequence[str]], key_added: str, rows: np.ndarray
) -> dict[str, Any]:
    """Attributions of the rows where they are written; NaN (TFs: nothing) in other rows."""
    n_obs = mdata.n_obs
    table = totals(found, channels, mdata.obs_names[rows]).reindex(mdata.obs_names)
    values: dict[str, Any] = {f"obsm/{key_added}": table}
    for name, each in found.values.items():
        if sparse.issparse(each):
            spread = sparse.csr_matrix(
                (np.ones(len(rows), each.dtype), (rows, np.arange(len(rows)))), (n_obs, len(rows))
            )
            values[f"{name}/layers/{key_added}"] = each if len(rows) == n_obs else spread @ each
            continue
        whole = each
        if len(rows) < n_obs:
            whole = np.full((n_obs, *each.shape[1:]), np.nan, np.float32)
            whole[rows] = each
        if kind(name) == k.HISTONE:
            for i, mark in enumerate(channels[name]):
                values[f"{name}/layers/{k.mark_layer(key_added, mark)}"] = whole[:, i]
        else:
            values[f"{name}/layers/{key_added}"] = whole
    return values

"""Checks of what users pass in: every error names what is wrong, where, and what would be right."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from . import _keys as k
from ._compat import make_writable, new_mudata
from ._messages import did_you_mean
from ._modalities import Channels, kind

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


def as_mudata(data: Any, *, copy: bool = False) -> MuData:
    """Check the container and return it as a MuData (a histone-only AnnData is wrapped, not copied).

    Parameters
    ----------
    data
        MuData, or AnnData whose layers are histone marks.
    copy
        Return a copy; then a view is welcome too.

    Raises
    ------
    TypeError
        If it is neither.
    ValueError
        If it is backed, a view (without ``copy``), unpaired, or has duplicate observations or no observation.
    """
    from anndata import AnnData
    from mudata import MuData

    if not isinstance(data, AnnData | MuData):
        msg = f"Expected a MuData (or a histone-only AnnData), got {type(data).__module__}.{type(data).__name__}."
        raise TypeError(msg)
    parts = [data, *data.mod.values()] if isinstance(data, MuData) else [data]
    if any(part.isbacked for part in parts):
        msg = "The object is backed by a file: read it into memory (mudata.read_h5mu(path)) first."
        raise ValueError(msg)
    if copy:
        data = data.copy()
    elif any(part.is_view for part in parts):
        msg = "The object is a view of another one: pass a copy (mdata = mdata.copy()), or use copy=True."
        raise ValueError(msg)
    mdata = _wrap(data) if isinstance(data, AnnData) else data
    _check_observations(mdata)
    version = str(mdata.uns.get(k.PACKAGE, {}).get("schema_version", k.SCHEMA_VERSION))
    if version != k.SCHEMA_VERSION:
        msg = (
            f"The object has schema version {version}, this epiattn reads version {k.SCHEMA_VERSION}: update epiattn "
            "(python -m pip install --upgrade epiattn)."
        )
        raise ValueError(msg)
    make_writable(mdata)
    return mdata


def _wrap(adata: AnnData) -> MuData:
    mdata = new_mudata({k.HISTONE: adata}, adata.obs)
    mdata.obsm.update({name: values for name, values in adata.obsm.items() if name != k.HISTONE})
    mdata.obsp.update(dict(adata.obsp))
    mdata.uns.update(dict(adata.uns))
    return mdata


def give_back(mdata: MuData, given: MuData | AnnData, *, copy: bool) -> MuData | AnnData:
    """The object that the caller expects: results of a wrapped AnnData are copied into it."""
    from anndata import AnnData

    if not isinstance(given, AnnData):
        return mdata
    adata = mdata[k.HISTONE] if copy else given
    adata.obs = mdata.obs.copy()
    for name in [name for name in adata.obsm if name not in mdata.obsm]:
        del adata.obsm[name]
    for name, values in mdata.obsm.items():
        if name not in mdata.mod:
            adata.obsm[name] = values
    for name in [name for name in adata.obsp if name not in mdata.obsp]:
        del adata.obsp[name]
    adata.obsp.update(dict(mdata.obsp))
    own = adata.uns.get(k.PACKAGE, {})  # notes which layers the package wrote
    adata.uns.update(dict(mdata.uns))
    adata.uns[k.PACKAGE] = {**own, **mdata.uns.get(k.PACKAGE, {}), "written": own.get("written", [])}
    return adata


def _check_observations(mdata: MuData) -> None:
    if mdata.axis != 0:
        msg = f"The modalities must share observations (MuData axis 0), but the axis is {mdata.axis}."
        raise ValueError(msg)
    if mdata.n_obs == 0:
        msg = "The object has no observations."
        raise ValueError(msg)
    for name, adata in mdata.mod.items():
        duplicated = adata.obs_names[adata.obs_names.duplicated()].unique()
        if len(duplicated):
            msg = (
                f"mdata[{name!r}] has {len(duplicated)} duplicate observation names, such as {_some(duplicated)}; an "
                "observation is a gene in a cell type and its name '{gene_id}@{cell_type}' must be unique."
            )
            raise ValueError(msg)
        if adata.n_obs != mdata.n_obs:
            lacking = mdata.obs_names[~mdata.obs_names.isin(adata.obs_names)]
            msg = (
                f"Unpaired observations: mdata[{name!r}] has {adata.n_obs} of the object's {mdata.n_obs}, it lacks for "
                f"instance {_some(lacking)}. All modalities hold all observations; a gene without CpGs has n_cpg = 0, "
                "one without TFs an empty row."
            )
            raise ValueError(msg)
        if not (adata.obs_names == mdata.obs_names).all():
            msg = (
                f"mdata[{name!r}] holds the observations in another order than mdata.obs_names: build the MuData from "
                f"modalities in one order (adata[mdata.obs_names].copy())."
            )
            raise ValueError(msg)


def check_values(mdata: MuData, channels: Channels) -> None:
    """Check shapes, types and ranges of all channels.

    Raises
    ------
    TypeError
        If a channel is not numeric.
    ValueError
        If a value is NaN or infinite, a signal negative, a beta outside [0, 1], a position outside [-1, 1], or
        ``n_cpg`` missing, negative, or beyond the slots.
    """
    for modality, names in channels.items():
        adata = mdata[modality]
        valid = _valid_slots(adata, modality) if kind(modality) == k.METHYLATION else None
        for name in names:
            where = f"mdata[{modality!r}].layers[{name!r}]"
            values = adata.layers[name]
            if not (isinstance(values, np.ndarray) or sparse.issparse(values)):
                msg = f"{where} must be a NumPy array or a SciPy sparse matrix, not {type(values).__name__}."
                raise TypeError(msg)
            if values.dtype.kind not in "biuf":
                msg = f"{where} must be numeric, its type is {values.dtype}."
                raise TypeError(msg)
            if valid is not None:
                values = np.where(valid, _dense(values), 0)
            _check(~np.isfinite(_stored(values)), values, adata, where, "NaN or infinite values")
            if kind(modality) == k.HISTONE:
                _check(_stored(values) < 0, values, adata, where, "negative values; signal must be 0 or more")
            elif name == k.BETA:
                out = (_stored(values) < 0) | (_stored(values) > 1)
                _check(out, values, adata, where, "values outside [0, 1]; beta is the methylated share")
            elif name == k.POSITION:
                out = np.abs(_stored(values)) > 1
                _check(
                    out, values, adata, where, "values outside [-1, 1]; position is the distance to the TSS / window"
                )


def _valid_slots(adata: AnnData, modality: str) -> np.ndarray:
    """Which slots hold a CpG, shape (n_obs, n_slots), after a check of ``n_cpg``."""
    where = f"mdata[{modality!r}].obs['n_cpg']"
    if k.N_CPG not in adata.obs:
        msg = f"{where} is missing: how many slots of each observation hold a CpG (0: not measured)."
        raise ValueError(msg)
    n_cpg = adata.obs[k.N_CPG].to_numpy()
    if n_cpg.dtype.kind not in "iuf" or not np.array_equal(n_cpg, np.floor(n_cpg)):
        msg = f"{where} must hold whole numbers."
        raise ValueError(msg)
    if (out := (n_cpg < 0) | (n_cpg > adata.n_vars)).any():
        msg = (
            f"{where} must lie between 0 and the {adata.n_vars} slots, but {int(out.sum())} observations are out of "
            f"range, such as {_some(adata.obs_names[out])} with {n_cpg[out][0]}."
        )
        raise ValueError(msg)
    return np.arange(adata.n_vars) < n_cpg[:, None]


def _dense(values: Any) -> np.ndarray:
    return values.toarray() if sparse.issparse(values) else values


def _stored(values: Any) -> np.ndarray:
    return values.data if sparse.issparse(values) else values


def _check(bad: np.ndarray, values: Any, adata: AnnData, where: str, what: str) -> None:
    if bad.any():
        if sparse.issparse(values):
            # Tags the bad entries in a matrix of the same layout, whatever that layout is.
            tagged = values.copy()
            tagged.data = bad.astype(np.int8)
            rows = np.unique(tagged.tocoo().row[tagged.tocoo().data > 0])
        else:
            rows = np.flatnonzero(bad.any(1))
        some = _some(adata.obs_names[rows])
        msg = f"{where} has {what}: {int(bad.sum())} in {len(rows)} observations, such as {some}."
        raise ValueError(msg)


def check_key(mdata: MuData, key_added: str) -> None:
    """Refuse a key under which results would collide with a modality's own names.

    Raises
    ------
    ValueError
        If the key is empty, contains ``/``, is a modality's name, or belongs to something else.
    """
    if not key_added or "/" in key_added:
        msg = f"key_added must be a non-empty name without '/', not {key_added!r}."
        raise ValueError(msg)
    if key_added in mdata.mod or key_added == k.PACKAGE:
        msg = (
            f"key_added={key_added!r} is the name of a modality or of the package's own record; MuData keeps presence "
            f"masks under modality names. Choose another one, such as 'attn'. Modalities: {list(mdata.mod)}."
        )
        raise ValueError(msg)


def check_choice(what: str, value: str, choices: Collection[str]) -> None:
    """Refuse a value that is not one of the choices.

    Raises
    ------
    ValueError
        If it is not.
    """
    if value not in choices:
        msg = f"{what} must be one of {list(choices)}, not {value!r}."
        raise ValueError(msg)


def _some(names: Any, n: int = 3) -> str:
    shown = ", ".join(repr(str(name)) for name in names[:n])
    return shown + (", …" if len(names) > n else "")


def rows_of_genes(mdata: MuData, genes: Collection[str] | str | None) -> np.ndarray:
    """Observations of genes, sorted.

    Parameters
    ----------
    mdata
        The object.
    genes
        Names or ids of genes, or names of observations; ``None``: all observations.

    Raises
    ------
    ValueError
        If a gene does not occur.
    """
    if genes is None:
        return np.arange(mdata.n_obs)
    wanted = {genes} if isinstance(genes, str) else {str(gene) for gene in genes}
    names = [mdata.obs_names.astype(str).to_numpy()]
    names += [mdata.obs[column].astype(str).to_numpy() for column in (k.GENE_ID, k.GENE_NAME) if column in mdata.obs]
    known = set().union(*names)
    if unknown := sorted(wanted - known):
        more = " and more" if len(unknown) > 5 else ""
        hint = did_you_mean(unknown[0], sorted(known)) if len(unknown) == 1 else ""
        msg = f"Unknown genes {unknown[:5]}{more}: not in obs_names, obs['gene_id'] or obs['gene_name'].{hint}"
        raise ValueError(msg)
    if not wanted:
        msg = "genes names no gene; None means all."
        raise ValueError(msg)
    return np.flatnonzero(np.any([np.isin(each, list(wanted)) for each in names], axis=0))

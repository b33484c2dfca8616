"""Apply a trained model to an object."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from epiattn import _keys as k
from epiattn._validation import as_mudata, check_key, give_back

from ._groups import ALL, load_models, parts_of
from ._trained import remember
from ._write import check_owned, setup_undone, write_results

if TYPE_CHECKING:
    from mudata import MuData


def embed(
    mdata: MuData,
    model_dir: str | Path,
    *,
    key_added: str = "attn",
    attention_dtype: str = "float32",
    copy: bool = False,
) -> MuData:
    """Embed an object with a saved model: latent space, attention and predictions, without training.

    The object may hold other genes and chromosomes than the training data, and other cell types (unless there is one
    model per cell type). It needs no label, expression or split. Channels and TFs are matched by name; bins must have
    the coordinates that the model was trained on.

    Parameters
    ----------
    mdata
        MuData with the modalities and channels that the model reads, or a histone-only AnnData.
    model_dir
        Folder that :func:`fit` or ``model.save`` wrote.
    key_added
        Prefix of everything that is written.
    attention_dtype
        As for :func:`fit`.
    copy
        Work on a copy.

    Returns
    -------
    The same object (a copy with ``copy=True``), with the fields that :func:`fit` writes, except for the training
    history in ``uns[key_added]``.

    Raises
    ------
    FileNotFoundError
        If there is no model in the folder.
    ValueError
        If the object lacks what the model reads, or there is no model for a cell type; the message names it. If
        ``attention_dtype`` is another one.

    Examples
    --------
    >>> import tempfile
    >>> import epiattn as attn
    >>> folder = tempfile.mkdtemp()
    >>> mdata = attn.datasets.simulate(n_genes=150, cell_types=1)
    >>> mdata = attn.tl.fit(mdata, max_epochs=1, model_dir=folder)
    >>> other = attn.datasets.simulate(n_genes=20, cell_types=("brain",), seed=1)
    >>> attn.tl.embed(other, folder).obsm["X_attn"].shape
    (20, 64)
    """
    models = load_models(Path(model_dir))
    per = None if ALL in models else k.CELL_TYPE
    model = next(iter(models.values())).first
    given, mdata = mdata, as_mudata(mdata, copy=copy)
    check_key(mdata, key_added)
    check_owned(mdata, key_added)
    if per is not None and k.CELL_TYPE in mdata.obs:
        found = mdata.obs[k.CELL_TYPE].dropna().astype(str).unique()
        if unknown := [name for name in found if name not in models]:
            msg = (
                f"{str(model_dir)!r} has one model for each of {list(models)}, and none for {unknown}: a model of all "
                "cell types (tl.fit with per=None) can be applied to others."
            )
            raise ValueError(msg)
    with setup_undone(type(model), mdata):
        outputs = [
            (rows, models[name].run(part, attention_dtype=attention_dtype)) for name, rows, part in parts_of(mdata, per)
        ]
        record = {"model_dir": str(model_dir), "target": model.target, "per": per}
        write_results(mdata, models, outputs, key_added, record=record)
        remember(models, mdata, key_added)
    return give_back(mdata, given, copy=copy)

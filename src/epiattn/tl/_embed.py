"""Apply a trained model to an object."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from epiattn._validation import as_mudata, check_key, give_back

from ._write import check_owned, setup_undone, write_results

if TYPE_CHECKING:
    from mudata import MuData


def embed(mdata: MuData, model_dir: str | Path, *, key_added: str = "attn", copy: bool = False) -> MuData:
    """Embed an object with a saved model: latent space, attention and predictions, without training.

    The object may hold other cell types, genes and chromosomes than the training data. It needs no label, expression
    or split. Channels and TFs are matched by name; bins must have the coordinates that the model was trained on.

    Parameters
    ----------
    mdata
        MuData with the modalities and channels that the model reads, or a histone-only AnnData.
    model_dir
        Folder that :func:`fit` or ``model.save`` wrote.
    key_added
        Prefix of everything that is written.
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
        If the object lacks what the model reads; the message names it.

    Examples
    --------
    >>> import tempfile
    >>> import epiattn as attn
    >>> folder = tempfile.mkdtemp()
    >>> mdata = attn.datasets.simulate(n_genes=150, cell_types=1)
    >>> mdata = attn.tl.fit(mdata, max_epochs=1, model_dir=folder)
    >>> other = attn.datasets.simulate(n_genes=20, cell_types=("brain",), seed=1)
    >>> attn.tl.embed(other, folder).obsm["X_attn"].shape
    (20, 105)
    """
    from epiattn.models import RegulatoryModel

    model = RegulatoryModel.load(model_dir)
    given, mdata = mdata, as_mudata(mdata, copy=copy)
    check_key(mdata, key_added)
    check_owned(mdata, key_added)
    with setup_undone(type(model), mdata):
        write_results(mdata, model, key_added, {"model_dir": str(model_dir), "target": model.target})
    return give_back(mdata, given, copy=copy)

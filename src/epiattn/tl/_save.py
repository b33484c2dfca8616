"""Keep the models of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from epiattn._validation import as_mudata, give_back

from ._groups import check_folder, save_models
from ._trained import find_models

if TYPE_CHECKING:
    from mudata import MuData


def save(mdata: MuData, model_dir: str | Path, *, key: str = "attn", copy: bool = False) -> MuData:
    """Save the model of a run, as ``tl.fit`` does with ``model_dir=``, for those who did not ask for it there.

    The object itself is saved with ``mdata.write_h5mu``.

    Parameters
    ----------
    mdata
        Object that ``tl.fit`` or ``tl.embed`` wrote to in this session (or whose recorded folder is still there).
    model_dir
        Folder to save the model in, for :func:`embed` and later sessions; a model that is there is replaced.
    key
        ``key_added`` of the run.
    copy
        Remember the folder in a copy of the object.

    Returns
    -------
    The same object (a copy with ``copy=True``), with these fields written:

    ``uns["attn"]["model_dir"]``
        the folder

    Raises
    ------
    ValueError
        If there is no such run, its model is not at hand (a session remembers those of its latest eight runs), or
        ``model_dir`` is a file.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=100, cell_types=1)
    >>> mdata = attn.tl.fit(mdata, max_epochs=1)
    >>> mdata = attn.tl.save(mdata, "model")  # doctest: +SKIP
    >>> mdata = attn.tl.embed(mdata, "model")  # doctest: +SKIP
    """
    check_folder(model_dir)
    given, mdata = mdata, as_mudata(mdata, copy=copy)
    save_models(find_models(mdata, key), Path(model_dir))
    mdata.uns[key]["model_dir"] = str(model_dir)
    return give_back(mdata, given, copy=copy)

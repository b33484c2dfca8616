"""Write a MuData layer by layer, under another name until it is whole."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from scipy.sparse import issparse

from epiattn import _keys as k
from epiattn._modalities import kind

if TYPE_CHECKING:
    from mudata import MuData

SUFFIXES = (".h5mu", ".zarr")
_POSITIONS = {k.HISTONE: "bins", k.METHYLATION: "CpGs at most", k.TF: "TFs"}
_SPARE = 1_000_000  # bytes for what is in no matrix
_ROW = 200  # bytes of an observation in a table, names included


class Layer(NamedTuple):
    """One layer of a modality."""

    modality: str
    name: str
    values: Any


def check_output(path: str | Path) -> Path:
    """A place where a file can be written.

    Raises
    ------
    ValueError
        If the name ends in neither ``.h5mu`` nor ``.zarr``.
    FileNotFoundError
        If there is no such folder.
    PermissionError
        If nothing can be written there.
    """
    path = Path(path).absolute()
    if path.suffix not in SUFFIXES:
        msg = f"The output must end in .h5mu or .zarr, not {path.name!r}."
        raise ValueError(msg)
    if not path.parent.is_dir():
        msg = f"No folder {str(path.parent)!r} to write {path.name!r} into."
        raise FileNotFoundError(msg)
    trial = path.with_name(f".{path.name}.trial")
    try:
        trial.touch()
        trial.unlink()
    except OSError as error:
        msg = f"Nothing can be written into {str(path.parent)!r}: {error.strerror}."
        raise PermissionError(msg) from error
    return path


def write(mdata: MuData, layers: Iterable[Layer], path: Path) -> None:
    """Write an object and further layers, one at a time: each is in memory only while it is written.

    Parameters
    ----------
    mdata
        All but those layers.
    layers
        The layers.
    path
        ``.h5mu`` or ``.zarr``; what is there is replaced when all is written.

    Raises
    ------
    OSError
        If it cannot be written, such as on a full disk; what was at ``path`` is still there, and nothing else.
    """
    temporary = path.with_name(f".{path.stem}.writing{path.suffix}")
    _remove(temporary)
    try:
        _check_room(path, _size_of_object(mdata))
        (mdata.write_h5mu if path.suffix == ".h5mu" else mdata.write_zarr)(temporary)
        with _opened(temporary, mode="r+") as store:
            for layer in layers:
                _check_room(path, _size(layer.values))
                _write_layer(store[f"mod/{layer.modality}/layers"], layer)
        if path.is_dir():
            _remove(path)
        temporary.replace(path)
    except (OSError, RuntimeError) as error:  # h5py has both for a disk that is full
        msg = f"{path} could not be written: {_reason(error)}"
        raise OSError(msg) from error
    finally:
        _remove(temporary)


def describe(path: Path) -> list[str]:
    """A line for each modality of a file, and one for the observations, without reading any signal.

    Parameters
    ----------
    path
        ``.h5mu`` or ``.zarr``.
    """
    with _opened(path, mode="r") as store:
        n_obs = _length(store["obs"])
        names = _cell_types(store)
        lines = [f"{n_obs:,} observations" + (f" of {', '.join(sorted(names))}" if names else "")]
        for name in sorted(store["mod"]):
            modality = store[f"mod/{name}"]
            what = "regions" if name == k.DISTAL else _POSITIONS.get(kind(name) or "")
            layers = ", ".join(sorted(modality["layers"])) or "expression"
            lines.append(f"{name}: {_length(modality['var']):,} {what}; {layers}" if what else f"{name}: {layers}")
    return lines


def _length(table: Any) -> int:
    from anndata.io import read_elem

    index = table.attrs["_index"]
    return len(read_elem(table[index.decode() if isinstance(index, bytes) else index]))


def _cell_types(store: Any) -> set[str]:
    from anndata.io import read_elem

    return set(read_elem(store["obs"][k.CELL_TYPE]).astype(str)) if k.CELL_TYPE in store["obs"] else set()


def _check_room(path: Path, n_bytes: int) -> None:
    """Refuse to fill the disk: HDF5 leaves a file open then, and crashes when Python ends."""
    free = shutil.disk_usage(path.parent).free
    if free < n_bytes + _SPARE:
        needed, free = ((size + 999_999) // 1_000_000 for size in (n_bytes + _SPARE, free))
        raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}: {free} MB are free, and up to {needed} MB needed")


def _size_of_object(mdata: MuData) -> int:
    """Bytes of an object on disk, at most."""
    parts = [matrix for adata in mdata.mod.values() for matrix in (adata.X, *adata.layers.values())]
    tables = mdata.n_obs * _ROW * (1 + len(mdata.mod))
    return tables + sum(_size(matrix) for matrix in parts if matrix is not None)


def _size(values: Any) -> int:
    """Bytes of a matrix."""
    return (
        sum(part.nbytes for part in (values.data, values.indices, values.indptr)) if issparse(values) else values.nbytes
    )


def _reason(error: Exception) -> str:
    """What h5py says, without the addresses and sizes around it."""
    full = os.strerror(errno.ENOSPC)
    return full if full in str(error) and "errno = " in str(error) else str(error)


def _write_layer(group: Any, layer: Layer) -> None:
    from anndata.io import write_elem

    options = {"compression": "gzip"} if isinstance(layer.values, np.ndarray) and not hasattr(group, "store") else {}
    write_elem(group, layer.name, layer.values, dataset_kwargs=options)


@contextmanager
def _opened(path: Path, *, mode: Literal["r", "r+"]) -> Iterator[Any]:
    """What was written, to read it or to add to it."""
    if path.suffix == ".zarr":
        import zarr

        yield zarr.open_group(path, mode=mode)
        return
    import h5py

    with h5py.File(path, mode) as file:
        yield file


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

"""Who wrote what: results are replaced by those of the same key, and nothing else is ever overwritten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from epiattn._modalities import record_written
from epiattn._results import record_of

if TYPE_CHECKING:
    from mudata import MuData


def container_of(mdata: MuData, place: str) -> tuple[Any, str]:
    """Where ``obs/a`` or ``histone/layers/a`` lies: the mapping, and the name in it."""
    *modality, attribute, name = place.split("/")
    return getattr(mdata[modality[0]] if modality else mdata, attribute), name


def owned_by(mdata: MuData, key: str) -> set[str]:
    """Places that an earlier run with this key wrote."""
    return {str(place) for place in record_of(mdata, key).get("written", [])}


def check_places(mdata: MuData, key: str, places: Sequence[str]) -> None:
    """Refuse to overwrite what another key, or the user, wrote.

    Parameters
    ----------
    mdata
        The object.
    key
        The run's key.
    places
        What it would write.

    Raises
    ------
    ValueError
        If a field that would be written exists and no earlier run with this key wrote it.
    """
    owned = owned_by(mdata, key)
    taken = []
    for place in places:
        container, name = container_of(mdata, place)
        if name in container and place not in owned:
            taken.append(place)
    record = mdata.uns.get(key, {"written": []})
    if not (isinstance(record, Mapping) and "written" in record):
        taken.append(f"uns/{key}")
    if taken:
        msg = (
            f"key_added={key!r} would overwrite {taken}, which no earlier run with this key wrote: choose another "
            "key_added, or delete them."
        )
        raise ValueError(msg)


def remove_places(mdata: MuData, key: str) -> None:
    """Remove an earlier run's results, so that none of them is taken for the new run's."""
    for place in owned_by(mdata, key):
        modality = place.split("/")[0]
        if place.count("/") == 1 or modality in mdata.mod:
            container, name = container_of(mdata, place)
            if name in container:
                del container[name]


def write_places(mdata: MuData, key: str, values: Mapping[str, Any], record: Mapping[str, Any]) -> None:
    """Write what a tool found, and its record in ``uns``; an earlier run's results under the key are replaced."""
    check_places(mdata, key, list(values))
    remove_places(mdata, key)
    for place, value in values.items():
        container, name = container_of(mdata, place)
        container[name] = value
        if place.count("/") == 2 and place.split("/")[1] == "layers":
            record_written(mdata[place.split("/")[0]], name)
    mdata.uns[key] = {**plain(record), "written": list(values)}


def plain(value: Any) -> Any:
    """Only what h5mu and zarr can hold: no tuples, no None, no paths."""
    import pandas as pd

    if isinstance(value, Mapping):
        return {str(name): plain(entry) for name, entry in value.items() if entry is not None}
    if isinstance(value, list | tuple | set):
        return [plain(entry) for entry in value]
    if isinstance(value, bool | int | float | str | np.ndarray | np.generic | pd.DataFrame):
        return value
    return str(value)

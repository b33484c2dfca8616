"""What tools wrote about a run: found by key, and checked to be about the run that is there now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mudata import MuData


def run_of(mdata: MuData, key: str) -> Mapping[str, Any]:
    """The record of ``tl.fit`` or ``tl.embed`` under a key.

    Raises
    ------
    ValueError
        If there is none.
    """
    record = mdata.uns.get(key)
    if not isinstance(record, Mapping) or "attends" not in record:
        runs = [name for name, other in mdata.uns.items() if isinstance(other, Mapping) and "attends" in other]
        held = f"the runs {runs}" if runs else "no run"
        msg = f"No fit under key {key!r}: uns holds {held}; run attn.tl.fit(mdata, key_added={key!r})."
        raise ValueError(msg)
    return record


def result_of(mdata: MuData, key: str, tool: str) -> Mapping[str, Any]:
    """The record of a tool.

    Parameters
    ----------
    mdata
        The object.
    key
        Its ``key_added``.
    tool
        Name of the function in ``tl``.

    Raises
    ------
    ValueError
        If there is none, or the run that it was about has been replaced since.
    """
    record = mdata.uns.get(key)
    if not isinstance(record, Mapping) or record.get("tool") != tool:
        found = [name for name, other in mdata.uns.items() if isinstance(other, Mapping) and other.get("tool") == tool]
        there = f" (there is {found})" if found else ""
        msg = f"No result of tl.{tool} in uns[{key!r}]{there}: run attn.tl.{tool}(mdata) first."
        raise ValueError(msg)
    about = str(record.get("key", ""))
    if about and record.get("fingerprint") != mdata.uns.get(about, {}).get("fingerprint"):
        msg = (
            f"uns[{key!r}] is about an earlier fit under key {about!r}, which has been replaced: run "
            f"attn.tl.{tool}(mdata) again."
        )
        raise ValueError(msg)
    return record

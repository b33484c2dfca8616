"""What tools wrote about a run: found by key, and checked to be about the run that is there now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ._logging import logger
from ._messages import did_you_mean

if TYPE_CHECKING:
    import pandas as pd
    from mudata import MuData

#: A method of explanation, beside those of attribution.
ATTENTION = "attention"


def record_of(mdata: MuData, key: str) -> Mapping[str, Any]:
    """What ``uns`` holds under a key, if it is a record; an empty one otherwise."""
    record = mdata.uns.get(key)
    return record if isinstance(record, Mapping) else {}


def run_of(mdata: MuData, key: str) -> Mapping[str, Any]:
    """The record of ``tl.fit`` or ``tl.embed`` under a key.

    Raises
    ------
    ValueError
        If there is none.
    """
    record = record_of(mdata, key)
    if "attends" not in record:
        runs = [name for name, other in mdata.uns.items() if isinstance(other, Mapping) and "attends" in other]
        held = f"the runs {runs}" if runs else "no run"
        msg = (
            f"No fit under key {key!r}: uns holds {held}; run attn.tl.fit(mdata, key_added={key!r})."
            f"{did_you_mean(key, runs)}"
        )
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
    record = record_of(mdata, key)
    if record.get("tool") != tool:
        found = [name for name, other in mdata.uns.items() if isinstance(other, Mapping) and other.get("tool") == tool]
        there = f" (there is {found})" if found else ""
        msg = f"No result of tl.{tool} in uns[{key!r}]{there}: run attn.tl.{tool}(mdata) first."
        raise ValueError(msg)
    about = str(record.get("key", ""))
    if about and record.get("fingerprint") != record_of(mdata, about).get("fingerprint"):
        msg = (
            f"uns[{key!r}] is about an earlier fit under key {about!r}, which has been replaced: run "
            f"attn.tl.{tool}(mdata) again."
        )
        raise ValueError(msg)
    return record


def unfaithful(mdata: MuData, key: str, *, method: str = ATTENTION, smooth: float = 0.0) -> list[str]:
    """Modalities over which an explanation of a run failed the test of ``tl.faithfulness``.

    Parameters
    ----------
    mdata
        The object.
    key
        ``key_added`` of the run.
    method
        ``"attention"``, or a method of attribution.
    smooth
        Of the attribution: a test of others is none of these.

    Returns
    -------
    Their names; none if it was never tested, or the run has been replaced since.
    """
    fingerprint = record_of(mdata, key).get("fingerprint")
    found: list[str] = []
    for record in mdata.uns.values():
        if not (isinstance(record, Mapping) and record.get("tool") == "faithfulness" and record.get("key") == key):
            continue
        tested = method == ATTENTION or float(record.get("smooth", 0)) == smooth
        if record.get("fingerprint") == fingerprint and tested:
            table = record["verdicts"]
            passes = table["passes"].to_numpy(bool)
            if "sane" in table:
                passes = passes & table["sane"].to_numpy(bool)
            failed = table[(table["method"].astype(str) == method).to_numpy() & ~passes]
            found += [str(name) for name in failed["modality"] if str(name) not in found]
    return found


def note_unfaithful(mdata: MuData, key: str) -> None:
    """Note in the records of ``tl.attention`` about a run over which modalities its attention failed the test."""
    for name, record in list(mdata.uns.items()):
        if isinstance(record, Mapping) and record.get("tool") == "attention" and record.get("key") == key:
            mdata.uns[name] = {**record, "unfaithful": unfaithful(mdata, key)}


def warn_if_unfaithful(
    mdata: MuData, key: str, modality: str | None = None, *, method: str = ATTENTION, smooth: float = 0.0
) -> None:
    """Warn of an explanation that failed the test of ``tl.faithfulness``.

    Parameters
    ----------
    mdata
        The object.
    key
        ``key_added`` of the run.
    modality
        Only if this one failed; ``None``: any.
    method, smooth
        As for :func:`unfaithful`.
    """
    failed = unfaithful(mdata, key, method=method, smooth=smooth)
    if names := [name for name in failed if modality in (None, name)]:
        logger.warning(
            "The %s of the run %r over %s failed the test of tl.faithfulness: it does not point at what the model "
            "uses better than chance, or than that of a model that learned nothing does.%s",
            method if method == ATTENTION else f"attribution by {method!r}",
            key,
            ", ".join(names),
            " It says where the model looks, not what matters." if method == ATTENTION else "",
        )


def warn_if_several_models(mdata: MuData, key: str, what: str) -> None:
    """Warn of what is compared between cell types although each has a model of its own.

    Parameters
    ----------
    mdata
        The object.
    key
        ``key_added`` of the run.
    what
        What is compared, in the plural.
    """
    if record_of(mdata, key).get("per") is not None:
        logger.warning(
            "The run %r has one model for each cell type: %s of different cell types come from different models, and "
            "differ by that too. Fit one model for all (per=None) to compare cell types.",
            key,
            what,
        )


def warn_of_nothing(table: pd.DataFrame, column: str, bound: float, why: str) -> None:
    """Say so where a bound on a column leaves no row because the column has no value at all."""
    if len(table) and table[column].isna().all():
        logger.warning("No row has a value in %r, so that none passes %g: %s.", column, bound, why)

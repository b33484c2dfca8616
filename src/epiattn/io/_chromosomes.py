"""Chromosome names: ``chr1`` and ``1`` are the same chromosome."""

from __future__ import annotations

from collections.abc import Iterable

from epiattn._logging import logger


def plain_name(name: str) -> str:
    """Name of a chromosome without what tools add to it: ``1`` of ``chr1``, ``MT`` of ``chrM``."""
    name = str(name)
    plain = name[3:] if name.lower().startswith("chr") else name
    return {"M": "MT", "m": "MT"}.get(plain, plain)


def match_chromosomes(
    wanted: Iterable[str],
    found: Iterable[str],
    *,
    where: str,
    lacking: str | None = "the genes there count as uncovered",
) -> dict[str, str]:
    """What the chromosomes of the genes are called in a file.

    Parameters
    ----------
    wanted
        Chromosomes of the genes.
    found
        Chromosomes of the file.
    where
        The file, for messages.
    lacking
        What becomes of the chromosomes that the file lacks, for the report; ``None``: nothing that is worth one.

    Returns
    -------
    The file's name of each wanted chromosome that it has (the same name, if it has that too). Those that it lacks are
    reported through the logger.

    Raises
    ------
    ValueError
        If they share none.
    """
    wanted, found = sorted(set(wanted)), sorted(set(found))
    by_plain = {plain_name(name): name for name in found}
    by_plain.update({name: name for name in found})  # an exact match comes first
    matched = {
        name: hit for name in wanted if (hit := by_plain.get(name) or by_plain.get(plain_name(name))) is not None
    }
    if not matched:
        there = _some(found) or "which names none"
        msg = f"{where}: no chromosome of the genes ({_some(wanted)}) is in the file ({there})."
        raise ValueError(msg)
    if renamed := [name for name, hit in matched.items() if name != hit]:
        logger.info("%s: chromosomes are named otherwise there (%s is %s, …).", where, renamed[0], matched[renamed[0]])
    absent = [name for name in wanted if name not in matched]
    if absent and lacking is not None:
        logger.warning("%s: has no %s; %s.", where, _some(absent), lacking)
    return matched


def _some(names: list[str], n: int = 4) -> str:
    return ", ".join(map(str, names[:n])) + (", …" if len(names) > n else "")

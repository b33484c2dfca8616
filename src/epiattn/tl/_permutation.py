"""Differences between two groups of observations, and what they would be if the groups' names meant nothing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from math import comb
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata
from scipy.stats import t as student

#: Ways to name the observations of a gene that are tried, at most.
_N_NAMINGS = 40


class Block(NamedTuple):
    """Genes with as many observations in each group: rows of shape ``(n_genes, n_group + n_reference)``."""

    genes: np.ndarray
    rows: np.ndarray
    n_group: int


def pair_genes(gene: np.ndarray, side: np.ndarray) -> list[Block]:
    """Genes with observations on both sides, by how many these are; the rows of the group come first.

    Parameters
    ----------
    gene
        Number of each observation's gene, shape ``(n_obs,)``.
    side
        1 in the group, -1 in the reference, 0 in neither, shape ``(n_obs,)``.
    """
    rows = np.flatnonzero(side)
    rows = rows[np.lexsort((-side[rows], gene[rows]))]
    names, start, code = np.unique(gene[rows], return_index=True, return_inverse=True)
    sizes = np.stack([np.bincount(code[side[rows] == value], minlength=len(names)) for value in (1, -1)], axis=1)
    blocks = []
    for k, r in np.unique(sizes[(sizes > 0).all(1)], axis=0):
        which = np.flatnonzero((sizes == (k, r)).all(1))
        blocks.append(Block(names[which], rows[start[which, None] + np.arange(k + r)], int(k)))
    return blocks


def namings(n: int, n_group: int, rng: np.random.Generator) -> np.ndarray:
    """Ways to call ``n_group`` of n observations the group: boolean, shape ``(n_ways, n)``; the first is as it is."""
    if comb(n, n_group) <= _N_NAMINGS:
        chosen = np.array(list(combinations(range(n), n_group)))
    else:
        chosen = np.argsort(rng.random((_N_NAMINGS, n)), axis=1)[:, :n_group]
        chosen[0] = np.arange(n_group)
    named = np.zeros((len(chosen), n), bool)
    np.put_along_axis(named, chosen, True, axis=1)
    return named


def differences(values: np.ndarray, named: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean of the group less that of the reference, and its standard error (NaN: one observation on each side).

    Parameters
    ----------
    values
        Shape ``(n_genes, n, n_features)``.
    named
        Which of the n observations are the group, shape ``(n,)``.
    """
    group, reference = values[:, named], values[:, ~named]
    k, r = group.shape[1], reference.shape[1]
    difference = group.mean(1) - reference.mean(1)
    if k + r < 3:
        return difference, np.full(difference.shape, np.nan)
    squares = sum(np.square(each - each.mean(1, keepdims=True)).sum(1) for each in (group, reference))
    return difference, np.sqrt(squares / (k + r - 2) * (1 / k + 1 / r))


class GeneTest(NamedTuple):
    """Of each gene and feature, shape ``(n_genes, n_features)``: difference, score and p-value."""

    genes: np.ndarray
    effect: np.ndarray
    score: np.ndarray
    p_value: np.ndarray
    replicated: bool


def compare_genes(values: np.ndarray, blocks: list[Block], rng: np.random.Generator) -> GeneTest:
    """Test each gene, with a null that all genes share: their scores with the names of their observations exchanged.

    The score is the difference over its standard error plus the median standard error of all genes (so that genes with
    a small one by chance do not lead). Where all genes have one observation on each side, there is nothing to exchange:
    the score is the difference, and the p-value its rank among all genes, so that a share of 5 % is below 0.05 in any
    case.

    References
    ----------
    Tusher, Tibshirani & Chu, PNAS 98:5116 (2001), doi 10.1073/pnas.091062498; Pan, Bioinformatics 19:1333 (2003), doi
    10.1093/bioinformatics/btg167 (why the names as they are stay out of the null).
    """
    found = [differences(values[block.rows], _as_is(block)) for block in blocks]
    effect, error = (np.concatenate([each[i] for each in found]) for i in (0, 1))
    genes = np.concatenate([block.genes for block in blocks])
    replicated = np.isfinite(error).all(1)
    if not replicated.any():
        score = effect
        p_value = rankdata(-np.abs(effect), method="max", axis=0) / len(effect)
        return GeneTest(genes, effect, score, p_value, False)
    typical = np.median(error[replicated], axis=0)
    typical = np.where(typical > 0, typical, np.inf)
    score = np.where(replicated[:, None], effect / (error + typical), np.nan)
    null: list[np.ndarray] = []
    for block in blocks:
        n = block.rows.shape[1]
        if n < 3:
            continue
        as_is = _as_is(block)
        for named in namings(n, block.n_group, rng):
            if (named == as_is).all() or (named == ~as_is).all():
                continue
            difference, its_error = differences(values[block.rows], named)
            null.append(difference / (its_error + typical))
    pooled = np.abs(np.concatenate(null))
    p_value = np.stack([_share_as_large(np.abs(s), each) for s, each in zip(score.T, pooled.T, strict=True)], axis=1)
    return GeneTest(genes, effect, score, np.where(np.isfinite(score), p_value, np.nan), True)


def _as_is(block: Block) -> np.ndarray:
    return np.arange(block.rows.shape[1]) < block.n_group


def _share_as_large(observed: np.ndarray, null: np.ndarray) -> np.ndarray:
    """Share of the null that is at least as large; never 0 (Phipson and Smyth)."""
    order = np.sort(null)
    larger = len(order) - np.searchsorted(order, observed * (1 - 1e-12), side="left")
    return (larger + 1) / (len(order) + 1)


class FeatureTest(NamedTuple):
    """Of each feature, shape ``(n_features,)``: difference, its 95 % interval, score and p-value; and the units."""

    effect: np.ndarray
    low: np.ndarray
    high: np.ndarray
    score: np.ndarray
    p_value: np.ndarray
    n_units: int


def compare_within_genes(
    values: np.ndarray, blocks: list[Block], *, n_permutations: int, rng: np.random.Generator
) -> FeatureTest:
    """Mean over the genes of their difference; the names of a gene's observations are exchanged, gene by gene."""
    n_genes, n_features = sum(len(block.genes) for block in blocks), values.shape[1]
    drawn, observed = np.zeros((n_permutations, n_features)), []
    for block in blocks:
        ways = namings(block.rows.shape[1], block.n_group, rng)
        of_block = values[block.rows]
        each = np.stack([differences(of_block, named)[0] for named in ways], axis=1)
        observed.append(each[:, 0])
        for some in _chunks(n_permutations, len(of_block) * n_features):
            way = rng.integers(len(ways), size=(some.stop - some.start, len(of_block)))
            drawn[some] += each[np.arange(len(of_block)), way].sum(1)
    return _summarise(np.concatenate(observed), drawn / n_genes)


def compare_units(
    group: np.ndarray, reference: np.ndarray, *, n_permutations: int, rng: np.random.Generator, n_paired: int = 0
) -> FeatureTest:
    """Difference of the means of two sets of units, shape ``(n_units, n_features)`` each; units change sides.

    Parameters
    ----------
    group, reference
        Values. The first ``n_paired`` rows of both are the same units: their two values change places, and nothing
        else. Where these units are other than the rest, and the sides are not as large, exchanges have a mean that is
        not 0; score and p-value are about the distance to it, so that what a unit has of its own is no difference.
    n_permutations
        Random exchanges.
    rng
        Draws them.
    n_paired
        Units on both sides.

    References
    ----------
    Welch, Biometrika 34:28 (1947), doi 10.1093/biomet/34.1-2.28 (degrees of freedom of the interval; without pairs).
    """
    units, k, r = (group, reference), len(group), len(reference)
    values, change = np.concatenate([each[n_paired:] for each in units]), reference[:n_paired] - group[:n_paired]
    total, drawn = group.sum(0) + reference.sum(0), np.empty((n_permutations, group.shape[1]))
    for some in _chunks(n_permutations, k + r):
        n = some.stop - some.start
        order = np.argsort(rng.random((n, len(values))), axis=1)
        named = np.zeros(order.shape, values.dtype)
        np.put_along_axis(named, order[:, : k - n_paired], 1, axis=1)
        changed = rng.integers(2, size=(n, n_paired)).astype(values.dtype)
        sums = named @ values + changed @ change + group[:n_paired].sum(0)
        drawn[some] = sums / k - (total - sums) / r
    means = [each.mean(0) for each in units]
    errors = [each.var(0, ddof=1) / len(each) if len(each) > 1 else np.full(len(total), np.nan) for each in units]
    together = ((group[:n_paired] - means[0]) * (reference[:n_paired] - means[1])).sum(0)
    error = np.sqrt(np.maximum(errors[0] + errors[1] - 2 * together / max(k * r - k - r + n_paired, 1), 0))
    weights = errors[0] ** 2 / max(k - 1, 1) + errors[1] ** 2 / max(r - 1, 1)
    freedom = np.divide((errors[0] + errors[1]) ** 2, weights, out=np.ones(len(total)), where=weights > 0)
    freedom = np.minimum(freedom, max(k + r - n_paired - (1 if n_paired else 2), 1))
    paired, alone = (group[:n_paired] + reference[:n_paired]).sum(0) / 2, values.sum(0) / max(len(values), 1)
    center = (paired + (k - n_paired) * alone) / k - (paired + (r - n_paired) * alone) / r
    return _with_interval(means[0] - means[1], error, freedom, drawn, k + r - n_paired, center)


def _summarise(observed: np.ndarray, drawn: np.ndarray) -> FeatureTest:
    n = len(observed)
    error = observed.std(0, ddof=1) / np.sqrt(n) if n > 1 else np.full(observed.shape[1], np.nan)
    return _with_interval(observed.mean(0), error, max(n - 1, 1), drawn, n)


def _with_interval(
    effect: np.ndarray,
    error: np.ndarray,
    freedom: np.ndarray | int,
    drawn: np.ndarray,
    n_units: int,
    center: np.ndarray | float = 0.0,
) -> FeatureTest:
    spread, distance = drawn.std(0), effect - center
    score = np.divide(distance, spread, out=np.zeros_like(effect), where=spread > 0)
    as_large = (np.abs(drawn - center) >= np.abs(distance) * (1 - 1e-12)).sum(0)
    p_value = (as_large + 1) / (len(drawn) + 1)
    half = student.ppf(0.975, freedom) * error
    return FeatureTest(effect, effect - half, effect + half, score, p_value, n_units)


def _chunks(n: int, size: int, limit: int = 4_000_000) -> Iterator[slice]:
    """Parts of n, each of no more than so many numbers of the given size."""
    step = max(1, limit // max(size, 1))
    return (slice(start, min(start + step, n)) for start in range(0, n, step))

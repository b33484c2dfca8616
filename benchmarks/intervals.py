"""How often 95 % intervals of an AUC hold the true one, in simulations.

    python benchmarks/intervals.py                     # 2,000 repetitions of each setting, a few minutes
    python benchmarks/intervals.py --repetitions 200

Genes lie on chromosomes of the sizes of the human ones, in 1 or 4 folds. The share of high genes and the quality of the
score are the same on all chromosomes, or differ between them; the true AUC is that of 4,000 such genomes.
"""

from __future__ import annotations

import argparse

import numpy as np

import epiattn as attn

#: Protein-coding genes of the human chromosomes 1 to 22, in hundreds.
SIZES = np.array([20, 12, 11, 8, 9, 10, 9, 7, 8, 7, 13, 10, 3, 6, 6, 8, 12, 3, 14, 5, 2, 4])


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=2_000)
    repetitions = parser.parse_args().repetitions
    print("| chromosomes | folds | they differ | true AUC | held by | width |\n|---|---|---|---|---|---|")
    for n_chromosomes in (10, 22):
        for n_folds in (1, 4):
            for differ in (0.0, 0.4):
                true, held, width = coverage(n_chromosomes, n_folds, differ, repetitions)
                kind = "yes" if differ else "no"
                print(f"| {n_chromosomes} | {n_folds} | {kind} | {true:.3f} | {held:.1%} | {width:.3f} |", flush=True)


def coverage(n_chromosomes: int, n_folds: int, differ: float, repetitions: int) -> tuple[float, float, float]:
    """True AUC, share of the intervals that hold it, and their mean width."""
    rng = np.random.default_rng(0)
    sizes = SIZES[:n_chromosomes] * 10
    fold_of = np.arange(n_chromosomes) % n_folds
    true = np.mean([aucs(*genome(rng, sizes, differ), fold_of) for _ in range(4_000)])
    inside, width = 0, 0.0
    for _ in range(repetitions):
        high, score, chromosome = genome(rng, sizes, differ)
        found = attn.metrics.interval(
            attn.metrics.roc_auc, high, score, groups=chromosome, fold=fold_of[chromosome] if n_folds > 1 else None
        )
        inside += found.low <= true <= found.high
        width += (found.high - found.low) / repetitions
    return float(true), inside / repetitions, width


def genome(rng: np.random.Generator, sizes: np.ndarray, differ: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, scores and chromosomes of the genes of one genome."""
    chromosome = np.repeat(np.arange(len(sizes)), sizes)
    share = 1 / (1 + np.exp(-differ * rng.normal(size=len(sizes))))
    quality = 1.6 + differ * rng.normal(size=len(sizes))
    shift = differ / 2 * rng.normal(size=len(sizes))
    high = rng.random(len(chromosome)) < share[chromosome]
    return high, rng.normal(size=len(chromosome)) + shift[chromosome] + quality[chromosome] * high, chromosome


def aucs(high: np.ndarray, score: np.ndarray, chromosome: np.ndarray, fold_of: np.ndarray) -> float:
    """Mean over the folds of the AUC in each."""
    fold = fold_of[chromosome]
    return float(np.mean([attn.metrics.roc_auc(high[fold == k], score[fold == k]) for k in np.unique(fold)]))


if __name__ == "__main__":
    main()

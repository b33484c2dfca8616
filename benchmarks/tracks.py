"""Speed of reading signal around TSSs, beside deepTools' computeMatrix and pyBigWig, in one table.

    python benchmarks/tracks.py --bigwig track.bw
    python benchmarks/tracks.py --peaks *.narrowPeak.gz --genes genes.tsv

``--bigwig``: 20,000 random windows x 40 bins of 100 bp, in one process. Beside it, if they are there, computeMatrix on
two processors and pyBigWig's exact statistics on every tenth window (its time is given for all). The values must agree.
``--peaks``: all genes of a table (gene_id, chrom, tss, strand) x 40 bins of every file.

The sides take turns (A B A B ...), so that other work on the machine slows all; shown are medians, and the median of
the ratios of neighbours with its range. computeMatrix is a program of its own, so its time contains the start of
Python; epiattn is timed both within a running process and with a fresh one.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from measure import HEADER, Row, interleave, load, machine, python, spread

import epiattn as attn
from epiattn.io._bigwig import BigWig
from epiattn.io._signal import bin_signal

WINDOW, BIN_SIZE, N_WINDOWS, SHARE = 2_000, 100, 20_000, 10
FRESH = """
import pandas as pd
from epiattn.io._signal import bin_signal
bin_signal({path!r}, "bigwig", pd.read_pickle({table!r}), window={window}, bin_sizes=({bin_size},))
"""


def random_windows(path: Path, n: int) -> pd.DataFrame:
    """Places on all chromosomes, in the order of the genome (as annotations are)."""
    rng = np.random.default_rng(0)
    with BigWig(path) as track:
        lengths = pd.Series(track.chromosomes)
    lengths = lengths[lengths > 2 * WINDOW].astype("int64")
    chrom = np.sort(rng.choice(len(lengths), n, p=lengths / lengths.sum()))
    tss = rng.integers(WINDOW, lengths.to_numpy()[chrom] - WINDOW)
    order = np.lexsort((tss, chrom))
    table = {"chrom": lengths.index.to_numpy()[chrom], "tss": tss[order], "strand": "+"}
    return pd.DataFrame(table, index=[f"window_{i}" for i in range(n)])


def read(path: Path, windows: pd.DataFrame, uncovered: float = 0.0) -> np.ndarray:
    """With this package."""
    bins = bin_signal(path, "bigwig", windows, window=WINDOW, bin_sizes=(BIN_SIZE,), uncovered=uncovered)
    return bins[BIN_SIZE]


def compute_matrix(path: Path, bed: Path, out: Path) -> np.ndarray:
    """With deepTools; the values are read where they are wanted."""
    around = ["-b", WINDOW, "-a", WINDOW, "-bs", BIN_SIZE, "--referencePoint", "TSS"]
    options = ["--missingDataAsZero", "--sortRegions", "keep", "-p", 2, "--quiet", "-o", out]
    command = ["computeMatrix", "reference-point", "-S", path, "-R", bed, *around, *options]
    subprocess.run([str(part) for part in command], check=True, capture_output=True)
    return out


def pybigwig(path: Path, windows: pd.DataFrame) -> np.ndarray:
    """With pyBigWig's exact statistics: means of covered bases."""
    import pyBigWig

    n_bins = 2 * WINDOW // BIN_SIZE
    with pyBigWig.open(str(path)) as file:
        means = [
            file.stats(row.chrom, row.tss - WINDOW, row.tss + WINDOW, type="mean", nBins=n_bins, exact=True)
            for row in windows.itertuples()
        ]
    return np.array(means, np.float64)


def bigwig(path: Path, repeats: int, n: int) -> list[Row]:
    """Windows of a bigWig."""
    windows = random_windows(path, n)
    name = f"{n:,} windows x {2 * WINDOW // BIN_SIZE} bins"
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        table, bed, out = (Path(folder) / each for each in ("windows.pkl", "windows.bed", "matrix.gz"))
        windows.to_pickle(table)
        fresh = FRESH.format(path=str(path), table=str(table), window=WINDOW, bin_size=BIN_SIZE)
        if shutil.which("computeMatrix"):
            columns = [windows["chrom"], windows["tss"], windows["tss"] + 1, windows.index, 0, windows["strand"]]
            pd.DataFrame(dict(enumerate(columns))).to_csv(bed, sep="\t", header=False, index=False)
            sides = [lambda: compute_matrix(path, bed, out), lambda: read(path, windows), lambda: python(fresh)]
            times = interleave(sides, repeats)
            rows += [row(f"{name}: computeMatrix -p 2", times[:, 0], times[:, 1])]
            rows += [row("  the same with a fresh Python process", times[:, 0], times[:, 2])]
            agree("computeMatrix", matrix(out), read(path, windows), atol=1e-6)
        else:
            print("computeMatrix is not on the PATH (pip install deeptools)")
        if importlib.util.find_spec("pyBigWig"):
            some = windows.iloc[::SHARE]
            times = interleave([lambda: pybigwig(path, some), lambda: read(path, windows)], repeats)
            times[:, 0] *= len(windows) / len(some)
            rows += [row(f"{name}: pyBigWig exact (timed on {len(some):,})", times[:, 0], times[:, 1])]
            agree("pyBigWig", pybigwig(path, some), read(path, some, np.nan), atol=0)
        else:
            print("pyBigWig is not installed")
        if not rows:
            rows = [Row(name, "s", np.median(interleave([lambda: read(path, windows)], repeats)))]
    return rows


def matrix(path: Path) -> np.ndarray:
    """Values of a matrix of deepTools."""
    with gzip.open(path, "rt") as file:
        return pd.read_csv(file, sep="\t", comment="@", header=None).iloc[:, 6:].to_numpy(np.float64)


def agree(name: str, theirs: np.ndarray, ours: np.ndarray, *, atol: float) -> None:
    """Print how far the values are apart; refuse what is not equal to float32, or to the digits that are printed."""
    print(f"values of {name}: at most {np.nanmax(np.abs(theirs - ours)):.1e} apart", flush=True)
    np.testing.assert_allclose(ours, theirs.astype(np.float32), rtol=1e-6 if atol else 0, atol=atol)


def row(name: str, other: np.ndarray, ours: np.ndarray) -> Row:
    """Seconds of both, and the ratio."""
    return Row(name, "s", np.median(ours), np.median(other), spread(other / ours))


def peaks(paths: Sequence[Path], genes: Path, repeats: int) -> list[Row]:
    """Genes x files of peaks."""
    table = pd.read_csv(genes, sep="\t", index_col=0)
    files = {path.name: path for path in paths}
    name = f"{len(table):,} genes x {len(paths)} files of peaks"
    times = interleave([lambda: attn.io.read_signal(files, table, window=WINDOW, bin_size=BIN_SIZE)], repeats)
    return [Row(name, "s", np.median(times))]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bigwig", type=Path)
    parser.add_argument("--peaks", type=Path, nargs="+", default=[])
    parser.add_argument("--genes", type=Path, help="of --peaks")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--windows", type=int, default=N_WINDOWS)
    chosen = parser.parse_args()
    if not chosen.bigwig and not chosen.peaks:
        parser.error("give --bigwig or --peaks")
    attn.settings.verbosity = "warning"
    print(machine(), flush=True)
    rows = bigwig(chosen.bigwig, chosen.repeats, chosen.windows) if chosen.bigwig else []
    rows += peaks(chosen.peaks, chosen.genes, chosen.repeats) if chosen.peaks else []
    print(HEADER)
    for each in rows:
        print(each)
    print(f"At the end: {load()}")


if __name__ == "__main__":
    main()

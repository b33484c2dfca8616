"""Time and memory of ``io.build``: a folder of tracks, and the same tracks many times over.

    python benchmarks/build.py genes.tsv H1-*.narrowPeak.gz

Each measurement is a fresh process that writes an ``.h5mu`` file (``load=False``); memory is its peak, with imports.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

import epiattn as attn


def sheet_of(tracks: list[Path], copies: int, *, as_cell_types: bool) -> pd.DataFrame:
    """The tracks, so many times: as further marks, or as the marks of further cell types."""
    rows = [
        {
            "cell_type": f"type{i}" if as_cell_types else "type",
            "assay": "histone",
            "target": track.name.split(".")[0] if as_cell_types else f"{track.name.split('.')[0]}_{i}",
            "path": str(track.absolute()),
        }
        for i in range(copies)
        for track in tracks
    ]
    return pd.DataFrame(rows)


def peak() -> float:
    """Gigabytes that this process took at most. (``measure.py`` would import torch.)"""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1e6


def measure(annotation: str, tracks: list[Path], copies: int, n_jobs: int, *, as_cell_types: bool) -> None:
    """In the fresh process: seconds and gigabytes."""
    attn.settings.verbosity = "error"
    genes = attn.io.read_annotation(annotation, biotypes=None)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        attn.io.build(
            sheet_of(tracks, copies, as_cell_types=as_cell_types),
            annotation=genes,
            output=Path(folder) / "data.h5mu",
            load=False,
            n_jobs=n_jobs,
        )
        print(time.perf_counter() - start, peak())


def fresh(arguments: argparse.Namespace, copies: int, n_jobs: int, *, as_cell_types: bool) -> tuple[float, float]:
    """Measure in a fresh process."""
    options = ["--copies", str(copies), "--n-jobs", str(n_jobs), *(["--as-cell-types"] if as_cell_types else [])]
    command = [sys.executable, "-W", "ignore", __file__, arguments.annotation, *map(str, arguments.tracks), *options]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(output[-2]), float(output[-1])


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("annotation")
    parser.add_argument("tracks", nargs="+", type=Path)
    parser.add_argument("--copies", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--n-jobs", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--as-cell-types", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.copies:
        measure(
            arguments.annotation,
            arguments.tracks,
            arguments.copies,
            arguments.n_jobs,
            as_cell_types=arguments.as_cell_types,
        )
        return
    n = len(arguments.tracks)
    print(f"{'':<34}{'seconds':>9}{'peak GB':>9}")
    for copies, n_jobs, as_cell_types in ((1, 1, False), (1, 2, False), (8, 1, False), (8, 2, False), (8, 1, True)):
        seconds, gigabytes = fresh(arguments, copies, n_jobs, as_cell_types=as_cell_types)
        what = f"{copies * n} tracks, {copies if as_cell_types else 1} cell types, {n_jobs} jobs"
        print(f"{what:<34}{seconds:>9.1f}{gigabytes:>9.3f}")


if __name__ == "__main__":
    main()

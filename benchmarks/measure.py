"""How the benchmarks measure: in turns, in fresh processes, and with the machine's name beside it."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scvi
import torch


@dataclass
class Row:
    """One line: what the other way and epiattn take, in ``unit``, and how many times faster epiattn is."""

    name: str
    unit: str
    ours: float
    other: float | None = None
    ratio: str = ""

    def __str__(self) -> str:
        other = "" if self.other is None else shown(self.other)
        return f"{self.name:<64} {self.unit:<12} {other:>10} {shown(self.ours):>10}   {self.ratio}"


HEADER = f"{'':<64} {'unit':<12} {'other':>10} {'epiattn':>10}   ratio (range)"


def shown(value: float) -> str:
    """Three digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def seconds(function: Callable[[], Any]) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def interleave(functions: Iterable[Callable[[], Any]], repeats: int) -> np.ndarray:
    """Seconds of each function in each repeat, in turns, shape ``(repeats, functions)``, after one warm-up each."""
    functions = list(functions)
    for function in functions:
        function()
    return np.array([[seconds(function) for function in functions] for _ in range(repeats)])


def compare(name: str, other: Callable, ours: Callable, repeats: int, *, n: float = 0, unit: str = "ms") -> Row:
    """Two ways of doing the same: milliseconds, or with ``n`` things done in a call, those per second."""
    times = interleave([other, ours], repeats)
    ratio = times[:, 0] / times[:, 1]
    each = n / times if n else 1000 * times
    return Row(name, unit, np.median(each[:, 1]), np.median(each[:, 0]), spread(ratio))


def spread(ratio: np.ndarray) -> str:
    """Median and range."""
    return f"{np.median(ratio):.1f} x  ({ratio.min():.1f} to {ratio.max():.1f})"


def memory_now(what: str) -> float:
    """Memory of this process in GB: ``VmRSS`` now, ``VmHWM`` at most.

    A child's ``ru_maxrss`` would not do on Linux: it starts at its parent's.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith(what))
        return int(line.split()[1]) * 1024 / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def python(code: str) -> None:
    """Run code in a fresh process."""
    subprocess.run([sys.executable, "-c", code], check=True)


def machine() -> str:
    """What it runs on."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        cpu = names[0] if names else cpu
    versions = f"Python {platform.python_version()}, torch {torch.__version__}, scvi-tools {scvi.__version__}"
    return f"{cpu}, {os.cpu_count()} cores; {versions}; {torch.get_num_threads()} torch thread(s); {load()}"


def load() -> str:
    """Load of the machine in the last minute."""
    return f"load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""

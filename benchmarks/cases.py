"""What the benchmarks run on: data sets, with a model of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import mudata
import naive
import numpy as np
import scvi
from mudata import MuData
from scipy import sparse

import epiattn as attn

MODEL = {"reconstruction": 0.0}  # model="kang2020"
N_TFS, N_SLOTS = 1_016, 436  # of the paper

DENSE = "all 1,016 TFs bound"
BOUND = "5 % of 1,016 TFs bound"
SIMULATED = "simulated"
DATA = "data file"


@dataclass
class Options:
    """How long to measure, and on what."""

    repeats: int = 5
    quick: bool = False
    data: Path | None = None
    threads: int = 1
    cases: dict[str, Case] = field(default_factory=dict)

    def case(self, name: str) -> Case:
        """Data set and model by name, made once."""
        if name not in self.cases:
            self.cases[name] = Case(name, CASES[name](self))
        return self.cases[name]

    def size(self, full: int, quick: int) -> int:
        """A size, smaller in a smoke run."""
        return quick if self.quick else full

    @property
    def last(self) -> str:
        """The data file, or simulated data in its place."""
        return DATA if self.data else SIMULATED

    @property
    def steps(self) -> list[str]:
        """Cases on which training steps are timed."""
        return [DENSE, BOUND, *([DATA] if self.data else [])]


def with_tfs(mdata: MuData, share: float) -> MuData:
    """Bind a share of the TFs at every gene, with values in all channels."""
    rng = np.random.default_rng(0)
    shape = mdata["tf"].shape
    bound = rng.random(shape) < share
    for name in ("binding", "expression", "mode"):
        values = rng.choice([-1.0, 1.0], shape) if name == "mode" else rng.uniform(0.4, 1, shape)
        mdata["tf"].layers[name] = sparse.csr_matrix(np.where(bound, values, 0).astype(np.float32))
    return mdata


def paper_sized(options: Options, share: float) -> MuData:
    """7 marks x 40 bins, up to 436 CpGs and 1,016 TFs."""
    n_genes = options.size(512, 64)
    mdata = attn.datasets.simulate(n_genes=n_genes, cell_types=1, max_cpgs=N_SLOTS, n_tfs=N_TFS)
    return attn.pp.split(with_tfs(mdata, share))


def h1_like(n_genes: int) -> MuData:
    """Genes with few CpGs and a few of 1,213 TFs, as in a cell line with RRBS and regulons."""
    mdata = attn.datasets.simulate(n_genes=n_genes, cell_types=1, max_cpgs=16, n_tfs=1_213)
    return attn.pp.split(with_tfs(mdata, 0.018))


CASES: dict[str, Callable[[Options], MuData]] = {
    DENSE: lambda options: paper_sized(options, 1.0),
    BOUND: lambda options: paper_sized(options, 0.05),
    SIMULATED: lambda options: h1_like(options.size(4_000, 300)),
    DATA: lambda options: attn.pp.split(mudata.read_h5mu(options.data)),
}


class Case:
    """A data set, a model of it, and its inputs as both sides read them."""

    def __init__(self, name: str, mdata: MuData) -> None:
        self.name, self.mdata = name, mdata
        attn.models.Kang2020.setup_mudata(mdata)
        self.model = self.new_model()
        self.dataset = self.model._dataset(mdata, target=self.model.get_target())
        split = mdata.obs["split"].to_numpy(dtype=object)
        self.train, self.validation = (np.flatnonzero(split == part) for part in ("train", "validation"))
        self.all = np.arange(mdata.n_obs)
        self.model.module.scaling.fit(self.dataset.stores, self.train)

    def new_model(self) -> attn.models.Kang2020:
        """A model of Kang et al. 2020, not trained."""
        return attn.models.Kang2020(self.mdata, **MODEL)

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        """Dense inputs of the naive network."""
        return naive.dense_arrays(self.model)


def quieten() -> None:
    """No progress bars, no remarks."""
    attn.settings.verbosity = "warning"
    scvi.settings.verbosity = 40

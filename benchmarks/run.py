"""Speed of epiattn beside plain implementations of the same mathematics, in one table.

    python benchmarks/run.py                     # about a quarter of an hour on two quiet cores
    python benchmarks/run.py --data data.h5mu    # with your own data as well
    python benchmarks/run.py --only loader tf    # some of them
    python benchmarks/run.py --quick             # does it run? Says nothing about speed

The two sides of a comparison take turns (A B A B …), so that other work on the machine slows both; shown are medians,
and the median of the ratios of neighbours with its range. All networks are those of ``model="kang2020"``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import mudata
import naive
import numpy as np
import scvi
import torch
from cases import BOUND, DENSE, MODEL, N_SLOTS, N_TFS, SIMULATED, Case, Options, h1_like, quieten
from measure import HEADER, Row, compare, interleave, load, machine, memory_now, python, seconds, spread
from mudata import MuData
from torch import Tensor, nn

import epiattn as attn
from epiattn.models._loader import make_loader

BATCH_SIZES = (16, 32, 64, 128, 256)


# --- parts of the network ---------------------------------------------------------------------------------------------


def methylation_rnn(options: Options) -> list[Row]:
    """Packed BiLSTM and attention against two LSTMs on flipped lists, in groups of similar length."""
    return [_rnn_row(batch_size, options) for batch_size in (16, 64)]


def _rnn_row(batch_size: int, options: Options) -> Row:
    torch.manual_seed(0)
    n_cpg = torch.randint(1, N_SLOTS + 1, (batch_size,))
    n_cpg[0] = N_SLOTS
    x, mask = torch.rand(batch_size, N_SLOTS, 2), torch.arange(N_SLOTS) < n_cpg[:, None]
    packed, ours = naive.Methylation(), attn.nn.MethylationRNN()
    name = f"methylation branch: packed; batch {batch_size}, up to {N_SLOTS} CpGs"
    return compare(
        name, lambda: packed(x, n_cpg).sum().backward(), lambda: ours(x, mask)[0].sum().backward(), options.repeats
    )


def tf_attention(options: Options) -> list[Row]:
    """T x T attention against attention at its true rank, and over the bound TFs only."""
    return [_tf_row(share, options) for share in (1.0, 0.05)]


def _tf_row(share: float, options: Options) -> Row:
    torch.manual_seed(0)
    x = torch.rand(16, N_TFS, 3) * (torch.rand(16, N_TFS, 1) < share)
    dense, ours = naive.TranscriptionFactors(N_TFS), attn.nn.TFSelfAttention(N_TFS)
    name = f"TF self-attention: T x T; batch 16, {N_TFS:,} TFs, {share:.0%} bound"
    return compare(name, lambda: dense(x).sum().backward(), lambda: ours(x)[0].sum().backward(), options.repeats)


# --- loader -----------------------------------------------------------------------------------------------------------


def loader(options: Options) -> list[Row]:
    """scvi-tools' loader, which slices key by key, against epiattn's."""
    return [_loader_row(name, options) for name in (DENSE, BOUND, options.last)]


def _loader_row(name: str, options: Options) -> Row:
    case = options.case(name)
    rows = case.all[: 64 * 32]
    manager = case.model.get_anndata_manager(case.mdata, required=True)
    other = scvi.dataloaders.AnnDataLoader(manager, indices=rows, batch_size=64, shuffle=True)
    ours = make_loader(case.dataset, rows, 64, shuffle=True)
    title = f"loader: scvi-tools'; batches of 64; {name}"
    return compare(
        title, lambda: exhaust(other), lambda: exhaust(ours), options.repeats, n=len(other), unit="batches/s"
    )


def exhaust(batches: Iterable) -> None:
    """Cut all batches."""
    for _ in batches:
        pass


# --- training ---------------------------------------------------------------------------------------------------------


def naive_pass(case: Case, batch_size: int, n_genes: int) -> Callable[[], None]:
    """Training steps of the naive network."""
    arrays = {key: array[:n_genes] for key, array in case.arrays.items()}
    network = naive.naive_network(case.model)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)

    def run() -> None:
        for batch in naive.loader(arrays, batch_size):
            naive.step(network, optimizer, batch)

    return run


def our_pass(case: Case, batch_size: int, n_genes: int) -> Callable[[], None]:
    """Training steps of epiattn's network, with its loader, optimiser and schedule."""
    module = case.new_model().module.train()
    batches = make_loader(case.dataset, case.all[:n_genes], batch_size, shuffle=True)
    optimizer = torch.optim.AdamW(module.parameters(), 1e-2, weight_decay=0.3, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=100_000)

    def run() -> None:
        for batch in batches:
            our_step(module, optimizer, schedule, batch)

    return run


def our_step(module: nn.Module, optimizer: Any, schedule: Any, batch: dict[str, Any]) -> Tensor:
    """One step of a bare loop."""
    optimizer.zero_grad()
    loss = module(batch)[2].loss
    loss.backward()
    optimizer.step()
    schedule.step()
    return loss.detach()


def step(options: Options) -> list[Row]:
    """The whole training step: naive against epiattn, at batch 16 and each at its best batch size."""
    return [row for name in options.steps for row in _step_rows(options.case(name), options)]


def _step_rows(case: Case, options: Options) -> list[Row]:
    n_genes = min(256, len(case.all))
    sizes = [size for size in BATCH_SIZES if size <= n_genes][: options.size(9, 2)]
    best = [_best_size(make, case, sizes, n_genes) for make in (naive_pass, our_pass)]
    used = [(naive_pass, 16), (our_pass, 16), (naive_pass, best[0]), (our_pass, best[1])]
    rates = n_genes / interleave([make(case, size, n_genes) for make, size in used], options.repeats)
    return [
        _rate_row(f"training step: naive; batch 16; {case.name}", rates[:, 0], rates[:, 1]),
        _rate_row(f"training step: naive; batch {best[0]}, ours {best[1]}; {case.name}", rates[:, 2], rates[:, 3]),
    ]


def _best_size(make: Callable[..., Callable[[], None]], case: Case, sizes: list[int], n_genes: int) -> int:
    """The batch size with the fastest pass."""
    make(case, sizes[0], 2 * sizes[0])()
    return min(sizes, key=lambda size: seconds(make(case, size, n_genes)))


def _rate_row(name: str, other: np.ndarray, ours: np.ndarray) -> Row:
    return Row(name, "genes/s", np.median(ours), np.median(other), spread(ours / other))


def overhead(options: Options) -> list[Row]:
    """``model.train`` against a bare loop: the whole call, and its epochs alone, in CPU seconds."""
    case = options.case(options.last)
    n_epochs = options.size(5 if options.data else 15, 2)
    clock = EpochClock()
    epochs, whole, bare = [], [], []
    bare_loop(case, 1)
    for _ in range(options.repeats):
        bare.append(bare_loop(case, n_epochs))
        model = case.new_model()
        start = time.process_time()
        train(model, n_epochs, clock)
        whole.append(time.process_time() - start)
        epochs.append(sum(clock.seconds))
    name = f"model.train, {n_epochs} epochs of {len(case.train):,} genes: bare loop"
    return [_overhead_row(f"{name}; {part}", bare, ours) for part, ours in (("epochs", epochs), ("whole call", whole))]


def _overhead_row(name: str, bare: list[float], ours: list[float]) -> Row:
    percent = 100 * (np.array(ours) / np.array(bare) - 1)
    ratio = f"{np.median(percent):+.1f} %  ({percent.min():+.1f} to {percent.max():+.1f})"
    return Row(name, "CPU s", np.median(ours), np.median(bare), ratio)


def bare_loop(case: Case, n_epochs: int, batch_size: int = 64) -> float:
    """Seconds of a loop with the same module, batches, optimiser, schedule and validation as ``model.train``."""
    module = case.new_model().module
    module.scaling.load_state_dict(case.model.module.scaling.state_dict())
    batches = make_loader(case.dataset, case.train, batch_size, shuffle=True)
    validation = make_loader(case.dataset, case.validation, 512)
    start = time.process_time()
    optimizer = torch.optim.AdamW(module.parameters(), 1e-2, weight_decay=0.3, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=n_epochs * len(batches))
    for _ in range(n_epochs):
        module.train()
        for batch in batches:
            our_step(module, optimizer, schedule, batch)
        module.eval()
        with torch.no_grad():
            for batch in validation:
                module(batch)
    return time.process_time() - start


class EpochClock(pl.Callback):
    """Seconds of each epoch of the last training, validation included."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_start(self, *_: Any) -> None:
        self.seconds = []
        self._start = time.process_time()

    def on_train_epoch_end(self, *_: Any) -> None:
        now = time.process_time()
        self.seconds.append(now - self._start)
        self._start = now


def train(model: attn.models.Kang2020, n_epochs: int, clock: EpochClock | None = None) -> None:
    """Train without stopping early."""
    model.train(n_epochs, early_stopping=False, accelerator="cpu", callbacks=[clock] if clock else [])


def scaling(options: Options) -> list[Row]:
    """Time of an epoch against the number of genes."""
    sizes = [100, 200, 400] if options.quick else [1_000, 4_000, 16_000, 64_000]
    models = {size: _simulated_model(size) for size in sizes}
    clock = EpochClock()
    times = np.array([[_epoch(models[size], clock) for size in sizes] for _ in range(min(options.repeats, 3))])
    medians = np.median(times, axis=0)
    exponents = [np.polyfit(np.log(sizes), np.log(each), 1)[0] for each in times]
    rows = [
        Row(f"an epoch of model.train, per gene; {n:,} genes", "µs", 1e6 * t / n)
        for n, t in zip(sizes, medians, strict=True)
    ]
    exponent = np.polyfit(np.log(sizes), np.log(medians), 1)[0]
    shown_range = f"{min(exponents):.3f} to {max(exponents):.3f}"
    return [*rows, Row("exponent of an epoch's time in the number of genes", "", exponent, ratio=shown_range)]


def _simulated_model(n_genes: int) -> attn.models.Kang2020:
    mdata = attn.pp.split(attn.datasets.simulate(n_genes=n_genes, cell_types=1))
    return Case(SIMULATED, mdata).model


def _epoch(model: attn.models.Kang2020, clock: EpochClock) -> float:
    """The second epoch: the first one warms up."""
    train(model, 2, clock)
    return clock.seconds[-1]


def parts(options: Options) -> list[Row]:
    """Where the time of a step goes: each part alone, forward and backward."""
    return [row for name in (DENSE, BOUND, options.last) for row in _part_rows(options.case(name), options)]


def _part_rows(case: Case, options: Options) -> list[Row]:
    rows = case.all[:64]
    module = case.new_model().module.train()
    network, batch = module.network, case.dataset[rows]
    scaled = {name: module.scaling(name, batch[name]) for name in module.scaling.modalities}
    optimizer = torch.optim.AdamW(module.parameters(), 1e-3, fused=True)
    module(batch)[2].loss.backward()
    contexts = {name: torch.rand(64, encoder.n_context) for name, encoder in network.encoders.items()}

    def encode(name: str) -> None:
        network.encoders[name](scaled[name].values, scaled[name].mask)[0].sum().backward()

    functions = {
        "all": our_pass(case, 64, 64),
        "loader": lambda: case.dataset[rows],
        "scaling": lambda: [module.scaling(name, batch[name]) for name in scaled],
        **{name: lambda name=name: encode(name) for name in network.encoders},
        "fusion and head": lambda: network.head(network.fusion(contexts, {})[0]).sum().backward(),
        "optimiser": optimizer.step,
    }
    times = np.median(interleave(functions.values(), options.repeats), axis=0)
    return [
        Row(f"a step of 64 genes: {name}; {case.name}", "ms", 1000 * t)
        for name, t in zip(functions, times, strict=True)
    ]


# --- the whole object -------------------------------------------------------------------------------------------------


def predict(options: Options) -> list[Row]:
    """Predictions, embeddings and all attention of an object."""
    case = options.case(options.last)
    case.model.is_trained_ = True
    times = interleave([case.model.run], options.repeats)[:, 0]
    title = f"predict and attention, {len(case.all):,} genes; {case.name}"
    return [
        Row(title, "s", np.median(times)),
        Row(title, "genes/s", len(case.all) / np.median(times)),
    ]


def memory(options: Options) -> list[Row]:
    """Peak memory of reading the data and training, in fresh processes, above the imports."""
    data = [str(options.data)] if options.data else ["--simulated", str(options.size(4_000, 300))]
    repeats = range(min(options.repeats, 3))
    naive_fit, ours = np.array([[float(fresh(side, *data)) for side in MEASURED] for _ in repeats]).T
    name = f"peak memory above the imports: naive, tl.fit; {options.last}"
    return [Row(name, "GB", np.median(ours), np.median(naive_fit), spread(naive_fit / ours))]


def measure_naive(mdata: MuData) -> None:
    """In the fresh process: dense arrays, and some steps of 16 genes (more would take no more memory)."""
    attn.models.Kang2020.setup_mudata(mdata)
    model = attn.models.Kang2020(mdata, **MODEL)
    network = naive.naive_network(model)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    for _, batch in zip(range(5), naive.loader(naive.dense_arrays(model)), strict=False):
        naive.step(network, optimizer, batch)


def measure_fit(mdata: MuData) -> None:
    """In the fresh process: ``tl.fit``."""
    attn.tl.fit(mdata, model="kang2020", max_epochs=3)


MEASURED = {"--measure-naive": measure_naive, "--measure-fit": measure_fit}


def measure(side: str, arguments: list[str]) -> float:
    """In the fresh process: gigabytes that one side takes."""
    quieten()
    torch.set_num_threads(1)
    _ = attn.models, attn.tl
    before = memory_now("VmRSS")
    simulated = arguments[0] == "--simulated"
    MEASURED[side](h1_like(int(arguments[1])) if simulated else mudata.read_h5mu(arguments[0]))
    return memory_now("VmHWM") - before


def imports(options: Options) -> list[Row]:
    """Time of imports in fresh processes, less that of Python itself."""
    codes = {
        "import epiattn": "import epiattn",
        "import epiattn and all of its parts (torch, scvi-tools, scanpy)": "import epiattn as a; a.tl, a.models, a.pl",
    }
    rows = []
    for name, code in codes.items():
        times = interleave([lambda: python("pass"), lambda code=code: python(code)], options.repeats)
        rows.append(Row(name, "s", np.median(times[:, 1] - times[:, 0])))
    return rows


def fresh(*arguments: str) -> str:
    """Run this file in a fresh process; its last line."""
    command = [sys.executable, __file__, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]


# --- the run ----------------------------------------------------------------------------------------------------------


BENCHMARKS: dict[str, Callable[[Options], list[Row]]] = {
    "rnn": methylation_rnn,
    "tf": tf_attention,
    "loader": loader,
    "step": step,
    "parts": parts,
    "overhead": overhead,
    "predict": predict,
    "memory": memory,
    "scaling": scaling,
    "imports": imports,
}


def main() -> None:
    """Run and print."""
    if sys.argv[1:] and sys.argv[1] in MEASURED:
        print(measure(sys.argv[1], sys.argv[2:]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS), metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, one repeat")
    parser.add_argument("--data", type=Path, help="a .h5mu file with histone, methylation and tf")
    parser.add_argument("--threads", type=int, default=1, help="threads of PyTorch, on both sides")
    chosen = parser.parse_args()
    options = Options(1 if chosen.quick else chosen.repeats, chosen.quick, chosen.data, chosen.threads)

    quieten()
    torch.set_num_threads(options.threads)
    print(machine(), flush=True)
    print(HEADER)
    for name in chosen.only:
        for row in BENCHMARKS[name](options):
            print(row, flush=True)
    print(f"At the end: {load()}")


if __name__ == "__main__":
    main()

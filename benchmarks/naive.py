"""The multi-attention network of Kang et al. 2020, written down as the paper describes it and without any shortcut.

The yardstick of ``run.py``: one 2-D convolution, packed LSTMs, T x T attention over all TFs, and a data set that
reads one gene at a time. It is the same mathematics as ``epiattn.models.Kang2020(reconstruction=0)``, which

    python benchmarks/naive.py

shows: with the same weights, scores, loss and gradients agree to 1e-9 in double precision.
"""

from __future__ import annotations

import copy
import sys
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.utils.data import DataLoader, Dataset

if TYPE_CHECKING:
    from epiattn.models import Kang2020

TOLERANCE = 1e-9
ZERO = 1e-9  # gradients below this are those that cancel: of the keys' bias, and of a bias before batch normalisation


# --- the network ------------------------------------------------------------------------------------------------------


class Attention(nn.Module):
    """Additive attention; padding gets no weight."""

    def __init__(self, n_features: int, n_hidden: int = 16) -> None:
        super().__init__()
        self.hidden = nn.Linear(n_features, n_hidden)
        self.score = nn.Linear(n_hidden, 1)

    def forward(self, states: Tensor, mask: Tensor | None = None) -> Tensor:
        logits = self.score(torch.tanh(self.hidden(states))).squeeze(2)
        if mask is not None:
            logits = logits.masked_fill(~mask, -torch.inf)
        return (logits.softmax(1).unsqueeze(2) * states).sum(1)


class Histone(nn.Module):
    """2-D convolution over all marks, batch normalisation, ReLU, max-pooling, BiLSTM, attention."""

    def __init__(self, n_marks: int, n_kernels: int = 20, width: int = 7, n_hidden: int = 40) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, n_kernels, (n_marks, width))
        self.norm = nn.BatchNorm2d(n_kernels)
        self.pool = nn.MaxPool1d(3, stride=3, padding=1)
        self.rnn = nn.LSTM(n_kernels, n_hidden, batch_first=True, bidirectional=True)
        self.attention = Attention(2 * n_hidden)

    def forward(self, x: Tensor) -> Tensor:
        features = torch.relu(self.norm(self.convolution(x.unsqueeze(1)))).squeeze(2)
        states, _ = self.rnn(self.pool(features).transpose(1, 2))
        return self.attention(states)


class Methylation(nn.Module):
    """BiLSTM over packed lists of CpGs, attention; a learned vector where there is no CpG."""

    def __init__(self, n_channels: int = 2, n_hidden: int = 10) -> None:
        super().__init__()
        self.rnn = nn.LSTM(n_channels, n_hidden, batch_first=True, bidirectional=True)
        self.attention = Attention(2 * n_hidden)
        self.missing = nn.Parameter(torch.zeros(2 * n_hidden))

    def forward(self, x: Tensor, n_cpg: Tensor) -> Tensor:
        lengths = n_cpg.clamp(min=1)  # nothing can be packed that has no length; replaced below
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.rnn(packed)[0], batch_first=True, total_length=x.shape[1])
        context = self.attention(states, torch.arange(x.shape[1]) < lengths.unsqueeze(1))
        return torch.where(n_cpg.unsqueeze(1) > 0, context, self.missing)


class TranscriptionFactors(nn.Module):
    """Self-attention over all TFs, flattened, normalised and reduced."""

    def __init__(self, n_tfs: int, n_channels: int = 3, n_hidden: int = 30, n_context: int = 5) -> None:
        super().__init__()
        self.query = nn.Linear(n_channels, n_hidden)
        self.key = nn.Linear(n_channels, n_hidden)
        self.norm = nn.BatchNorm1d(n_tfs * n_channels)
        self.reduce = nn.Linear(n_tfs * n_channels, n_context)

    def attend(self, x: Tensor) -> Tensor:
        weights = torch.bmm(self.query(x), self.key(x).transpose(1, 2)).softmax(2)
        return torch.bmm(weights, x)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.reduce(self.norm(self.attend(x).flatten(1))))


class Fusion(nn.Module):
    """K attentions over all features; feature d of head k is multiplied by weight d of head k."""

    def __init__(self, sizes: list[int], n_heads: int = 10) -> None:
        super().__init__()
        self.sizes, self.n_heads = sizes, n_heads
        self.attention = nn.Linear(sum(sizes), n_heads * sum(sizes))
        self.reduce = nn.ModuleList(nn.Linear(n_heads * size, size) for size in sizes)

    def forward(self, contexts: list[Tensor]) -> Tensor:
        h = torch.cat(contexts, 1)
        weights = self.attention(h).view(len(h), self.n_heads, -1).softmax(2)
        parts = (weights * h.unsqueeze(1)).split(self.sizes, 2)
        return torch.cat([reduce(part.flatten(1)) for reduce, part in zip(self.reduce, parts, strict=True)], 1)


class Network(nn.Module):
    """The three encoders, the fusion and the head."""

    def __init__(self, n_marks: int, n_tfs: int) -> None:
        super().__init__()
        self.histone = Histone(n_marks)
        self.methylation = Methylation()
        self.tf = TranscriptionFactors(n_tfs)
        self.fusion = Fusion([80, 20, 5])
        self.head = nn.Sequential(nn.Linear(105, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        contexts = [
            self.histone(batch["histone"]),
            self.methylation(batch["methylation"], batch["n_cpg"]),
            self.tf(batch["tf"]),
        ]
        return self.head(self.fusion(contexts)).squeeze(1)


# --- data and training ------------------------------------------------------------------------------------------------


class Genes(Dataset):
    """One gene at a time, key by key, from dense arrays."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self.arrays = arrays

    def __len__(self) -> int:
        return len(self.arrays["target"])

    def __getitem__(self, gene: int) -> dict[str, Tensor]:
        return {key: torch.as_tensor(array[gene]) for key, array in self.arrays.items()}


def loader(arrays: dict[str, np.ndarray], batch_size: int = 16) -> DataLoader:
    """PyTorch's own sampler and collate function."""
    return DataLoader(Genes(arrays), batch_size=batch_size, shuffle=True)


def step(network: Network, optimizer: torch.optim.Optimizer, batch: dict[str, Tensor]) -> None:
    """One training step."""
    optimizer.zero_grad()
    loss = nn.functional.binary_cross_entropy_with_logits(network(batch), batch["target"])
    loss.backward()
    optimizer.step()


def dense_arrays(model: Kang2020, dtype: type = np.float32) -> dict[str, np.ndarray]:
    """The inputs of a model as dense arrays, scaled once and for all as the model would scale them."""
    mdata, scaling = model.adata, model.module.scaling

    def stack(modality: str, axis: int) -> np.ndarray:
        layers = [mdata[modality].layers[name] for name in model.channels[modality]]
        return np.stack([each.toarray() if sparse.issparse(each) else each for each in layers], axis).astype(dtype)

    scale = {name: getattr(scaling, f"scale_{name}").numpy().astype(dtype) for name in model.channels}
    n_cpg = mdata["methylation"].obs["n_cpg"].to_numpy(np.int64)
    methylation = stack("methylation", -1) / scale["methylation"]
    methylation[np.arange(methylation.shape[1]) >= n_cpg[:, None]] = 0
    return {
        "histone": np.log1p(stack("histone", 1)) / scale["histone"][:, None],
        "methylation": methylation,
        "n_cpg": n_cpg,
        "tf": stack("tf", -1) / scale["tf"],
        "target": np.asarray(model.get_target(), dtype),
    }


# --- the same mathematics ---------------------------------------------------------------------------------------------


def naive_network(model: Kang2020) -> Network:
    """A naive network of the size of a model, with the model's weights."""
    network = Network(len(model.channels["histone"]), model.n_positions("tf"))
    network = network.to(next(model.module.parameters()).dtype)
    network.load_state_dict(mapped(model.module.network.state_dict()))
    return network


def mapped(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights (or gradients) of epiattn's network by the names and in the shapes that they have in the naive one."""
    modalities = ("histone", "methylation", "tf")
    renamed = {_rename(name, modalities): value for name, value in state.items()}
    if (kernels := "histone.convolution.weight") in renamed:
        renamed[kernels] = renamed[kernels].unsqueeze(1)
    # A network in which every gene has marks and TFs never uses what it learned for missing ones.
    return {name: value for name, value in renamed.items() if name not in ("histone.missing", "tf.missing")}


def _rename(name: str, modalities: tuple[str, ...]) -> str:
    part, _, rest = name.partition(".")
    if part == "encoders":
        return _rename_rnn(rest)
    if part == "missing":
        return f"{rest}.missing"
    if part == "fusion" and rest.startswith("reduce."):
        _, modality, parameter = rest.split(".")
        return f"fusion.reduce.{modalities.index(modality)}.{parameter}"
    # The head: epiattn has a dropout (of 0) between the ReLU and the last layer.
    return name.replace("head.layers.3", "head.2").replace("head.layers.0", "head.0")


def _rename_rnn(name: str) -> str:
    """Two LSTMs are the two directions of one."""
    if ".rnn.back." in name:
        return name.replace(".rnn.back.", ".rnn.") + "_reverse"
    return name.replace(".rnn.ahead.", ".rnn.")


def differences(model: Kang2020, n_genes: int = 48) -> dict[str, float]:
    """Largest relative differences of scores, loss and gradients: one batch, training mode, double precision."""
    theirs = copy.deepcopy(model.module).double().train()
    _randomise_missing(theirs)
    ours = Network(len(model.channels["histone"]), model.n_positions("tf")).double().train()
    ours.load_state_dict(mapped(theirs.network.state_dict()))

    rows = np.arange(n_genes)
    batch = model._dataset(model.adata, target=model.get_target())[rows]
    batch = {
        name: part.double() if isinstance(part, Tensor) else part._replace(values=part.values.double())
        for name, part in batch.items()
    }
    _, outputs, losses = theirs(batch)
    losses.loss.backward()

    arrays = {key: array[rows] for key, array in dense_arrays(model, np.float64).items()}
    scores = ours({key: torch.from_numpy(array) for key, array in arrays.items()})
    loss = nn.functional.binary_cross_entropy_with_logits(scores, torch.from_numpy(arrays["target"]))
    loss.backward()
    # The bias of the keys cancels in the softmax: epiattn leaves it out (no gradient), here its gradient is 0.
    named = theirs.network.named_parameters()
    gradients = mapped({name: torch.zeros_like(w) if w.grad is None else w.grad for name, w in named})
    found = {name: weight.grad for name, weight in ours.named_parameters()}
    assert found.keys() == gradients.keys()
    return {
        "scores": _largest(outputs["score"], scores),
        "loss": _largest(losses.loss, loss),
        **{f"gradient of {name}": _largest(gradients[name], found[name]) for name in found},
        "running means": _largest(
            theirs.network.encoders["tf"].norm.running_mean,
            ours.tf.norm.running_mean,
        ),
    }


def _randomise_missing(module: nn.Module) -> None:
    """The vectors for missing modalities start at zero; other values show more."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for vector in module.network.missing.values():
            vector.copy_(torch.randn(vector.shape, generator=generator))


def _largest(a: Tensor, b: Tensor) -> float:
    """Largest difference, relative to the largest value (gradients are small: 1e-9 of what would say nothing)."""
    a, b = a.detach(), b.detach()
    return float((a - b).abs().max() / a.abs().max().clamp(min=ZERO))


def main() -> None:
    """Compare the two on simulated genes, some of them without CpGs."""
    import epiattn as attn

    attn.settings.verbosity = "warning"
    torch.manual_seed(0)
    mdata = attn.datasets.simulate(n_genes=300, cell_types=1)
    attn.models.Kang2020.setup_mudata(mdata)
    model = attn.models.Kang2020(mdata, reconstruction=0)
    model.module.scaling.fit(model._dataset(mdata).stack(), np.arange(mdata.n_obs))
    n_without = int((mdata["methylation"].obs["n_cpg"][:48] == 0).sum())
    print(f"48 genes, {n_without} of them without CpGs; largest relative differences in double precision:")
    found = differences(model)
    for name, difference in found.items():
        print(f"  {difference:.1e}  {name}")
    if not n_without or not max(found.values()) <= TOLERANCE:
        sys.exit(f"The two differ by more than {TOLERANCE}, or no gene lacks CpGs.")


if __name__ == "__main__":
    main()

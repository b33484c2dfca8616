"""What the errors of the published code change: what docs/user_guide/kang2020.md shows.

    python benchmarks/published.py              # 16 trainings on simulated data
    python benchmarks/published.py data.h5mu

Both errors are put back into the corrected network, one by one and together, and everything else stays as it is.
"""

from __future__ import annotations

import argparse
import warnings

import mudata
import numpy as np
import torch
from scipy.stats import spearmanr

import epiattn as attn

N_SLOTS = 436  # CpG slots of the published input
COUNTS = (20, 50, 100)


class PaddedRNN(attn.nn.MethylationRNN):
    """The logit of an empty slot is multiplied by 0, so that it keeps exp(0) of the softmax."""

    def _embed(self, x, mask, lengths):
        longest = max(int(lengths.max()), 1)
        states = self.rnn(x[:, :longest], lengths)
        logits = self.attention.score(torch.tanh(self.attention.hidden(states))).squeeze(-1)
        weights = (logits.exp() * mask[:, :longest]).clamp(max=1e6)
        weights = weights / (weights.sum(1) + N_SLOTS - lengths)[:, None]  # states of empty slots are 0
        context = (weights[:, None] @ states).squeeze(1)
        return context, torch.nn.functional.pad(weights, (0, x.shape[1] - longest))


class MispairedFusion(attn.nn.MultiAttentionFusion):
    """Weights lie head by head, features modality by modality, when they are multiplied."""

    def forward(self, contexts, present):
        repeated = [contexts[name].repeat(1, self.n_heads) for name in self.sizes]
        weights = self._weigh(torch.cat([contexts[name] for name in self.sizes], dim=1))
        product = weights.flatten(1) * torch.cat(repeated, dim=1)
        parts = product.split([self.n_heads * size for size in self.sizes.values()], dim=1)
        z = [self.reduce[name](part) for name, part in zip(self.sizes, parts, strict=True)]
        return torch.cat(z, dim=1), self._relative(weights).mean(1)


class WithErrors(attn.models.Kang2020):
    """The published network with its errors."""

    def __init__(self, mdata=None, registry=None, *, padding=False, pairing=False, target="label", loss=None):
        super().__init__(mdata, registry, target=target, loss=loss)
        network = self.module.network
        if padding:
            network.encoders["methylation"] = PaddedRNN(network.encoders["methylation"].rnn.ahead.input_size)
        if pairing:
            network.fusion = MispairedFusion(network.fusion.sizes)
        self.init_params_ = self._get_init_params(locals())


def main() -> None:
    """Print what is measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", help="a .h5mu file; simulated, if not given")
    parser.add_argument("--genes", type=int, default=1_000)
    parser.add_argument("--epochs", type=int, default=20)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    attn.settings.verbosity = "error"
    mdata = mudata.read_h5mu(arguments.data) if arguments.data else simulated(arguments.genes)
    print(f"products that pair a feature with its own weight: {share_paired({'h': 80, 'm': 20, 't': 5}, 10):.1%}")
    print_padding(mdata, arguments.epochs)
    print_accuracy(mdata, arguments.epochs)


def simulated(n_genes: int) -> mudata.MuData:
    """One cell type, with up to 120 CpGs at a gene."""
    return attn.datasets.simulate(n_genes=n_genes, cell_types=1, max_cpgs=120, n_tfs=50, seed=0)


def share_paired(sizes: dict[str, int], n_heads: int) -> float:
    """Share of the products in which weight and feature are of the same feature and the same head."""
    n = sum(sizes.values())
    weights = [(head, feature) for head in range(n_heads) for feature in range(n)]
    first = np.cumsum([0, *sizes.values()])
    features = [
        (head, int(first[i] + j))
        for i, size in enumerate(sizes.values())
        for head in range(n_heads)
        for j in range(size)
    ]
    return float(np.mean([a[1] == b[1] for a, b in zip(weights, features, strict=True)]))


def print_padding(mdata: mudata.MuData, epochs: int) -> None:
    """Where the attention of a trained encoder of CpGs sits, and what the size of its context tells."""
    n_cpg = mdata["methylation"].obs["n_cpg"].to_numpy()
    fitted = {
        padding: attn.tl.fit(mdata, model="with_errors", padding=padding, max_epochs=epochs, copy=True)
        for padding in (True, False)
    }
    on_padding = 1 - np.asarray(fitted[True]["methylation"].layers["attn_attention"].sum(1)).ravel()
    for n in COUNTS:
        near = np.abs(n_cpg - n) <= 0.1 * n
        trained = f"{on_padding[near].mean():.0%} after training ({near.sum()} genes)" if near.any() else "no such gene"
        print(f"attention on padding at {n} CpGs of {N_SLOTS}: {1 - n / N_SLOTS:.0%} if uniform, {trained}")
    for padding, each in fitted.items():
        size = np.linalg.norm(each.obsm["X_attn_methylation"], axis=1)
        rho = spearmanr(size[n_cpg > 0], n_cpg[n_cpg > 0]).statistic
        print(f"rank correlation of CpG count and length of the context, padding error {padding}: {rho:.2f}")


def print_accuracy(mdata: mudata.MuData, epochs: int) -> None:
    """AUC on the same folds, and how much it differs from that of the corrected network."""
    names = {
        "with_errors": {},
        "padding_error": {"padding": True},
        "pairing_error": {"pairing": True},
        "both_errors": {"padding": True, "pairing": True},
    }
    for name in list(names)[1:]:
        attn.register("model", name, WithErrors)
    models = {name: {**options, "max_epochs": epochs} for name, options in names.items()}
    attn.tl.benchmark(mdata, models=models, n_folds=4, n_jobs=1)
    scores = mdata.obsm["benchmark_scores"]
    auc, high = attn.metrics.roc_auc, (mdata.obs["label"] == "high").to_numpy()
    where = {"groups": mdata.obs["chrom"].astype(str), "fold": mdata.obs["benchmark_fold"].astype(str)}
    for name in names:
        found = attn.metrics.interval(auc, high, scores[name], **where)
        print(f"AUC, {name}: {found.value:.3f} ({found.low:.3f} to {found.high:.3f})")
    for name in list(names)[1:]:
        less = attn.metrics.paired_difference(auc, high, scores[name], score_b=scores["with_errors"], **where)
        print(f"AUC, {name} - corrected: {less.value:+.3f} ({less.low:+.3f} to {less.high:+.3f})")


attn.register("model", "with_errors", WithErrors)

if __name__ == "__main__":
    main()

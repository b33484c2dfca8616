"""What each part of the default model is worth: the model without it, on the same folds, as a table in Markdown.

    python benchmarks/ablation.py data.h5mu --seeds 3 --folder runs    # what docs/user_guide/benchmarks.md shows
    python benchmarks/ablation.py simulated --seeds 1 --variants "hard labels" "concatenation"

Differences are paired, with 95 % intervals over the chromosomes. What is in the folder is not trained again.
"""

from __future__ import annotations

import argparse
import warnings
from typing import Any

import lightning.pytorch as pl
import mudata
import numpy as np
import torch
from evaluation import between, simulated
from torch import Tensor, nn

import epiattn as attn


class ConstantRate(pl.Callback):
    """Every step at one learning rate, whatever the schedule says."""

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def __repr__(self) -> str:  # part of the name under which runs are kept
        return f"ConstantRate({self.rate})"

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Set it."""
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = self.rate


class LastWeights(pl.Callback):
    """Keep the weights of the last epoch, not of the best."""

    def __repr__(self) -> str:
        return "LastWeights()"

    def on_validation_end(self, trainer: pl.Trainer, plan: pl.LightningModule) -> None:
        """Copy them."""
        self._weights = {name: values.clone() for name, values in plan.module.state_dict().items()}

    def on_train_end(self, trainer: pl.Trainer, plan: pl.LightningModule) -> None:
        """Bring them back, after the training has put the best ones in their place."""
        plan.module.load_state_dict(self._weights)


class TFSums(nn.Module):
    """Summary numbers of the TFs of a gene: those of :class:`epiattn.nn.TFAttention`, and nothing of single TFs."""

    def __init__(self, n_tfs: int, n_channels: int, n_hidden: int = 16) -> None:
        super().__init__()
        n_numbers = n_channels + 2
        self.n_tfs, self.n_context = n_tfs, n_numbers + n_hidden
        self.standardize = nn.BatchNorm1d(n_numbers, affine=False)
        self.hidden = nn.Linear(n_numbers, n_hidden)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Numbers, as they are and through a layer; attention is equal."""
        numbers = torch.cat([mask[..., None].to(x.dtype), x, x.prod(-1, keepdim=True)], dim=2)
        sums = (numbers * mask[..., None]).sum(1)
        summary = self.standardize(sums.sign() * sums.abs().log1p())
        context = torch.cat([summary, nn.functional.gelu(self.hidden(summary))], dim=1)
        return context, x.new_full(mask.shape, 1 / self.n_tfs)


#: Options of the model in which something is taken away or put back as published.
VARIANTS = {
    "published encoder of histone marks": {"histone_encoder": "crnn"},
    "one level of signal": {"n_levels": 1},
    "one query": {"n_queries": 1},
    "published fusion": {"fusion": "multi_attention"},
    "concatenation": {"fusion": "concatenation"},
    "published encoder of TFs": {"tf_encoder": "self_attention"},
    "summary numbers of TFs": {"tf_encoder": "sums"},
    "published encoder of CpGs": {"methylation_encoder": "rnn"},
    "hard labels": {"label_noise": 0.0},
    "labels alone, no expression": {"label_noise": 0.0, "expression_weight": 0.0},
    "no mixup": {"mixup": 0.0},
    "no gain noise": {"gain_noise": 0.0},
    "dropout of 0.5 instead of 0.1": {"dropout": 0.5},
    "no weight decay": {"weight_decay": 0.0},
    "a constant learning rate of half the peak": {"callbacks": [ConstantRate(1e-3)]},
    "the last epoch, not calibrated": {"early_stopping": False, "calibrate": False, "callbacks": [LastWeights()]},
    "nothing read back": {"reconstruction": 0.0},
}
_OF_TRAINING = ("channels", "weight_decay", "calibrate", "callbacks", "early_stopping")
#: Modalities that are left out.
WITHOUT = ("tf", "methylation")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="a .h5mu file, or 'simulated'")
    parser.add_argument("--variants", nargs="+", help="all, if not given")
    parser.add_argument("--by", default="chrom")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--folder")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", "From 0.4", FutureWarning)
    attn.register("tf_encoder", "sums", TFSums)
    attn.settings.verbosity = "error"
    mdata = simulated() if arguments.data == "simulated" else mudata.read_h5mu(arguments.data)
    runs = {**VARIANTS, **{f"without {name}": {"channels": _without(mdata, name)} for name in WITHOUT}}
    how = {"by": arguments.by, "n_jobs": arguments.jobs, "folder": arguments.folder}
    whole = Scores(mdata, arguments.seeds, {}, how)
    found = whole.auc()
    print(f"ROC AUC of the model as it is: {between(found.value, found.low, found.high, form='.4f')}.\n")
    print("| | difference of the ROC AUC | calibration error | weights | seconds |\n|---|---|---|---|---|")
    print(f"| as it is | | {whole.ece():.3f} | {whole.n_weights:,} | {whole.seconds:.0f} |")
    for name in arguments.variants or runs:
        one = Scores(mdata, arguments.seeds, runs[name], how)
        found = one.less(whole)
        less = between(found.value, found.low, found.high, form="+.4f")
        print(f"| {name} | {less} | {one.ece():.3f} | {one.n_weights:,} | {one.seconds:.0f} |", flush=True)


class Scores:
    """Out-of-fold scores of the default model with some options, one seed after the other."""

    def __init__(self, mdata: mudata.MuData, n_seeds: int, options: dict, how: dict) -> None:
        scores, runs, seconds = [], [], []
        for seed in range(n_seeds):
            found = attn.tl.cross_validate(mdata, seeds=[seed], copy=True, **how, **options)
            scores.append(found.obs["cv_score"].to_numpy(float))
            runs.append(found.obs["cv_fold"].astype(str).to_numpy() + f"/{seed}")
            seconds.append(found.uns["cv"]["folds"]["seconds"].mean())
        self.by_seed, self.seconds = scores, float(np.mean(seconds))
        self.score, self.run = np.concatenate(scores), np.concatenate(runs)
        high = (mdata.obs["label"] == "high").to_numpy()
        self.high, self.truth = high, np.tile(high, n_seeds)
        self.groups = np.tile(mdata.obs["chrom"].astype(str).to_numpy(), n_seeds)
        self.n_weights = _count_weights(mdata, options)

    def auc(self) -> attn.metrics.Interval:
        """ROC AUC within folds, with its interval."""
        return attn.metrics.interval(attn.metrics.roc_auc, self.truth, self.score, groups=self.groups, fold=self.run)

    def ece(self) -> float:
        """Calibration error of the probabilities of all folds together, the mean over the seeds."""
        return float(np.mean([attn.metrics.ece(self.high, score) for score in self.by_seed]))

    def less(self, other: Scores) -> attn.metrics.PairedDifference:
        """Difference of the ROC AUC."""
        return attn.metrics.paired_difference(
            attn.metrics.roc_auc,
            self.truth,
            self.score,
            score_b=other.score,
            groups=self.groups,
            fold=self.run,
            n_permutations=0,
        )


def _without(mdata: mudata.MuData, name: str) -> dict[str, list[str]]:
    """Channels of the other modalities that the model reads."""
    model = attn.models.MultiAttention
    model.setup_mudata(mdata)
    return {modality: names for modality, names in model(mdata).channels.items() if modality != name}


def _count_weights(mdata: mudata.MuData, options: dict) -> int:
    """Weights of the network."""
    model = attn.models.MultiAttention
    own = {name: value for name, value in options.items() if name not in _OF_TRAINING}
    model.setup_mudata(mdata, channels=options.get("channels"))
    return sum(weights.numel() for weights in model(mdata, **own).module.network.parameters())


if __name__ == "__main__":
    main()

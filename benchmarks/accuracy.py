"""Accuracy on held-out chromosomes, beside gradient boosting on the same inputs.

    python benchmarks/accuracy.py data.h5mu --test chr14 chr19 --seeds 0 1 2

Prints ROC AUC of the test chromosomes, seconds, and peak memory above the imports.
"""

from __future__ import annotations

import argparse
import resource
import time

import mudata
import numpy as np
from scipy import sparse
from sklearn.ensemble import HistGradientBoostingClassifier

import epiattn as attn


def main() -> None:
    """Run the models in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--test", nargs="+", default=["chr14", "chr19"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--models", nargs="+", default=["kang2020"])
    arguments = parser.parse_args()

    attn.settings.verbosity = "warning"
    mdata = attn.pp.split(mudata.read_h5mu(arguments.data), test=arguments.test)
    _ = attn.models, attn.tl  # imported before the memory is read
    imports = peak()
    for model in arguments.models:
        aucs, seconds = [], []
        for seed in arguments.seeds:
            attn.tl.fit(mdata, model=model, seed=seed)
            aucs.append(mdata.uns["attn"]["metrics"]["test"]["auc"])
            seconds.append(mdata.uns["attn"]["seconds"])
        report(model, aucs, seconds)
        print(f"{'':<20} peak memory {peak() - imports:.2f} GB above the imports")
    report("gradient boosting", *zip(*(boost(mdata, seed) for seed in arguments.seeds), strict=True))


def boost(mdata: mudata.MuData, seed: int) -> tuple[float, float]:
    """Gradient boosting on all log1p bins: AUC and seconds."""
    channels = mdata.uns["attn"]["channels"]["histone"]
    layers = [mdata["histone"].layers[name] for name in channels]
    bins = np.log1p(np.hstack([layer.toarray() if sparse.issparse(layer) else layer for layer in layers]))
    high, test = (mdata.obs["label"] == "high").to_numpy(), (mdata.obs["split"] == "test").to_numpy()
    start = time.perf_counter()
    model = HistGradientBoostingClassifier(random_state=seed).fit(bins[~test], high[~test])
    return attn.metrics.roc_auc(high[test], model.predict_proba(bins[test])[:, 1]), time.perf_counter() - start


def report(name: str, aucs: list[float], seconds: list[float]) -> None:
    """One line."""
    each = ", ".join(f"{auc:.4f}" for auc in aucs)
    print(
        f"{name:<20} ROC AUC {np.mean(aucs):.4f} ± {np.std(aucs):.4f} ({each}), {np.median(seconds):.0f} s", flush=True
    )


def peak() -> float:
    """Peak memory of this process in GB (Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    main()

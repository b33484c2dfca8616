"""What a GPU is worth here, whether it says the same as the CPU, and what one pass of five models takes: tables.

    python benchmarks/gpu.py data.h5mu
    python benchmarks/gpu.py simulated --models multi_attention --epochs 5
    python benchmarks/gpu.py simulated --devices cpu cpu    # does it run? Says nothing

Each model is trained on both devices; then the weights of the second training are asked on both, and the answers
compared. The CPU computes with one thread (explanations: with all). At last five default models are trained for two
epochs, one after the other and in one pass.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from typing import Any

import mudata
import numpy as np
import torch
from evaluation import simulated
from measure import machine, seconds

import epiattn as attn
from epiattn._registry import models
from epiattn.models._explainer import Explainer


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="a .h5mu file, or 'simulated'")
    parser.add_argument("--models", nargs="+", default=["multi_attention", "kang2020", "attentive_chrome"])
    parser.add_argument("--devices", nargs=2, default=["cpu", "cuda:0"])
    parser.add_argument("--epochs", type=int, help="the model's own, if not given")
    parser.add_argument("--genes", type=int, default=4_096, help="observations that are explained")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    attn.settings.verbosity = "error"
    mdata = attn.pp.split(simulated() if arguments.data == "simulated" else mudata.read_h5mu(arguments.data))
    rows = np.unique(np.linspace(0, mdata.n_obs - 1, arguments.genes).astype(int))
    gpu = f"; {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    print(f"{machine()}{gpu}; {mdata.n_obs:,} observations, {len(rows):,} of them explained\n")
    print("| | | " + " | ".join(arguments.devices) + " | ratio |\n|---|---|---|---|---|")
    found = {name: compare(mdata, name, arguments.devices, arguments.epochs, rows) for name in arguments.models}
    print("\nLargest differences between the answers of the two, of the same weights:\n")
    said = list(dict.fromkeys(what for differences in found.values() for what in differences))
    print("| | " + " | ".join(said) + " |\n|---|" + "---|" * len(said))
    for name, differences in found.items():
        print(
            f"| {name} | "
            + " | ".join(f"{differences[what]:.0e}" if what in differences else "" for what in said)
            + " |"
        )
    print("\nFive models, two epochs, seconds:\n\n| | one after the other | in one pass | ratio |\n|---|---|---|---|")
    for device in dict.fromkeys(arguments.devices):
        compare_passes(mdata, device)


def compare(
    mdata: mudata.MuData, name: str, devices: list[str], epochs: int | None, rows: np.ndarray
) -> dict[str, float]:
    """Time one model on both devices, and give the largest differences between what the same weights say there."""
    model_class: Any = models[name].load()
    model_class.setup_mudata(mdata)
    trained = {}

    def train(device: str, n_epochs: int | None = epochs) -> None:
        torch.manual_seed(0)
        trained[device] = model_class(mdata, **models[name].options)
        trained[device].train(n_epochs, **place(device))

    train(devices[1], 1)  # the first call sets the device up
    times = [seconds(lambda device=device: train(device)) for device in devices]
    n_epochs = [len(trained[device].history_["loss_train"]) for device in devices]
    show(name, f"an epoch of training, of {n_epochs[0]} and {n_epochs[1]}", *np.array(times) / n_epochs)
    aucs = [trained[device].history_["auc_validation"].iloc[trained[device].best_epoch_ - 1, 0] for device in devices]
    print(f"| | ROC AUC on validation genes | {aucs[0]:.4f} | {aucs[1]:.4f} | |", flush=True)
    model = trained[devices[1]]
    answers, times = [], []
    for device in devices:
        model.to_device(device)
        explainer = Explainer(model, mdata)
        questions: list[Callable[[], Any]] = [
            model.run,
            lambda explainer=explainer: explainer.attribute(rows, method="gradient_x_input"),
        ]
        for question in questions:
            question()
        answers.append([])
        times.append([seconds(lambda question=question: answers[-1].append(question())) for question in questions])
    show(name, "predictions, embedding and attention", times[0][0], times[1][0])
    show(name, "gradient x input", times[0][1], times[1][1])
    return differences(*answers)


def place(device: str) -> dict[str, Any]:
    """Options of a training that takes place there."""
    kind, *number = device.split(":")
    if kind == "cpu":
        return {"accelerator": "cpu"}
    return {"accelerator": "gpu", "devices": [int(number[0]) if number else 0]}


def compare_passes(mdata: mudata.MuData, device: str, n_models: int = 5) -> None:
    """Time trainings of several models, one after the other and in one pass."""
    model_class = attn.models.MultiAttention
    model_class.setup_mudata(mdata)

    def one_by_one() -> None:
        for seed in range(n_models):
            torch.manual_seed(seed)
            model_class(mdata).train(2, **place(device))

    def in_one_pass() -> None:
        first, *others = [model_class(mdata) for _ in range(n_models)]
        first.train(2, together_with=others, **place(device))

    in_one_pass()
    alone, together = seconds(one_by_one), seconds(in_one_pass)
    print(f"| {device} | {alone:.1f} | {together:.1f} | {alone / together:.2f} |", flush=True)


def differences(one: list[Any], other: list[Any]) -> dict[str, float]:
    """The largest absolute difference of each kind of answer."""
    (run, attributions), (other_run, other_attributions) = one, other
    pairs = {
        "prediction": [(run.prediction, other_run.prediction)],
        "latent": [(run.latent, other_run.latent)],
        "attention": [(run.attention[key], other_run.attention[key]) for key in run.attention],
        "attribution": [(attributions.values[key], other_attributions.values[key]) for key in attributions.values],
    }
    return {what: max(float(abs(a - b).max()) for a, b in each) for what, each in pairs.items() if each}


def show(name: str, what: str, one: float, other: float) -> None:
    """One line of the table."""
    print(f"| {name} | {what} | {one:.2f} | {other:.2f} | {one / other:.1f} |", flush=True)


if __name__ == "__main__":
    main()

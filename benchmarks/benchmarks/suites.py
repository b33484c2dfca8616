"""Speed and memory from commit to commit: ``cd benchmarks && asv run``."""

from __future__ import annotations

import cases
import measure
import run
import torch

import epiattn as attn


class TimeTraining:
    """Training steps, by the share of bound TFs."""

    timeout = 300
    param_names = ("data",)
    params = (cases.SIMULATED, cases.BOUND, cases.DENSE)

    def setup(self, name: str) -> None:
        cases.quieten()
        torch.set_num_threads(1)
        self.case = cases.Options().case(name)
        self.steps = run.our_pass(self.case, 64, 128)

    def time_steps(self, name: str) -> None:
        self.steps()


class TimeEpoch:
    """``model.train`` for one epoch."""

    timeout = 300

    def setup(self) -> None:
        cases.quieten()
        self.case = cases.Options().case(cases.SIMULATED)

    def time_train(self) -> None:
        run.train(self.case.new_model(), 1)


class TimeInference:
    """Predictions, embeddings and attention of a whole object; batches."""

    timeout = 300

    def setup(self) -> None:
        cases.quieten()
        self.case = cases.Options().case(cases.SIMULATED)
        self.case.model.is_trained_ = True

    def time_run(self) -> None:
        self.case.model.run()

    def time_loader(self) -> None:
        run.exhaust(run.make_loader(self.case.dataset, self.case.all, 64, shuffle=True))


class PeakMemFit:
    """Peak memory of ``tl.fit`` above the imports, in GB."""

    timeout = 300
    unit = "GB"

    def track_fit(self) -> float:
        return float(run.fresh("--measure-fit", "--simulated", "4000"))


class TimeSimulate:
    """Simulated data."""

    timeout = 300

    def time_simulate(self) -> None:
        attn.datasets.simulate(n_genes=2_000, cell_types=1)


class TimeImport:
    """Imports in fresh processes."""

    timeout = 300

    def time_import(self) -> None:
        measure.python("import epiattn")

    def time_import_models(self) -> None:
        measure.python("import epiattn.models")

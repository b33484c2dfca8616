"""A trained model that is asked many times about the same observations: what changes its output, and by how much."""

from __future__ import annotations

import copy
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from itertools import islice
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from tqdm import tqdm

from epiattn import _keys as k
from epiattn._modalities import kind, present
from epiattn._regions import bin_size
from epiattn._settings import settings
from epiattn._validation import check_choice
from epiattn.nn import ModalityBatch

from ._differences import OfDifferences
from ._loader import make_loader, to_numpy
from ._threads import one_thread

if TYPE_CHECKING:
    from mudata import MuData

    from ._base import RegulatoryModel

#: Inputs of a batch before they are scaled, and the numbers of its observations, to changed inputs.
Change = Callable[[dict[str, ModalityBatch], np.ndarray], dict[str, ModalityBatch]]

#: Methods of attribution, and what they are.
METHODS = {
    "integrated_gradients": "mean gradient between baseline and input, times their difference",
    "gradient_x_input": "gradient at the input times its difference to the baseline",
    "gradient_shap": "the same with random points between random observations and the input",
    "deeplift": "differences of activations, passed back by DeepLIFT's rules",
    "occlusion": "what the output loses when one value is set to the baseline",
}


#: Observations whose gradients are found at a time on a CPU; more of them no longer fit its cache.
_IN_CACHE = 256


class Attributions(NamedTuple):
    """What each input adds to the output of each observation.

    ``values`` by modality: shape ``(n_obs, n_marks, n_bins)`` for signal, ``(n_obs, n_slots)`` for CpGs, CSR of shape
    ``(n_obs, n_tfs)`` on bound TFs. ``output`` and ``baseline`` are the model's output for the inputs and for the
    baseline, shape ``(n_obs,)``; a complete method's values sum to their difference.
    """

    values: dict[str, np.ndarray | sparse.csr_matrix]
    output: np.ndarray
    baseline: np.ndarray

    def sums(self) -> np.ndarray:
        """Sum of all values of each observation, shape ``(n_obs,)``."""
        parts = [np.asarray(each.reshape(len(self.output), -1).sum(1)).ravel() for each in self.values.values()]
        return np.sum(parts, axis=0)


class Explainer:
    """A trained model and the tensors of an object.

    The *output* is the log-odds of high expression (calibrated), or the predicted expression: what inputs add up to.

    Parameters
    ----------
    model
        The model.
    mdata
        The object; it needs no label, expression or split.
    batch_size
        Observations in a batch.
    """

    def __init__(self, model: RegulatoryModel, mdata: MuData, *, batch_size: int = 512) -> None:
        mdata = model._validate_anndata(mdata)
        model._check_if_trained(warn=False, message="The model is not trained yet: call train() first.")
        self.module, self.batch_size = model.module, batch_size
        self.channels = present(mdata, model.channels)
        self.dataset = model._dataset(mdata)
        self.dataset.load_on(self.module.device)
        self.n_obs, self.depth = mdata.n_obs, model.depth_
        #: Columns of the TFs that the model knows, and the TFs of the object.
        self.columns = {name: self.dataset.columns[name] for name in self.channels if kind(name) == k.TF}
        self._n_vars = {name: mdata[name].n_vars for name in self.channels}
        signal = [name for name in self.channels if kind(name) == k.HISTONE and name != k.DISTAL]
        self._bin_sizes = {name: bin_size(mdata[name]) for name in signal}
        self._mean_beta = {name: self._mean_of(name) for name in self.channels if kind(name) == k.METHYLATION}

    def _mean_of(self, modality: str) -> float:
        store: Any = (self.dataset.stores or {})[modality]
        n_cpg = int(store.n_cpg.sum())  # empty slots hold 0
        beta = store.values[..., self.channels[modality].index(k.BETA)]
        return float(beta.double().sum()) / n_cpg if n_cpg else 0.5

    def batches(
        self, rows: np.ndarray | None = None, batch_size: int | None = None
    ) -> Iterator[tuple[np.ndarray, dict[str, ModalityBatch]]]:
        """Inputs before they are scaled, batch by batch, with the numbers of the observations."""
        rows = np.arange(self.n_obs) if rows is None else np.asarray(rows)
        start = 0
        for batch in make_loader(self.dataset, rows, batch_size or self.batch_size):
            inputs: dict[str, Any] = {name: batch[name] for name in self.channels}
            stop = start + len(next(iter(inputs.values())).present)
            yield rows[start:stop], inputs
            start = stop

    @property
    def together(self) -> int:
        """Observations, or points of paths, whose gradients are found at a time."""
        return min(self.batch_size, _IN_CACHE) if self.module.device.type == "cpu" else self.batch_size

    @torch.inference_mode()
    def output(self, rows: np.ndarray | None = None, change: Change | None = None) -> np.ndarray:
        """What the model says of observations, whose inputs may be changed.

        Parameters
        ----------
        rows
            Observations; ``None``: all.
        change
            Makes changed inputs of inputs; a batch must stay as it is otherwise.

        Returns
        -------
        Log-odds of high expression, or predicted expression, float32, shape ``(n_rows,)``.
        """
        with self.evaluating():
            parts = [
                to_numpy(self._output(batch if change is None else change(batch, which)))
                for which, batch in self.batches(rows)
            ]
        return np.concatenate(parts) if parts else np.empty(0, np.float32)

    def _output(self, batch: Mapping[str, ModalityBatch]) -> Tensor:
        return self._output_of_scaled({name: self.module.scaling(name, value) for name, value in batch.items()})

    def _output_of_scaled(self, scaled: Mapping[str, ModalityBatch]) -> Tensor:
        score = self.module.generative(self.module.network.embed(scaled)["z"])["score"]
        return score / self.module.temperature if self.module.target == "label" else score

    def baseline(self, batch: Mapping[str, ModalityBatch]) -> dict[str, ModalityBatch]:
        """What stands for nothing: no signal, CpGs at the mean level of all CpGs, no evidence at the bound TFs."""
        inputs: dict[str, Any] = {}
        for name in self.channels:
            modality: Any = batch[name]
            if kind(name) == k.METHYLATION:
                values = modality.values.clone()
                beta = self.channels[name].index(k.BETA)
                values[..., beta] = torch.where(modality.mask, self._mean_beta[name], 0.0)
            else:
                values = torch.zeros_like(modality.values)
            inputs[name] = modality._replace(values=values)
        return inputs

    def attribute(
        self,
        rows: np.ndarray | None = None,
        *,
        method: str = "integrated_gradients",
        n_steps: int = 50,
        smooth: float = 0.0,
        seed: int = 0,
    ) -> Attributions:
        """Share the difference between output and baseline's output among the inputs.

        Parameters
        ----------
        rows
            Observations; ``None``: all.
        method
            One of :data:`METHODS`.
        n_steps
            Points between baseline and input (integrated gradients), or random points (gradient SHAP). Integrated
            gradients whose sum misses by more than 1 % of the output's change are found anew with four, or 16, times as
            many.
        smooth
            Standard deviation, in bp, of the Gaussian by which those of a mark are spread over bins nearby; 0: none.
        seed
            Seed of random points.

        Returns
        -------
        The attributions.
        """
        check_choice("method", method, METHODS)
        if not 0 <= smooth < np.inf:
            msg = f"smooth must be a number of bp, 0 or more, not {smooth}."
            raise ValueError(msg)
        if unknown := [name for name, size in self._bin_sizes.items() if smooth and size is None]:
            msg = f"smooth={smooth:g} bp needs mdata[{unknown[0]!r}].var['start'] and ['end']."
            raise ValueError(msg)
        found = self._attribute(rows, method=method, n_steps=n_steps, seed=seed)
        return self._smoothed(found, smooth) if smooth else found

    def _smoothed(self, found: Attributions, sd: float) -> Attributions:
        """Each mark spread over bins nearby; what would leave the window stays in it, so that sums stay.

        Not the regions of ``distal``, whose slots lie one behind the other.
        """
        from scipy.ndimage import gaussian_filter1d

        smoothed = {
            name: gaussian_filter1d(found.values[name], sd / (size or 1), axis=2)
            for name, size in self._bin_sizes.items()
        }
        return found._replace(values=found.values | smoothed)

    def _attribute(self, rows: np.ndarray | None, *, method: str, n_steps: int, seed: int) -> Attributions:
        rows = np.arange(self.n_obs) if rows is None else np.asarray(rows)
        if method == "occlusion":
            from ._erasure import occlusion_of

            nothing = self.output(rows, lambda batch, _: self.baseline(batch))
            return Attributions(occlusion_of(self, rows), self.output(rows), nothing)
        found: dict[str, list] = {name: [] for name in self.channels}
        outputs, baselines = [], []
        hidden = not settings.progress or len(rows) <= self.together
        bar = tqdm(total=len(rows), desc="Attribution", unit="obs", disable=hidden, dynamic_ncols=True)
        draws = method == "gradient_shap"  # all batches from one generator, one after the other
        n_threads = 1 if draws or self.module.device.type != "cpu" else torch.get_num_threads()
        with bar, self.evaluating(gradients=True), _seeded(seed), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of captum
            share_out = partial(
                Explainer._share_out,
                method=method,
                n_steps=n_steps,
                background=self._background(seed) if draws else None,
            )
            for values, output, nothing in self._of_batches(share_out, rows, n_threads):
                for name, each in values.items():
                    found[name].append(each)
                outputs.append(output)
                baselines.append(nothing)
                bar.update(len(output))
        join = {name: self.joined(name, parts) for name, parts in found.items()}
        return Attributions(join, np.concatenate(outputs), np.concatenate(baselines))

    def _of_batches(
        self, function: Callable[[Explainer, dict[str, ModalityBatch]], Any], rows: np.ndarray, n_threads: int
    ) -> Iterator[Any]:
        """What a function of an explainer and a batch says of each batch, in order.

        A network that is this small does not gain from threads inside an operation, but batches are independent: each
        thread works on its own, with a module of its own, since a path of the signal is a state of the module.
        """
        batches = (batch for _, batch in self.batches(rows, self.together))
        n_threads = min(n_threads, -(-len(rows) // self.together))
        replicas = self._replicas(n_threads) if n_threads > 1 else []
        if not replicas:
            yield from (function(self, batch) for batch in batches)
            return
        free: SimpleQueue[Explainer] = SimpleQueue()
        for replica in replicas:
            free.put(replica)

        def work(batch: dict[str, ModalityBatch]) -> Any:
            replica = free.get()
            try:
                return function(replica, batch)
            finally:
                free.put(replica)

        waiting: deque[Future] = deque()
        with ThreadPoolExecutor(n_threads) as executor:
            try:
                while True:
                    some = islice(batches, 2 * n_threads - len(waiting))
                    waiting.extend(executor.submit(work, batch) for batch in some)
                    if not waiting:
                        return
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def _replicas(self, n: int) -> list[Explainer]:
        """The same with modules of their own; none if the module keeps something that cannot be copied."""
        replicas = []
        for _ in range(n):
            replica = copy.copy(self)
            try:
                replica.module = copy.deepcopy(self.module)
            except RuntimeError:  # such as an activation with its gradient, kept by an encoder from outside
                return []
            replicas.append(replica)
        return replicas

    def _share_out(
        self,
        batch: dict[str, ModalityBatch],
        *,
        method: str,
        n_steps: int,
        background: Mapping[str, Tensor] | None,
    ) -> tuple[dict[str, np.ndarray | sparse.csr_matrix], np.ndarray, np.ndarray]:
        """Attributions of a batch, the output for it, and for the baseline."""
        function = OfDifferences(self, batch)
        values, missed = function.attribute(method, n_steps, background)
        again = missed.nonzero()[:, 0]
        for factor in (4, 16) if method == "integrated_gradients" else ():
            if not len(again):
                break
            some = OfDifferences(self, {name: _rows_of(batch[name], again) for name in self.channels})
            better, missed = some.attribute(method, factor * n_steps, None)
            for name, each in better.items():
                values[name][again] = each
            again = again[missed]
        shaped = {name: self.in_shape(name, each, batch[name].mask) for name, each in values.items()}
        return shaped, to_numpy(function.output), to_numpy(function.nothing)

    def joined(self, name: str, parts: list) -> np.ndarray | sparse.csr_matrix:
        """Batches of :meth:`in_shape` one below the other."""
        return sparse.vstack(parts, format="csr") if name in self.columns else np.concatenate(parts)

    def in_shape(self, name: str, values: Tensor, mask: Tensor | None) -> np.ndarray | sparse.csr_matrix:
        """Attributions of a batch in the shape of the modality; those of the channels of a CpG or TF are summed."""
        if kind(name) == k.HISTONE:
            return to_numpy(values)
        total = to_numpy(values.sum(2))
        if kind(name) == k.METHYLATION:
            padded = np.zeros((len(total), self._n_vars[name]), total.dtype)
            padded[:, : total.shape[1]] = total
            return padded
        row, column = to_numpy(mask).nonzero() if mask is not None else total.nonzero()
        entries = (total[row, column], (row, self.columns[name][column]))
        return sparse.csr_matrix(entries, shape=(len(total), self._n_vars[name]))

    def _background(self, seed: int, n: int = 64) -> dict[str, Tensor]:
        """Scaled signal of random observations."""
        rows = np.sort(np.random.default_rng(seed).choice(self.n_obs, min(n, self.n_obs), replace=False))
        signal = [name for name in self.channels if kind(name) == k.HISTONE]
        parts = [
            {name: self.module.scaling(name, batch[name]).values for name in signal} for _, batch in self.batches(rows)
        ]
        return {name: torch.cat([part[name] for part in parts]) for name in signal}

    @property
    def _recurs(self) -> bool:
        return any(isinstance(part, torch.nn.RNNBase) for part in self.module.modules())

    @contextmanager
    def evaluating(self, *, gradients: bool = False) -> Iterator[None]:
        """The module as it is for predictions; its state is restored afterwards."""
        was_training = self.module.training
        needed = [weights for weights in self.module.parameters() if weights.requires_grad]
        self.module.eval()
        try:
            with one_thread(), _without_cudnn() if gradients and self._recurs else nullcontext():
                for weights in needed if gradients else ():
                    weights.requires_grad_(False)
                yield
        finally:
            for weights in needed:
                weights.requires_grad_(True)
            self.module.train(was_training)


def _without_cudnn() -> AbstractContextManager[None]:
    """CuDNN gives no gradients of recurrent layers outside of training; its convolutions are far faster than others."""
    return torch.backends.cudnn.flags(enabled=False)


def _rows_of(modality: ModalityBatch, rows: Tensor) -> ModalityBatch:
    return ModalityBatch(*(each if each is None else each[rows] for each in modality))  # type: ignore[arg-type]


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed PyTorch and NumPy (captum draws from both), and leave their states afterwards as they were."""
    state = np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=list(range(torch.cuda.device_count()))):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(state)  # noqa: NPY002

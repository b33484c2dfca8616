"""The output of a model as a function of its inputs' differences to a baseline, for captum."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from epiattn import _keys as k
from epiattn._modalities import kind
from epiattn.nn import ModalityBatch

if TYPE_CHECKING:
    from ._explainer import Explainer

#: Share of an output's change (of the mean change, where it is smaller) by which a sum of attributions may miss it.
_TOLERANCE = 0.01


class OfDifferences(nn.Module):
    """The output as a function of how far each modality's scaled input is from the baseline: 0 is the baseline."""

    def __init__(self, explainer: Explainer, batch: Mapping[str, ModalityBatch]) -> None:
        super().__init__()
        self.explainer, self.module = explainer, explainer.module  # the module is seen by DeepLIFT
        self.names = list(explainer.channels)
        scaling, nothing = self.module.scaling, explainer.baseline(batch)
        with torch.no_grad():
            scaled = {name: scaling(name, batch[name]) for name in self.names}
            self.offsets = [scaling(name, nothing[name]).values for name in self.names]
            self.differences = [scaled[name].values - each for name, each in zip(self.names, self.offsets, strict=True)]
        self.fixed: list[Tensor | None] = [each for name in self.names for each in scaled[name][1:]]
        self.ends = {name: scaled[name].values for name in self.names if kind(name) == k.HISTONE}
        with torch.no_grad():
            self.output, self.nothing = self(*self.differences), self(*map(torch.zeros_like, self.differences))

    def forward(self, *differences: Tensor) -> Tensor:
        """Output, shape ``(batch,)``; captum repeats the batch, one copy behind the other."""
        n = len(differences[0]) // len(self.offsets[0])
        again = [each if each is None or n == 1 else each.repeat(n, *[1] * (each.ndim - 1)) for each in self.fixed]
        scaled = {
            name: ModalityBatch(values + offset.repeat(n, *[1] * (offset.ndim - 1)), again[2 * i], again[2 * i + 1])  # type: ignore[arg-type]
            for i, (name, values, offset) in enumerate(zip(self.names, differences, self.offsets, strict=True))
        }
        return self.explainer._output_of_scaled(scaled)

    @contextmanager
    def smooth(self) -> Iterator[None]:
        """Let no encoder's features jump between the baseline and the observations."""
        encoders: Any = self.module.network.encoders
        with ExitStack() as stack:
            for name, end in self.ends.items():
                if (path_to := getattr(encoders[name], "path_to", None)) is not None:
                    stack.enter_context(path_to(end))
            yield

    def attribute(
        self, method: str, n_steps: int, background: Mapping[str, Tensor] | None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Attributions of all values, by modality, by captum; and of which observations the sum misses the output."""
        from captum import attr

        inputs = tuple(each.requires_grad_() for each in self.differences)
        with self.smooth():
            if method == "integrated_gradients":
                size = max(len(inputs[0]), self.explainer.together)
                options = {"n_steps": n_steps, "method": "riemann_middle", "internal_batch_size": size}
                found = attr.IntegratedGradients(self).attribute(inputs, **options)
            elif method == "gradient_x_input":
                found = attr.InputXGradient(self).attribute(inputs)
            elif method == "gradient_shap":
                found = attr.GradientShap(self).attribute(inputs, self._baselines(background or {}), n_samples=n_steps)
            else:
                found = attr.DeepLift(self).attribute(inputs)
        total = torch.stack([each.detach().flatten(1).sum(1) for each in found]).sum(0)
        change = self.output - self.nothing
        missed = (total - change).abs() > _TOLERANCE * change.abs().clamp(min=float(change.abs().mean()))
        return dict(zip(self.names, (each.detach() for each in found), strict=True)), missed

    def _baselines(self, background: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """Random observations' signal; nothing for lists of CpGs and TFs, whose places differ between observations."""
        n = len(next(iter(background.values()))) if background else 1
        return tuple(
            background[name] if name in background else torch.zeros(n, *each.shape[1:], device=each.device)
            for name, each in zip(self.names, self.differences, strict=True)
        )

"""Numbers that sum up a modality, on one scale."""

from __future__ import annotations

from torch import Tensor, nn


class Standardize(nn.BatchNorm1d):
    """Running mean 0 and standard deviation 1 of each feature, nothing learned; a batch of one is no error.

    Parameters
    ----------
    n_features
        Features.
    """

    def __init__(self, n_features: int) -> None:
        super().__init__(n_features, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        """Standardise a batch, shape ``(batch, n_features)``."""
        if self.training and len(x) > 1:
            return super().forward(x)
        return nn.functional.batch_norm(x, self.running_mean, self.running_var, eps=self.eps)

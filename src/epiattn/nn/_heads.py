"""Heads: a point in the regulatory latent space becomes a prediction."""

from __future__ import annotations

from torch import Tensor, nn


class ScoreHead(nn.Module):
    """Linear, ReLU, linear: one number for each observation (a logit, or an expression).

    Parameters
    ----------
    n_latent
        Size of the latent space.
    n_hidden
        Units of the hidden layer.
    dropout
        Share of the hidden units dropped in training.

    References
    ----------
    Kang et al., Front. Genet. 11:869 (2020).
    """

    #: Several networks may be trained at once, by ``torch.func.vmap``.
    vectorizes = True

    def __init__(self, n_latent: int, *, n_hidden: int = 32, dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_latent, n_hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(n_hidden, 1)
        )

    def forward(self, z: Tensor) -> Tensor:
        """Score a batch of points.

        Parameters
        ----------
        z
            Points of the latent space, shape ``(batch, n_latent)``.

        Returns
        -------
        Scores, shape ``(batch,)``: logits of high expression, or log-expression.
        """
        return self.layers(z).squeeze(-1)

"""Histone marks around the TSS: residual convolutions, and attention that knows places and marks."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from ._bins import BinConvolution, BinNorm
from ._levels import SignalLevels
from ._summary import Standardize


class HistoneAttention(nn.Module):
    r"""Several attentions over the bins that know where they look, after marks were weighed at each bin.

    At each bin, :math:`\beta_{mp} = \mathrm{softmax}_m` of a small convolution of all marks and a learned score of the
    place weighs the marks: mark m enters as :math:`(1 + M\beta_{mp})/2` times its :class:`SignalLevels`. A linear map
    of each bin by itself and residual dilated convolutions give it features :math:`h_p`, to which learned features of
    the place are added. Query k has weights
    :math:`\alpha^{(k)}_p = \mathrm{softmax}_p(w_k^\top h_p + b_{kp})`, with a learned score :math:`b_{kp}` of the
    place, and reads :math:`\sum_p \alpha^{(k)}_p V h_p`. What the queries read is reduced to ``n_features``; the mean
    signal of each mark is put beside it. The attention of mark m and bin p is
    :math:`\beta_{mp}\,\frac1K\sum_k\alpha^{(k)}_p`.

    Scores of places start as smooth hills, from narrow ones at the TSS to wide ones far away (``query_hills``).

    Parameters
    ----------
    n_marks
        Marks (channels).
    n_bins
        Bins of the window around the TSS.
    n_features
        Features of each bin and of what is read.
    n_queries
        Attentions over the bins.
    n_levels
        Levels into which the signal of a mark is cut; see :class:`SignalLevels`.
    kernel_size
        Bins from which the weights of marks are found; odd.
    n_blocks
        Residual convolutions of three bins, 1, 2, 4, … apart.
    dropout
        Share of what is read that is dropped in training; residual branches drop a fifth of it.

    References
    ----------
    Additive scores of places: Raffel et al., J. Mach. Learn. Res. 21:140 (2020); dilated residual convolutions: Yu,
    Koltun & Funkhouser, CVPR (2017), arXiv 1705.09914.
    """

    #: Several networks may be trained at once, by ``torch.func.vmap``.
    vectorizes = True

    def __init__(
        self,
        n_marks: int,
        n_bins: int,
        *,
        n_features: int = 48,
        n_queries: int = 8,
        n_levels: int = 4,
        kernel_size: int = 5,
        n_blocks: int = 2,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            msg = f"kernel_size must be odd, so that every bin keeps its place; it is {kernel_size}."
            raise ValueError(msg)
        self.n_marks, self.n_bins = n_marks, n_bins
        self.n_context = n_features + n_marks
        self.mark_features = BinConvolution(2 * n_marks, 4 * n_marks, kernel_size)
        self.mark_scores = nn.Linear(4 * n_marks, n_marks)
        self.mark_places = nn.Parameter(torch.zeros(n_marks, n_bins))
        nn.init.zeros_(self.mark_scores.weight)
        self.levels = SignalLevels(n_marks, n_levels)
        self.stem = nn.Linear(self.levels.n_channels, n_features)
        self.places = nn.Parameter(torch.zeros(n_features, n_bins))
        self.blocks = nn.ModuleList(_Residual(n_features, 2**i, dropout / 5) for i in range(n_blocks))
        self.norm = BinNorm(n_features)
        self.query_scores = nn.Linear(n_features, n_queries)
        self.query_places = nn.Parameter(query_hills(n_queries, n_bins))
        self.value = nn.Linear(n_features, n_features)
        self.dropout = nn.Dropout(dropout)
        self.reduce = nn.Linear(n_queries * n_features, n_features)
        self.standardize = Standardize(n_marks)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Embed the marks of a batch of genes.

        Parameters
        ----------
        x
            Normalised signal, shape ``(batch, n_marks, n_bins)``, bins in 5' to 3' order; not negative.
        mask
            Not used: every bin holds a value. Part of the contract that all encoders share.

        Returns
        -------
        Context, shape ``(batch, n_features + n_marks)``, and attention over marks and bins, shape ``(batch, n_marks,
        n_bins)``; a gene's sum over both is 1.

        Raises
        ------
        ValueError
            If marks or bins are not as many as the encoder was made for.
        """
        marks, bins, states = self._attend(x)
        read = self.value(bins @ states).flatten(1)  # of what is read, not of each bin: weights sum to 1
        context = nn.functional.gelu(self.reduce(self.dropout(read)))
        total = self.standardize(x.mean(2))
        return torch.cat([context, total], dim=1), bins.mean(1, keepdim=True) * marks

    def head_attention(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attention of each query; their mean is what :meth:`forward` returns.

        Parameters
        ----------
        x, mask
            As for :meth:`forward`.

        Returns
        -------
        Shape ``(batch, n_queries, n_marks, n_bins)``.
        """
        marks, bins, _ = self._attend(x)
        return bins[:, :, None] * marks[:, None]

    def _attend(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Weights of marks at each bin, weights of bins of each query, and features of the bins, which come last."""
        if x.shape[1:] != (self.n_marks, self.n_bins):
            expected = (self.n_marks, self.n_bins)
            msg = f"Expected (n_marks, n_bins) = {expected} for each observation, got {tuple(x.shape[1:])}."
            raise ValueError(msg)
        levels = self.levels(x)
        marks = self._weigh_marks(torch.cat([x, levels[:, :, -1]], dim=1))
        gain = (1 + self.n_marks * marks) / 2
        states = self.stem((levels * gain[:, :, None]).flatten(1, 2).transpose(1, 2)) + self.places.t()
        for block in self.blocks:
            states = block(states)
        states = nn.functional.gelu(self.norm(states))
        return marks, (self.query_scores(states).transpose(1, 2) + self.query_places).softmax(2), states

    def _weigh_marks(self, x: Tensor) -> Tensor:
        """Weights of the marks at each bin, shape ``(batch, n_marks, n_bins)``; they sum to 1 at each bin."""
        scores = self.mark_scores(nn.functional.gelu(self.mark_features(x.transpose(1, 2))))
        return (scores.transpose(1, 2) + self.mark_places).softmax(1)

    def learn(self, values: Tensor) -> None:
        """Learn what depends on the range of the signal, before training.

        Parameters
        ----------
        values
            Scaled signal of training observations, shape ``(n_obs, n_marks, n_bins)``.
        """
        self.levels.learn(values)

    def path_to(self, end: Tensor) -> AbstractContextManager[None]:
        """Let nothing in the network jump on a way of the signal from 0 to an end; see :class:`SignalLevels`.

        Parameters
        ----------
        end
            Scaled signal, shape ``(batch, n_marks, n_bins)``.

        Returns
        -------
        What to put into a ``with`` statement.
        """
        return self.levels.path_to(end)

    def uniform_attention(self) -> Tensor:
        """Attention over bins, summed over the marks, where all bins weigh the same.

        Returns
        -------
        Shape ``(n_bins,)``, sums to 1.
        """
        return self.places.new_full((self.n_bins,), 1 / self.n_bins)


def query_hills(n_queries: int, n_bins: int) -> Tensor:
    """Scores of places from which queries start: one hill each, dense and narrow at the TSS, sparse and wide far away.

    Parameters
    ----------
    n_queries
        Queries.
    n_bins
        Bins of the window, with the TSS in its middle.

    Returns
    -------
    Shape ``(n_queries, n_bins)``: from 0 at the top of a hill to -4 far from it, so that all places stay in reach.
    """
    half = n_bins / 2
    side = torch.linspace(-1, 1, n_queries) if n_queries > 1 else torch.zeros(1)
    distance = 0.8 * ((half + 1) ** side.abs() - 1)  # steps that grow with the distance
    centre = (half + side.sign() * distance)[:, None]
    width = 1 + distance[:, None] / 4
    bins = torch.arange(n_bins) + 0.5
    return torch.log(torch.exp(-(((bins - centre) / width) ** 2) / 2) + math.exp(-4))


class _Residual(nn.Module):
    """Normalisation, GELU, a dilated convolution of three bins and dropout, added to the input."""

    def __init__(self, n_features: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.norm = BinNorm(n_features)
        self.convolution = BinConvolution(n_features, n_features, 3, dilation=dilation)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor) -> Tensor:
        """Shape ``(batch, n_bins, n_features)`` in and out."""
        return states + self.dropout(self.convolution(nn.functional.gelu(self.norm(states))))

"""Chromoformer: promoters at several resolutions, alone or with the regions that they touch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ._chromoformer import EmbeddingTransformer, PairwiseInteractionTransformer, RegulationTransformer
from ._network import RegulatoryNetwork
from ._types import Embedding, Mixture, ModalityBatch


class PromoterEncoder(nn.Module):
    """An :class:`~epiattn.nn.EmbeddingTransformer` for each resolution that is made of one modality.

    Parameters
    ----------
    n_marks
        Marks (channels).
    n_bins
        Bins of the window around the TSS.
    factors
        How many bins make one bin of each resolution; their (normalised) signal is averaged.
    centre
        The bin of the TSS.
    **sizes
        Of the transformers.
    """

    def __init__(self, n_marks: int, n_bins: int, factors: Sequence[int], *, centre: int, **sizes: Any) -> None:
        super().__init__()
        self.factors = list(factors)
        self.embeddings = nn.ModuleList(
            EmbeddingTransformer(n_marks, -(-n_bins // factor), centre // factor, **sizes) for factor in factors
        )
        first: Any = self.embeddings[0]
        self.n_features: int = first.project.out_features
        self.n_context = len(self.factors) * self.n_features
        self.shares = _Shares(n_bins, factors)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Embed the promoters of a batch of genes.

        Parameters
        ----------
        x
            Normalised signal, shape ``(batch, n_marks, n_bins)``, bins in 5' to 3' order.
        mask
            Not used: every bin holds a value. Part of the contract that all encoders share.

        Returns
        -------
        Embedding at each resolution, shape ``(batch, n_context)``, and attention over bins, shape ``(batch, n_bins)``:
        the mean over the resolutions, a wide bin's weight spread equally over its bins.
        """
        pairs = zip(self.embeddings, self.factors, strict=True)
        states, weights = zip(*(embed(_pool(x, factor)) for embed, factor in pairs), strict=True)
        return torch.cat(states, dim=1), self.shares.spread(weights)

    def uniform_attention(self) -> Tensor:
        """Attention over bins where all bins of a resolution weigh the same.

        Returns
        -------
        Shape ``(n_bins,)``, sums to 1.
        """
        return self.shares.uniform()


class DistalEncoder(nn.Module):
    """A :class:`~epiattn.nn.PairwiseInteractionTransformer` for each resolution, over the regions that promoters touch.

    Unlike other encoders it needs the embeddings of the promoters: only :class:`ChromoformerNetwork` can use it.

    Parameters
    ----------
    n_marks
        Marks (channels), without the frequency.
    n_regions
        Region slots.
    n_bins
        Bins of a region.
    factors
        How many bins make one bin of each resolution.
    frequency
        Which of the channels is the interaction frequency; the others are the marks.
    **sizes
        Of the transformers.
    """

    def __init__(
        self, n_marks: int, n_regions: int, n_bins: int, *, factors: Sequence[int], frequency: int, **sizes: Any
    ) -> None:
        super().__init__()
        self.n_regions, self.n_bins, self.factors, self.frequency = n_regions, n_bins, list(factors), frequency
        self.pairs = nn.ModuleList(
            PairwiseInteractionTransformer(n_marks, -(-n_bins // factor), **sizes) for factor in factors
        )
        first: Any = self.pairs[0]
        self.n_context = len(self.factors) * first.project.out_features
        self.shares = _Shares(n_bins, factors)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Tell the marks from the interaction frequency.

        Parameters
        ----------
        x
            Channels, shape ``(batch, n_marks + 1, n_regions * n_bins)``.

        Returns
        -------
        Marks, shape ``(batch, n_regions, n_marks, n_bins)``, and the frequency of each region, shape ``(batch,
        n_regions)``, 0 where the slot is empty.
        """
        x = x.unflatten(2, (self.n_regions, self.n_bins)).transpose(1, 2)
        marks = torch.cat([x[:, :, : self.frequency], x[:, :, self.frequency + 1 :]], dim=2)
        return marks, x[:, :, self.frequency].amax(2)

    def forward(self, promoters: Tensor, regions: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Embed pairs of a promoter and a region.

        Parameters
        ----------
        promoters
            Embeddings at each resolution, shape ``(pairs, n_resolutions, n_features)``.
        regions
            Normalised signal, shape ``(pairs, n_marks, n_bins)``.

        Returns
        -------
        Embedding of each pair at each resolution, shape ``(pairs, n_resolutions, n_features)``, and at each resolution
        the attention over its bins, shape ``(pairs, bins)``.
        """
        parts = zip(self.pairs, promoters.unbind(1), self.factors, strict=True)
        states, weights = zip(*(pair(promoter, _pool(regions, n)) for pair, promoter, n in parts), strict=True)
        return torch.stack(states, dim=1), list(weights)

    def uniform_attention(self) -> Tensor:
        """Attention over the bins of all region slots where all regions, and all bins of a resolution, weigh the same.

        Returns
        -------
        Shape ``(n_regions * n_bins,)``, sums to 1.
        """
        return self.shares.uniform().repeat(self.n_regions) / self.n_regions


class RegulationFusion(nn.Module):
    """A :class:`~epiattn.nn.RegulationTransformer` for each resolution; their states side by side are the latent space.

    Parameters
    ----------
    n_modalities
        Modalities, for the weights.
    n_resolutions
        Resolutions of all modalities together.
    n_features
        Features of the promoter's embedding at a resolution.
    **sizes
        Of the transformers.
    """

    def __init__(self, n_modalities: int, n_resolutions: int, n_features: int, **sizes: Any) -> None:
        super().__init__()
        self.n_modalities, self.n_features = n_modalities, n_features
        self.regulation = nn.ModuleList(RegulationTransformer(n_features, **sizes) for _ in range(n_resolutions))
        self.n_latent = n_resolutions * n_features

    def forward(self, contexts: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Sum up the regulation of promoters without regions.

        Parameters
        ----------
        contexts
            Embeddings of the promoters at each resolution, shape ``(batch, n_resolutions * n_features)`` in all.
        present
            Not used; part of the fusions' contract.

        Returns
        -------
        Latent points, shape ``(batch, n_latent)``, and a weight of 1 for every modality, shape ``(batch,
        n_modalities)``: the network does not weigh modalities.
        """
        promoters = torch.cat(list(contexts.values()), dim=1).unflatten(1, (-1, 1, self.n_features))
        z, _ = self.regulate(promoters)
        return z, z.new_ones(len(z), self.n_modalities)

    def regulate(
        self, tokens: Tensor, frequency: Tensor | None = None, empty: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Sum up the regulation of promoters and their regions.

        Parameters
        ----------
        tokens
            At each resolution the promoter, then its interactions, shape ``(batch, n_resolutions, 1 + n_regions,
            n_features)``.
        frequency, empty
            See :class:`~epiattn.nn.RegulationTransformer`.

        Returns
        -------
        Latent points, shape ``(batch, n_latent)``, and at each resolution the attention of the promoter, shape
        ``(batch, 1 + n_regions)``.
        """
        parts = zip(self.regulation, tokens.unbind(1), strict=True)
        states, weights = zip(*(regulation(each, frequency, empty) for regulation, each in parts), strict=True)
        return torch.cat(states, dim=1), list(weights)


class ChromoformerNetwork(RegulatoryNetwork):
    """A :class:`~epiattn.nn.RegulatoryNetwork` whose distal regions are read in the light of the promoter.

    Parameters
    ----------
    encoders
        A :class:`PromoterEncoder` for each window around the TSS and, at most, one :class:`DistalEncoder`.
    fusion
        The regulation transformers.
    head
        Scores a point of the latent space.

    References
    ----------
    Lee, Yang & Kim, Nat. Commun. 13:6678 (2022), doi 10.1038/s41467-022-34152-5.
    """

    def __init__(self, encoders: Mapping[str, Any], fusion: RegulationFusion, head: nn.Module) -> None:
        super().__init__(encoders, fusion, head)
        self.distal = next((name for name, encoder in encoders.items() if isinstance(encoder, DistalEncoder)), None)

    def embed(self, batch: Mapping[str, ModalityBatch], mixture: Mixture | None = None) -> Embedding:
        """Embed a batch; see :meth:`~epiattn.nn.RegulatoryNetwork.embed`.

        Parameters
        ----------
        batch
            Normalised inputs of each modality, by name; an observation may have no region, or any number of them.
        mixture
            Not used: all inputs are signal, and mixed already.

        Returns
        -------
        ``z``, ``contexts`` (of the regions: the mean over those that an observation has), ``attention`` and
        ``modality_weights``. Attention over regions: that of the promoter to a region times that to the region's bins;
        it sums to 1, or to 0 where an observation has no region.

        Raises
        ------
        ValueError
            If the batch holds no window around the TSS.
        """
        present, contexts, attention = self._encode(batch, [name for name in self.encoders if name != self.distal])
        if self.distal is None or self.distal not in batch:
            z, weights = self.fusion(contexts, present)
        else:
            z, weights = self._embed_with_regions(batch[self.distal], contexts, attention)
        if self.distal is not None and self.distal not in contexts:
            contexts[self.distal] = self.missing[self.distal].expand(len(z), -1)
        return {"z": z, "contexts": contexts, "attention": attention, "modality_weights": weights}

    def _embed_with_regions(
        self, batch: ModalityBatch, contexts: dict[str, Tensor], attention: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Latent points and modality weights; adds the regions' contexts and attention to those of the promoters."""
        encoder: Any = self.encoders[self.distal]  # type: ignore[index]
        regions, frequency = encoder.split(batch.values)
        there = (frequency > 0) & batch.present[:, None]
        row, slot = there.nonzero(as_tuple=True)
        promoters = torch.cat(list(contexts.values()), dim=1).unflatten(1, (-1, self.fusion.n_features))
        pairs, bin_weights = encoder(promoters[row], regions[row, slot])

        n_obs, n_regions = there.shape
        tokens = promoters.new_zeros(n_obs, n_regions, *promoters.shape[1:]).index_put((row, slot), pairs)
        z, region_weights = self.fusion.regulate(
            torch.cat([promoters[:, None], tokens], dim=1).transpose(1, 2),
            nn.functional.pad(frequency.to(promoters.dtype), (1, 0)),
            nn.functional.pad(~there, (1, 0)),
        )
        count = there.sum(1)[:, None]
        mean = tokens.sum(1).flatten(1) / count.clamp(min=1)
        contexts[self.distal] = torch.where(count > 0, mean, self.missing[self.distal])  # type: ignore[index]
        shares = [weights[:, 1:] / weights[:, 1:].sum(1, keepdim=True).clamp(min=1e-12) for weights in region_weights]
        spread = encoder.shares.spread(
            [each * share[row, slot, None] for each, share in zip(bin_weights, shares, strict=True)]
        )
        weights = spread.new_zeros(n_obs, n_regions, encoder.n_bins).index_put((row, slot), spread)
        attention[self.distal] = weights.flatten(1)  # type: ignore[index]
        return z, z.new_ones(n_obs, self.fusion.n_modalities)


class _Shares(nn.Module):
    """Spreads weights of wide bins equally over the bins that they are made of, at several resolutions."""

    def __init__(self, n_bins: int, factors: Sequence[int]) -> None:
        super().__init__()
        for i, factor in enumerate(factors):
            inside = torch.arange(n_bins) // factor == torch.arange(-(-n_bins // factor))[:, None]
            self.register_buffer(f"share_{i}", inside / inside.sum(1, keepdim=True), persistent=False)
        self.n = len(factors)

    def spread(self, weights: Sequence[Tensor]) -> Tensor:
        """Mean over the resolutions, shape ``(..., n_bins)``, of weights of shape ``(..., bins)``."""
        return sum(each @ getattr(self, f"share_{i}") for i, each in enumerate(weights)) / self.n  # type: ignore[return-value]

    def uniform(self) -> Tensor:
        """What equal weights of all bins of a resolution become."""
        return sum(getattr(self, f"share_{i}").mean(0) for i in range(self.n)) / self.n  # type: ignore[return-value]


def _pool(x: Tensor, factor: int) -> Tensor:
    """Mean of every ``factor`` bins, shape ``(batch, n_marks, bins)``; the last may be of fewer."""
    return x if factor == 1 else nn.functional.avg_pool1d(x, min(factor, x.shape[2]), ceil_mode=True)

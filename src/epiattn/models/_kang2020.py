"""The published model of Kang et al. 2020."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from epiattn import _keys as k
from epiattn._modalities import kind
from epiattn.nn import HistoneCRNN, MethylationRNN, MultiAttentionFusion, RegulatoryNetwork, ScoreHead, TFSelfAttention

from ._base import RegulatoryModel

if TYPE_CHECKING:
    from mudata import MuData


class Kang2020(RegulatoryModel):
    """Histone marks, DNA methylation and TFs, each with its encoder, joined by a multi-attention block.

    The published architecture with its errors corrected (attention on padding, misaligned multi-attention weights,
    discarded TF attention). Any subset of the modalities works; all sizes are read from the data.

    Parameters
    ----------
    mdata
        Object set up with :meth:`setup_mudata`.
    registry
        Registry of a saved model (used by :meth:`load` without data).
    target
        ``"label"`` (low or high) or ``"expression"`` (regression).
    loss
        ``"bce"`` (default), ``"focal"`` or ``"pairwise"`` for labels; ``"huber"`` for expression.
    normalization
        Transformation of the signal before it is scaled: ``"log1p"``, ``"arcsinh"`` or ``"none"``.
    scale_by
        Column of ``obs``, by whose groups each mark is first scaled to one mean, so that depth does not matter;
        ``None``: it is not. Learned without labels, for new groups from the object that holds them.
    n_kernels, kernel_size, pool_size
        Convolution over the bins: kernels, their width, and the width of the max-pooling.
    n_hidden_histone, n_hidden_methylation
        LSTM units in each direction.
    n_hidden_tf, n_context_tf
        Size of the TFs' queries and keys, and of their context vector.
    n_attention
        Units of the scoring layer of the additive attentions.
    n_heads
        Attentions in the multi-attention block.
    n_hidden_head, dropout
        Hidden units of the head, and the share of them that is dropped in training.
    modality_dropout
        Probability with which a modality is hidden in training; above 0, the model can predict without some.
    reconstruction
        Weight of the error with which the signal that the attention saw is read back from the latent space, beside
        the loss of the prediction; see :class:`epiattn.nn.AttendedDecoder`. At 0, as published, the latent space
        holds the prediction and little else.

    References
    ----------
    Kang, Lee, Lee & Kim, Front. Genet. 11:869 (2020), doi 10.3389/fgene.2020.00869.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=120, cell_types=1)
    >>> mdata = attn.pp.split(mdata)
    >>> attn.models.Kang2020.setup_mudata(mdata)
    >>> model = attn.models.Kang2020(mdata)
    >>> model.train(max_epochs=1, enable_progress_bar=False)
    >>> model.get_latent_representation().shape
    (120, 105)
    """

    def __init__(
        self,
        mdata: MuData | None = None,
        registry: dict | None = None,
        *,
        target: str = "label",
        loss: str | None = None,
        normalization: str = "log1p",
        scale_by: str | None = k.CELL_TYPE,
        n_kernels: int = 20,
        kernel_size: int = 7,
        pool_size: int = 3,
        n_hidden_histone: int = 40,
        n_hidden_methylation: int = 10,
        n_hidden_tf: int = 30,
        n_context_tf: int = 5,
        n_attention: int = 16,
        n_heads: int = 10,
        n_hidden_head: int = 32,
        dropout: float = 0.0,
        modality_dropout: float = 0.0,
        reconstruction: float = 0.0,
    ) -> None:
        super().__init__(mdata, registry)
        encoders: dict[str, Any] = {}
        for modality, channels in self.channels.items():
            if kind(modality) == k.HISTONE:
                encoders[modality] = HistoneCRNN(
                    len(channels),
                    self.n_positions(modality),
                    n_kernels=n_kernels,
                    kernel_size=kernel_size,
                    pool_size=pool_size,
                    n_hidden=n_hidden_histone,
                    n_attention=n_attention,
                )
            elif kind(modality) == k.METHYLATION:
                encoders[modality] = MethylationRNN(
                    len(channels), n_hidden=n_hidden_methylation, n_attention=n_attention
                )
            else:
                encoders[modality] = TFSelfAttention(
                    self.n_positions(modality), len(channels), n_hidden=n_hidden_tf, n_context=n_context_tf
                )
        fusion = MultiAttentionFusion(
            {modality: encoder.n_context for modality, encoder in encoders.items()}, n_heads=n_heads
        )
        head = ScoreHead(fusion.n_latent, n_hidden=n_hidden_head, dropout=dropout)
        network = RegulatoryNetwork(encoders, fusion, head, modality_dropout=modality_dropout)
        self._build(
            network,
            target=target,
            loss=loss,
            normalization=normalization,
            scale_by=scale_by,
            reconstruction=reconstruction,
        )
        self.init_params_ = self._get_init_params(locals())

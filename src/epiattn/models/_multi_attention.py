"""Attention over marks, bins, CpGs, TFs and modalities, trained against over-fitting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from torch.nn import Dropout

from epiattn import _keys as k
from epiattn._modalities import kind
from epiattn._registry import Registry, fusions, histone_encoders, methylation_encoders, tf_encoders
from epiattn.nn import CpGAttention, HistoneAttention, RegulatoryNetwork, ScoreHead, TFAttention

from ._base import RegulatoryModel

if TYPE_CHECKING:
    from mudata import MuData


#: Training observations at which the share that is dropped begins and ends to fall, and the shares there.
_N_TRAIN, _DROPOUT = (2_000, 8_000), (0.5, 0.1)
_OWN_PARTS = (HistoneAttention, CpGAttention, TFAttention, ScoreHead)


class MultiAttention(RegulatoryModel):
    """Histone marks, DNA methylation and TFs, each with an attention of its own, joined by an attention over them.

    The idea is that of Kang et al. 2020 (:class:`Kang2020`); the parts are small, know places, and are trained
    against over-fitting: :class:`~epiattn.nn.HistoneAttention` (attention over marks and bins),
    :class:`~epiattn.nn.CpGAttention` and :class:`~epiattn.nn.TFAttention` (sets), and
    :class:`~epiattn.nn.GatedFusion`, whose weights say which modality mattered for which gene. Any subset of the
    modalities works; all sizes are read from the data. Probabilities are calibrated on the validation part.

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
    histone_encoder, methylation_encoder, tf_encoder, fusion
        Names of the parts: ``"attention"`` or, as published, ``"crnn"``, ``"rnn"`` and ``"self_attention"``; fusions
        are ``"gated"``, ``"multi_attention"`` (published) and ``"concatenation"``. The sizes below are those of the
        default parts; others keep their own.
    n_features, n_queries, n_levels, kernel_size, n_blocks
        Of the encoder of histone marks; see :class:`~epiattn.nn.HistoneAttention`.
    n_features_methylation, n_features_tf
        Features of each CpG and of each TF.
    n_latent
        Size of the latent space.
    n_hidden_head
        Hidden units of the head.
    dropout
        Share of what the attentions read, and of the head's hidden units, that is dropped in training. ``None``: 0.5
        up to 2,000 training observations, 0.1 from 8,000 on, and between these by the logarithm of their number.
    modality_dropout
        Probability with which a modality is hidden in training; above 0, the model can predict without some.
    reconstruction
        Weight of the error with which the signal that the attention saw is read back from the latent space, beside
        the loss of the prediction; see :class:`epiattn.nn.AttendedDecoder`. At 0, the latent space holds the prediction
        and little else.
    expression_weight
        Weight of a second target beside the labels: the expression, where ``mdata["rna"]`` holds it. 0: none.
    label_noise
        Scale of the error of the expression that the labels come from, in its units (``mdata["rna"].X``): genes near
        the threshold count as high with a probability, not as high or low. 0: none.
    mixup
        Training mixes two observations in shares from a beta distribution with this parameter (1: uniform); 0: none.
        Not with the losses ``"focal"`` and ``"pairwise"``, which need labels of 0 and 1.
    gain_noise
        Training multiplies each mark of each observation by a random factor; this is the standard deviation of its
        logarithm. For marks of other depth, antibodies and laboratories. 0: none.

    References
    ----------
    Kang, Lee, Lee & Kim, Front. Genet. 11:869 (2020), doi 10.3389/fgene.2020.00869; Zhang, Cisse, Dauphin & Lopez-Paz,
    ICLR (2018), arXiv 1710.09412 (mixup).

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=120, cell_types=1)
    >>> mdata = attn.pp.split(mdata)
    >>> attn.models.MultiAttention.setup_mudata(mdata)
    >>> model = attn.models.MultiAttention(mdata)
    >>> model.train(max_epochs=1, enable_progress_bar=False)
    >>> model.get_latent_representation().shape
    (120, 64)
    """

    _lr, _weight_decay, _n_seen, _epochs, _calibrates = 2e-3, 0.05, 120_000, (10, 30), True

    def __init__(
        self,
        mdata: MuData | None = None,
        registry: dict | None = None,
        *,
        target: str = "label",
        loss: str | None = None,
        normalization: str = "log1p",
        scale_by: str | None = k.CELL_TYPE,
        histone_encoder: str = "attention",
        methylation_encoder: str = "attention",
        tf_encoder: str = "attention",
        fusion: str = "gated",
        n_features: int = 48,
        n_queries: int = 8,
        n_levels: int = 4,
        kernel_size: int = 5,
        n_blocks: int = 2,
        n_features_methylation: int = 16,
        n_features_tf: int = 8,
        n_latent: int = 64,
        n_hidden_head: int = 32,
        dropout: float | None = None,
        modality_dropout: float = 0.0,
        reconstruction: float = 0.5,
        expression_weight: float = 0.3,
        label_noise: float = 0.2,
        mixup: float = 0.3,
        gain_noise: float = 0.1,
    ) -> None:
        super().__init__(mdata, registry)
        share = _DROPOUT[-1] if dropout is None else dropout
        encoders: dict[str, Any] = {}
        for modality, channels in self.channels.items():
            n, n_positions = len(channels), self.n_positions(modality)
            if kind(modality) == k.HISTONE:
                encoders[modality] = _make(
                    histone_encoders,
                    histone_encoder,
                    n,
                    n_positions,
                    n_features=n_features,
                    n_queries=n_queries,
                    n_levels=n_levels,
                    kernel_size=kernel_size,
                    n_blocks=n_blocks,
                    dropout=share,
                )
            elif kind(modality) == k.METHYLATION:
                place = channels.index(k.POSITION) if k.POSITION in channels else None
                size = {"n_features": n_features_methylation, "place": place, "dropout": share}
                encoders[modality] = _make(methylation_encoders, methylation_encoder, n, **size)
            else:
                size = {"n_features": n_features_tf, "dropout": share}
                encoders[modality] = _make(tf_encoders, tf_encoder, n_positions, n, **size)
        contexts = {name: encoder.n_context for name, encoder in encoders.items()}
        joined = _make(fusions, fusion, contexts, n_latent=n_latent)
        head = ScoreHead(joined.n_latent, n_hidden=n_hidden_head, dropout=share)
        network = RegulatoryNetwork(encoders, joined, head, modality_dropout=modality_dropout)
        self._build(
            network,
            target=target,
            loss=loss,
            normalization=normalization,
            scale_by=scale_by,
            reconstruction=reconstruction,
            expression_weight=expression_weight,
            label_noise=label_noise,
            mixup=mixup,
            gain_noise=gain_noise,
        )
        parts = [part for part in network.modules() if isinstance(part, _OWN_PARTS)] if dropout is None else []
        #: Layers of which the training chooses what they drop, and how much of the share that is.
        self._droppers = {
            layer: layer.p / share for part in parts for layer in part.modules() if type(layer) is Dropout
        }
        self.init_params_ = self._get_init_params(locals())

    def _adapt(self, n_train: int) -> None:
        for layer, part in self._droppers.items():
            layer.p = part * dropout_for(n_train)


def dropout_for(n_train: int) -> float:
    """The share that is dropped, by the number of training observations.

    Parameters
    ----------
    n_train
        Observations of the training part.

    Returns
    -------
    0.5 up to 2,000 observations and 0.1 from 8,000 on; between these it falls with the logarithm of the number.
    """
    return float(np.interp(np.log(max(n_train, 1)), np.log(_N_TRAIN), _DROPOUT))


def _make(registry: Registry, name: str, *sizes: Any, **options: Any) -> Any:
    """A part of the network; the options are those of the default part, the first of its registry."""
    return registry[name].load()(*sizes, **(options if name == next(iter(registry)) else {}))

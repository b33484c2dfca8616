"""HM-CRNN: the histone branch of Kang et al. 2020, alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from epiattn import _keys as k
from epiattn.nn import Concatenation, HistoneCRNN, RegulatoryNetwork, ScoreHead

from ._histone_model import HistoneModel

if TYPE_CHECKING:
    from mudata import MuData


class HMCRNN(HistoneModel):
    """Convolution, BiLSTM and attention over the bins of all histone marks, and a head: no fusion, nothing else read.

    What :class:`Kang2020` does to histone marks, without its multi-attention block; marks and bins are read from
    the data. Published training: Adam, learning rate 0.001, batches of 16, 20 epochs, focal loss. Here it is trained as
    all models of the package are; see :meth:`train`.

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
    n_hidden
        LSTM units in each direction.
    n_attention
        Units of the scoring layer of the attention.
    n_hidden_head, dropout
        Hidden units of the head, and the share of them that is dropped in training.
    reconstruction
        See :class:`Kang2020`; 0, as published: none.

    References
    ----------
    Kang, Lee, Lee & Kim, Front. Genet. 11:869 (2020), doi 10.3389/fgene.2020.00869.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=150, cell_types=1)
    >>> mdata = attn.tl.fit(mdata, model="hm_crnn", max_epochs=1)
    >>> mdata.obsm["X_attn"].shape
    (150, 80)
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
        n_hidden: int = 40,
        n_attention: int = 16,
        n_hidden_head: int = 32,
        dropout: float = 0.0,
        reconstruction: float = 0.0,
    ) -> None:
        super().__init__(mdata, registry)
        encoders = {
            modality: HistoneCRNN(
                len(marks),
                self.n_positions(modality),
                n_kernels=n_kernels,
                kernel_size=kernel_size,
                pool_size=pool_size,
                n_hidden=n_hidden,
                n_attention=n_attention,
            )
            for modality, marks in self.channels.items()
        }
        fusion = Concatenation({modality: encoder.n_context for modality, encoder in encoders.items()})
        head = ScoreHead(fusion.n_latent, n_hidden=n_hidden_head, dropout=dropout)
        network = RegulatoryNetwork(encoders, fusion, head)
        self._build(
            network,
            target=target,
            loss=loss,
            normalization=normalization,
            scale_by=scale_by,
            reconstruction=reconstruction,
        )
        self.init_params_ = self._get_init_params(locals())

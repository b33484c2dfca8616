"""AttentiveChrome (Singh et al. 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from epiattn import _keys as k
from epiattn.nn import AttentiveChromeRNN, Concatenation, LinearHead, RegulatoryNetwork

from ._histone_model import HistoneModel

if TYPE_CHECKING:
    from mudata import MuData


class AttentiveChrome(HistoneModel):
    """A BiLSTM and attention over the bins of each histone mark, then a BiLSTM and attention over the marks.

    The published architecture; marks and bins are read from the data (published: 5 marks, 100 bins of 100 bp). It reads
    histone modalities only. Its attention tells *which mark* and *where*: the weight of a bin in a mark is the mark's
    weight times the bin's weight within the mark, ``get_attention(modality="histone", per_mark=True)``.

    Published training: one gene at a time, learning rate 0.001, clipped gradients. Here it is trained as all models of
    the package are; see :meth:`train`.

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
    n_hidden, n_hidden_marks
        LSTM units in each direction, over the bins of a mark and over the marks.
    dropout
        Share of the states of the LSTMs that is dropped in training.
    reconstruction
        See :class:`Kang2020`; 0, as published: none.

    References
    ----------
    Singh, Lanchantin, Sekhon & Qi, NeurIPS (2017), arXiv 1708.00339.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=150, cell_types=1)
    >>> mdata = attn.tl.fit(mdata, model="attentive_chrome", max_epochs=1)
    >>> mdata["histone"].layers["attn_attention_H3K4me3"].shape
    (150, 40)
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
        n_hidden: int = 32,
        n_hidden_marks: int = 16,
        dropout: float = 0.5,
        reconstruction: float = 0.0,
    ) -> None:
        super().__init__(mdata, registry)
        encoders = {
            modality: AttentiveChromeRNN(
                len(marks),
                self.n_positions(modality),
                n_hidden=n_hidden,
                n_hidden_marks=n_hidden_marks,
                dropout=dropout,
            )
            for modality, marks in self.channels.items()
        }
        fusion = Concatenation({modality: encoder.n_context for modality, encoder in encoders.items()})
        network = RegulatoryNetwork(encoders, fusion, LinearHead(fusion.n_latent))
        self._build(
            network,
            target=target,
            loss=loss,
            normalization=normalization,
            scale_by=scale_by,
            reconstruction=reconstruction,
        )
        self.init_params_ = self._get_init_params(locals())

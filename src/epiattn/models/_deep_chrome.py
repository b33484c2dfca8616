"""DeepChrome (Singh et al. 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from epiattn import _keys as k
from epiattn.nn import Concatenation, DeepChromeCNN, LinearHead, RegulatoryNetwork

from ._histone_model import HistoneModel

if TYPE_CHECKING:
    from mudata import MuData


class DeepChrome(HistoneModel):
    """One convolution over all histone marks and a multi-layer perceptron.

    The published architecture; marks and bins are read from the data (published: 5 marks, 100 bins of 100 bp). It reads
    histone modalities only. Its last hidden layer is the latent space. **It has no attention**: what is written as such
    is the same for all bins and genes, and ``uns[key]["attends"]`` says so.

    Published training: stochastic gradient descent, one gene at a time, learning rate 0.001, 100 epochs. Here it is
    trained as all models of the package are; see :meth:`train`.

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
        Units of the hidden layers; the last number is the size of the latent space.
    dropout
        Share of the pooled features that is dropped in training.
    reconstruction
        See :class:`Kang2020`; 0, as published: none.

    References
    ----------
    Singh, Lanchantin, Robins & Qi, Bioinformatics 32:i639 (2016), doi 10.1093/bioinformatics/btw427.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=150, cell_types=1)
    >>> mdata = attn.tl.fit(mdata, model="deep_chrome", max_epochs=1)
    >>> mdata.obsm["X_attn"].shape
    (150, 125)
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
        n_kernels: int = 50,
        kernel_size: int = 10,
        pool_size: int = 5,
        n_hidden: Sequence[int] = (625, 125),
        dropout: float = 0.5,
        reconstruction: float = 0.0,
    ) -> None:
        super().__init__(mdata, registry)
        encoders = {
            modality: DeepChromeCNN(
                len(marks),
                self.n_positions(modality),
                n_kernels=n_kernels,
                kernel_size=kernel_size,
                pool_size=pool_size,
                n_hidden=n_hidden,
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

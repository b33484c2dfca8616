"""Chromoformer (Lee et al. 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from epiattn import _keys as k
from epiattn.nn import ChromoformerNetwork, DistalEncoder, PromoterEncoder, RegulationFusion, ScoreHead

from ._fields import ChannelField
from ._histone_model import HistoneModel

if TYPE_CHECKING:
    from mudata import MuData


class Chromoformer(HistoneModel):
    """Transformers over histone marks at several resolutions, for promoters alone or with the regions that they touch.

    At each resolution, self-attention over the window gives an embedding of the TSS's bin; where there are regions,
    attention of this embedding to each of them gives a pairwise interaction; and self-attention among the embedding
    and the interactions gives the regulation. The regulations of all resolutions, concatenated, are the latent space.
    Published: 7 marks, windows of 40 kb, up to 8 regions of up to 40 kb, bins of 2,000, 500 and 100 bp.

    Resolutions that the object holds as modalities (``histone_500bp``) are read from there; others are averages of the
    normalised signal over neighbouring bins. Of an object the model reads histone modalities and, if there is one, the
    modality ``distal``, which holds a number of region slots with the same bins each:

    * ``var``: slots x bins, a slot's bins together, in genomic order; ``start`` and ``end`` of a bin, in bp relative
      to the region's centre, the same in all slots;
    * ``layers``: one per mark, and ``frequency``, the normalised frequency of the promoter's interaction with the
      region, repeated in all its bins; 0 means that the slot is empty. A promoter may have no region at all.

    The frequency, scaled as any channel is, times a learned factor is added to the scores of the promoter in the
    regulation's attention, which is gated. To leave the regions out: ``channels={"histone": [...]}``. Other models
    never read them.

    Published training: AdamW, learning rate 3e-5, 13 % less after each epoch, batches of 64, 10 epochs. Here it is
    trained as all models are, with a lower learning rate, 3e-4 (the other models' 1e-2 is too high for transformers).

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
    resolutions
        Widths of the bins in bp, each a multiple of the width of the object's bins.
    n_features
        Features of a bin, of a promoter and of an interaction, at each resolution.
    n_inner, n_layers, n_heads, n_hidden
        Features of all heads of an attention together, layers, heads and feed-forward units of the embedding, the
        pairwise and the regulation transformer.
    n_hidden_head
        Hidden units of the head.
    dropout
        Share of the sub-layers' outputs that is dropped in training.
    reconstruction
        See :class:`Kang2020`; 0, as published: none.

    Raises
    ------
    ValueError
        If bins have no coordinates, do not cover the TSS, cannot be joined to a resolution, or feed none of them, or
        the modality ``distal`` is not as above.

    References
    ----------
    Lee, Yang & Kim, Nat. Commun. 13:6678 (2022), doi 10.1038/s41467-022-34152-5.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=150, cell_types=1)
    >>> mdata = attn.tl.fit(mdata, model="chromoformer", max_epochs=1)
    >>> mdata.obsm["X_attn"].shape
    (150, 384)
    """

    _optional = (k.DISTAL,)
    _lr = 3e-4

    def __init__(
        self,
        mdata: MuData | None = None,
        registry: dict | None = None,
        *,
        target: str = "label",
        loss: str | None = None,
        normalization: str = "log1p",
        scale_by: str | None = k.CELL_TYPE,
        resolutions: Sequence[int] = (2_000, 500, 100),
        n_features: int = 128,
        n_inner: tuple[int, int, int] = (128, 128, 256),
        n_layers: tuple[int, int, int] = (1, 2, 6),
        n_heads: tuple[int, int, int] = (2, 2, 8),
        n_hidden: tuple[int, int, int] = (128, 256, 256),
        n_hidden_head: int = 128,
        dropout: float = 0.0,
        reconstruction: float = 0.0,
    ) -> None:
        super().__init__(mdata, registry)
        names = ("n_inner", "n_layers", "n_heads", "n_hidden")
        embedding, pairwise, regulation = (
            {"dropout": dropout, **dict(zip(names, sizes, strict=True))}
            for sizes in zip(n_inner, n_layers, n_heads, n_hidden, strict=True)
        )
        sources = self._sources(resolutions)
        encoders: dict[str, Any] = {}
        for modality, own in sources.items():
            start, end = self._bins(modality)
            factors = [resolution // (end[0] - start[0]) for resolution in own]
            centre = int(np.flatnonzero((start <= 0) & (end > 0))[0])
            n_marks = len(self.channels[modality])
            encoders[modality] = PromoterEncoder(
                n_marks, len(start), factors, centre=centre, n_features=n_features, **embedding
            )
        if k.DISTAL in self.channels:
            n_regions, n_bins, size = self._regions()
            factors = [_factor(k.DISTAL, size, resolution) for own in sources.values() for resolution in own]
            marks = self.channels[k.DISTAL]
            encoders[k.DISTAL] = DistalEncoder(
                len(marks) - 1,
                n_regions,
                n_bins,
                factors=factors,
                frequency=marks.index(k.FREQUENCY),
                n_features=n_features,
                **pairwise,
            )
        fusion = RegulationFusion(len(encoders), len(resolutions), n_features, **regulation)
        head = ScoreHead(fusion.n_latent, n_hidden=n_hidden_head)
        network = ChromoformerNetwork(encoders, fusion, head)
        self._build(
            network,
            target=target,
            loss=loss,
            normalization=normalization,
            scale_by=scale_by,
            reconstruction=reconstruction,
        )
        self.init_params_ = self._get_init_params(locals())

    def _bins(self, modality: str) -> tuple[np.ndarray, np.ndarray]:
        """Where the bins of a modality start and end, in bp relative to the TSS."""
        state = self._state(modality)
        if ChannelField.START not in state:
            msg = f"Chromoformer needs to know where bins are: mdata[{modality!r}].var needs columns 'start' and 'end'."
            raise ValueError(msg)
        return state[ChannelField.START], state[ChannelField.END]

    def _sources(self, resolutions: Sequence[int]) -> dict[str, list[int]]:
        """Which resolutions are made of which modality: one with bins of that width, or else the finest."""
        widths = {}
        for modality in self.channels:
            if modality != k.DISTAL:
                start, end = self._bins(modality)
                widths[modality] = int(end[0] - start[0])
                if not ((start <= 0) & (end > 0)).any():
                    msg = f"mdata[{modality!r}].var: no bin covers the TSS (start <= 0 < end)."
                    raise ValueError(msg)
        sources: dict[str, list[int]] = {modality: [] for modality in widths}
        finest = min(widths, key=lambda modality: widths[modality])
        for resolution in resolutions:
            source = next((name for name, width in widths.items() if width == resolution), finest)
            _factor(source, widths[source], resolution)
            sources[source].append(resolution)
        if idle := [modality for modality, own in sources.items() if not own]:
            msg = (
                f"Nothing at the resolutions {list(resolutions)} is made of {idle}: leave them out with channels=, or "
                f"name their bin width in resolutions ({ {name: widths[name] for name in idle} })."
            )
            raise ValueError(msg)
        return sources

    def _regions(self) -> tuple[int, int, int]:
        """Region slots, bins of each, and their width in bp."""
        where = f"mdata[{k.DISTAL!r}]"
        if k.FREQUENCY not in self.channels[k.DISTAL] or len(self.channels[k.DISTAL]) == 1:
            msg = f"{where} needs the layer {k.FREQUENCY!r} and one layer per mark; it has {self.channels[k.DISTAL]}."
            raise ValueError(msg)
        start, end = self._bins(k.DISTAL)
        n_regions = int((start == start[0]).sum())
        n_bins = len(start) // n_regions
        if not np.array_equal(start, np.tile(start[:n_bins], n_regions)):
            msg = (
                f"{where}.var: all region slots must have the same bins, one slot after the other, but 'start' does "
                f"not repeat every {n_bins} bins."
            )
            raise ValueError(msg)
        return n_regions, n_bins, int(end[0] - start[0])


def _factor(modality: str, width: int, resolution: int) -> int:
    """How many bins make one."""
    if resolution % width:
        msg = (
            f"Bins of {resolution} bp cannot be made of those of mdata[{modality!r}], which are {width} bp wide: pass "
            f"resolutions= with multiples of {width}."
        )
        raise ValueError(msg)
    return resolution // width

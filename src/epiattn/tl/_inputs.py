"""Where marks, CpGs and TFs lie in the inputs of a trained model, and in which units they are there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse

from epiattn import _keys as k
from epiattn._messages import did_you_mean
from epiattn._modalities import kind, measured
from epiattn._regions import bins_of

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

    from ._trained import Trained

Region = tuple[float, float]


class Place(NamedTuple):
    """A mark in the inputs: its modality, and which of its channels it is."""

    modality: str
    channel: int


class Inputs:
    """The inputs of the models of a run, as edits need to know them.

    Models see the signal of a mark times a factor, where they bring all cell types to one level.

    Parameters
    ----------
    mdata
        The object.
    trained
        The models, and the tensors of the object.
    """

    def __init__(self, mdata: MuData, trained: Trained) -> None:
        self.mdata, self.trained = mdata, trained
        self.channels = trained.channels
        self.signal = {name: marks for name, marks in self.channels.items() if kind(name) == k.HISTONE}

    def adata(self, place: Place) -> AnnData:
        """The modality of a mark."""
        return self.mdata[place.modality]

    def find(self, mark: str) -> list[Place]:
        """Where a mark is: at all resolutions (not in distal regions), unless the modality is named.

        Raises
        ------
        ValueError
            If the model reads no such mark.
        """
        found = [
            Place(modality, i)
            for modality, marks in self.signal.items()
            for i, name in enumerate(marks)
            if mark == f"{modality}:{name}" or (mark == name and modality != k.DISTAL)
        ]
        if not found:
            known = list(dict.fromkeys(k.feature(name, each) for name, marks in self.signal.items() for each in marks))
            msg = f"The model reads no mark {mark!r}; it reads {known}.{did_you_mean(mark, known)}"
            raise ValueError(msg)
        return found

    def bins(self, place: Place, region: Region | None) -> np.ndarray:
        """Numbers of the bins whose middle lies in a region."""
        if region is None:
            return np.arange(self.adata(place).n_vars)
        return np.flatnonzero(bins_of(self.adata(place), place.modality, {text_of(region): region})[text_of(region)])

    def edges(self, place: Place) -> tuple[np.ndarray, np.ndarray]:
        """Where bins start and end, in bp from the TSS.

        Raises
        ------
        ValueError
            If the object does not say it.
        """
        adata = self.adata(place)
        if not {k.START, k.END} <= set(adata.var):
            msg = f"A shift in bp needs mdata[{place.modality!r}].var['start'] and ['end']."
            raise ValueError(msg)
        return adata.var[k.START].to_numpy(dtype=float), adata.var[k.END].to_numpy(dtype=float)

    def layer(self, place: Place) -> np.ndarray:
        """Signal in the object's units, float32, shape ``(n_obs, n_bins)``."""
        values = self.adata(place).layers[self.signal[place.modality][place.channel]]
        return np.asarray(values.toarray() if sparse.issparse(values) else values, dtype=np.float32)

    def is_measured(self, place: Place) -> np.ndarray:
        """Whether the mark was measured, shape ``(n_obs,)``."""
        return measured(self.adata(place), [self.signal[place.modality][place.channel]])[:, 0]

    def factor(self, place: Place) -> np.ndarray:
        """What models multiply the signal by before they scale it, float32, shape ``(n_obs,)``."""
        found = np.ones(self.mdata.n_obs, np.float32)
        for rows, members in self.trained.parts:
            factors = members[0].dataset.factors
            if place.modality in factors:
                found[rows] = factors[place.modality][:, place.channel]
        return found

    def as_seen_from(self, place: Place, source: np.ndarray) -> np.ndarray:
        """Signal of other observations, as the models of each observation see it, shape ``(n_obs, n_bins)``.

        Parameters
        ----------
        place
            The mark.
        source
            The other observation of each, shape ``(n_obs,)``; negative: none (its signal means nothing then).
        """
        found = self.layer(place)[source]
        for rows, members in self.trained.parts:
            depth = members[0].depth
            if depth is not None:
                found[rows] *= depth.factors(self.mdata)[place.modality][source[rows], place.channel, None]
        return found

    def in_cell_type(self, cell_type: str) -> np.ndarray:
        """The observation of the same gene in a cell type, shape ``(n_obs,)``; -1: there is none.

        Raises
        ------
        ValueError
            If genes or cell types have no names, or there is no such cell type.
        """
        import pandas as pd

        obs = self.mdata.obs
        if lacking := [name for name in (k.GENE_ID, k.CELL_TYPE) if name not in obs]:
            msg = f"To find a gene in another cell type, obs needs {lacking}."
            raise ValueError(msg)
        rows = np.flatnonzero(obs[k.CELL_TYPE].astype(str) == cell_type)
        if not len(rows):
            known = list(obs[k.CELL_TYPE].astype(str).unique())
            msg = f"Unknown cell type {cell_type!r}: obs['cell_type'] holds {known}.{did_you_mean(cell_type, known)}"
            raise ValueError(msg)
        genes = obs[k.GENE_ID].astype(str).to_numpy()
        if (twice := pd.Index(genes[rows]).duplicated()).any():
            msg = f"obs['gene_id']: the gene {genes[rows][twice][0]!r} occurs twice in the cell type {cell_type!r}."
            raise ValueError(msg)
        where = pd.Index(genes[rows]).get_indexer(genes)
        return np.where(where < 0, -1, rows[where])

    def only(self, which: str, what: str) -> str:
        """The name of the one modality of a kind.

        Raises
        ------
        ValueError
            If the model reads none.
        """
        for name in self.channels:
            if kind(name) == which:
                return name
        msg = f"The model reads no {what}: its modalities are {list(self.channels)}."
        raise ValueError(msg)

    def tfs(self, names: Sequence[str]) -> np.ndarray:
        """Numbers of TFs among those of the model.

        Raises
        ------
        ValueError
            If the object or the model does not know one.
        """
        modality = self.only(k.TF, "TFs")
        known = self.mdata[modality].var_names
        column = known.get_indexer(list(names))
        if (column < 0).any():
            unknown = names[int(np.argmin(column))]
            msg = f"Unknown TF {unknown!r}: not in mdata[{modality!r}].var_names.{did_you_mean(unknown, list(known))}"
            raise ValueError(msg)
        of_model = self.trained.parts[0][1][0].columns[modality]
        if lacking := [name for name, each in zip(names, column, strict=True) if each not in of_model]:
            msg = f"The model was trained without the TFs {lacking}, so that they have no effect."
            raise ValueError(msg)
        return np.flatnonzero(np.isin(of_model, column))


def text_of(region: Region) -> str:
    """A region for people."""
    return f"{region[0]:g} to {region[1]:g} bp"

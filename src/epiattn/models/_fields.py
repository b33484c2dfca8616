"""How scvi-tools' registry maps the layers and columns of a MuData."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scvi.data.fields import LayerField, MuDataNumericalObsField, MuDataWrapper

from epiattn import _keys as k
from epiattn._modalities import Channels, kind

if TYPE_CHECKING:
    from anndata import AnnData


def channel_key(modality: str, channel: str) -> str:
    """Registry key of one channel; scvi-tools' registry takes no dots, marks such as H2A.Z have one."""
    return f"{modality}/{channel}".replace(".", "\N{ONE DOT LEADER}")


class ChannelField(LayerField):
    """One channel of a modality: a layer that is read as it is (no copies, no conversion in the user's object).

    The state holds what new data must agree with: the bins' coordinates, or the names of the TFs.
    """

    START, END = "start", "end"

    def __init__(self, registry_key: str, layer: str, *, modality: str) -> None:
        super().__init__(registry_key, layer, is_count_data=False, correct_data_format=False)
        self.modality = modality

    def register_field(self, adata: AnnData) -> dict:
        """Remember the positions."""
        state = super().register_field(adata)
        state[self.COLUMN_NAMES_KEY] = adata.var_names.astype(str).to_numpy(dtype=object)
        if kind(self.modality) == k.HISTONE and {self.START, self.END} <= set(adata.var):
            for column in (self.START, self.END):
                state[column] = adata.var[column].to_numpy(dtype=np.int64)
        return state

    def transfer_field(self, state_registry: dict, adata_target: AnnData, **_: Any) -> dict:
        """Check that new data has the positions that the model was trained on; keep the trained state."""
        source, target = state_registry, self.register_field(adata_target)
        where = f"mdata[{self.modality!r}]"
        if kind(self.modality) == k.HISTONE:
            if target[self.N_VARS_KEY] != source[self.N_VARS_KEY]:
                msg = (
                    f"{where} has {target[self.N_VARS_KEY]} bins, the model was trained on {source[self.N_VARS_KEY]}: "
                    "build the new data with the window and bin size of the training data."
                )
                raise ValueError(msg)
            if self.START in source and self.START in target and not _same_bins(source, target):
                msg = (
                    f"{where}.var: the bins differ from those the model was trained on ({_range(source)}): here "
                    f"{_range(target)}."
                )
                raise ValueError(msg)
        elif kind(self.modality) == k.TF:
            lacking = sorted(set(source[self.COLUMN_NAMES_KEY]) - set(target[self.COLUMN_NAMES_KEY]))
            if lacking:
                msg = (
                    f"{where} lacks {len(lacking)} TFs that the model knows, such as {lacking[:3]}: add them as empty "
                    "columns if there is no evidence for them."
                )
                raise ValueError(msg)
        return source


def _same_bins(source: dict, target: dict) -> bool:
    return all(np.array_equal(source[column], target[column]) for column in (ChannelField.START, ChannelField.END))


def _range(state: dict) -> str:
    start, end = state[ChannelField.START], state[ChannelField.END]
    return f"{start[0]:+d} to {end[-1]:+d} bp in bins of {end[0] - start[0]} bp"


MuDataChannelField = MuDataWrapper(ChannelField)


def make_fields(channels: Channels) -> list:
    """Fields of all inputs. Labels, expression and split are no fields: new data need not have them."""
    fields = []
    for modality, names in channels.items():
        for name in names:
            key = channel_key(modality, name)
            fields.append(MuDataChannelField(key, name, modality=modality, mod_key=modality, mod_required=True))
        if kind(modality) == k.METHYLATION:
            fields.append(MuDataNumericalObsField(channel_key(modality, k.N_CPG), k.N_CPG, mod_key=modality))
    return fields

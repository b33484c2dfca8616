"""Messages name what is near."""

from __future__ import annotations

import pytest

import epiattn as attn
from epiattn._columns import column_of
from epiattn._messages import did_you_mean
from epiattn._results import run_of
from epiattn._validation import rows_of_genes


def test_only_what_is_close_is_named():
    assert did_you_mean("H3K4m3", ["H3K27ac", "H3K4me3"]) == " Did you mean 'H3K4me3'?"
    assert did_you_mean("CTCF", ["H3K27ac", "H3K4me3"]) == ""
    assert did_you_mean(1, []) == ""


def test_misspelt_names(mdata):
    mdata.obs["gene_name"] = ["LIN28A", *[f"x{i}" for i in range(1, mdata.n_obs)]]
    with pytest.raises(ValueError, match=r"obs\['celltype'\] is missing; the columns are .* mean 'cell_type'\?"):
        column_of(mdata, "celltype")
    with pytest.raises(ValueError, match=r"Unknown genes \['LIN28Z'\].* Did you mean 'LIN28A'\?"):
        rows_of_genes(mdata, ["LIN28Z"])
    mdata.uns["attn"] = {"attends": {}}
    with pytest.raises(ValueError, match=r"No fit under key 'atn'.*Did you mean 'attn'\?"):
        run_of(mdata, "atn")
    with pytest.raises(ValueError, match=r"obs\['labl'\].* Did you mean 'label'\?"):
        attn.tl.fit(mdata, label_key="labl", key_added="other", max_epochs=1)
    with pytest.raises(TypeError, match="Did you mean 'max_epochs'"):
        attn.tl.fit(mdata, epochs=1, key_added="other")


def test_misspelt_channels_are_not_looked_for_among_results(mdata):
    mark = str(next(iter(mdata["histone"].layers)))
    mdata["histone"].layers[f"old_attention_{mark}"] = mdata["histone"].layers[mark].copy()
    mdata["histone"].uns["epiattn"] = {"written": [f"old_attention_{mark}"]}
    with pytest.raises(ValueError, match=rf"Did you mean '{mark}'\?") as error:
        attn.tl.fit(mdata, channels={"histone": [f"{mark}x"]})
    assert "old_attention" not in str(error.value)
    with pytest.raises(TypeError, match=r"channels must be a mapping such as \{'histone': \['H3K4me3'\]\}"):
        attn.tl.fit(mdata, channels=[mark])

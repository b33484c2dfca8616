"""The page "Extend it" of the documentation runs as it stands, and what it promises is true."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

import epiattn as attn

PAGE = Path(__file__).parents[2] / "docs" / "user_guide" / "extend.md"
pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="the documentation is not here")


@pytest.fixture(scope="module")
def page(tmp_path_factory, forget_registered_by_file):
    """What the names of the page stand for when all its code has run, in a folder of its own."""
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    names: dict = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("page"))
        for block in blocks:
            exec(compile(block, PAGE.name, "exec"), names)
    return names


def test_the_mark_of_the_page_is_read(page):
    assert "bivalent" in page["mdata"].uns["attn"]["channels"]["histone"]


def test_the_model_of_the_page_is_trained_saved_and_loaded(page):
    mdata, again = page["mdata"], page["again"]
    assert mdata.uns["attn"]["model"] == "plain"
    assert np.allclose(mdata["histone"].layers["attn_attention"].sum(1), 1, atol=1e-5)
    assert np.allclose(mdata.obs["attn_score"], again.obs["attn_score"], atol=1e-5)


def test_the_baseline_and_the_model_of_the_page_are_compared(page):
    table, mdata = page["table"], page["mdata"]
    assert set(table.loc[table["metric"] == "auc", "model"]) == {"h3k27ac_peak", "logistic", "plain"}
    assert table.loc[table["metric"] == "auc", "value"].notna().all()
    highest = mdata["histone"].layers["H3K27ac"].max(1)
    score = mdata.obsm["benchmark_scores"]["h3k27ac_peak"]
    for rows in mdata.obs.groupby("benchmark_fold", observed=True).indices.values():
        # a logistic regression on one number keeps its order, or turns it round
        assert abs(spearmanr(score.iloc[rows], highest[rows]).statistic) > 0.999


def test_the_reader_of_the_page_reads(page):
    assert page["adata"].layers["H3K4me3"].tolist() == [[0.0, 4.0, 8.0, 0.0]]


def test_the_reader_of_the_page_may_stand_in_a_sample_sheet(page, tmp_path):
    (tmp_path / "a.wig").write_text("fixedStep chrom=chr1 start=901 step=100 span=100\n4\n8\n")
    (tmp_path / "sheet.csv").write_text("cell_type,assay,target,path,format\nH1,histone,H3K4me3,a.wig,wiggle\n")
    mdata = attn.io.build(tmp_path / "sheet.csv", annotation=page["genes"], window=200)
    assert mdata["histone"].layers["H3K4me3"].tolist() == [[0.0, 4.0, 8.0, 0.0]]

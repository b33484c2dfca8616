"""bigWigs of methylated fractions, against the CpGs that were written into them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pybigtools
import pytest

import epiattn as attn
from epiattn.io import _methylation_bigwig
from epiattn.io._methylation_bigwig import read_bigwig

LENGTHS = {"chr1": 50_000, "chr2": 20_000}


def write(path, rows):
    path.parent.mkdir(exist_ok=True)
    pybigtools.open(str(path), "w").write(LENGTHS, rows)
    return path


def read(path) -> pd.DataFrame:
    return pd.concat([piece.astype({"chrom": str}) for piece in read_bigwig(path)], ignore_index=True)


@pytest.fixture
def cpgs():
    """CpGs of both chromosomes at even places, with levels and reads."""
    rng = np.random.default_rng(0)
    rows = []
    for chrom, length in LENGTHS.items():
        for place in np.sort(rng.choice(length // 2 - 1, length // 60, replace=False)) * 2:
            rows.append((chrom, int(place), int(place) + 2, float(np.float32(rng.random())), int(rng.integers(1, 40))))
    return rows


@pytest.mark.parametrize("piece", [5_000_000, 1_001])
@pytest.mark.parametrize("width", [1, 2])
def test_every_interval_is_a_cpg_at_its_start(tmp_path, monkeypatch, cpgs, piece, width):
    monkeypatch.setattr(_methylation_bigwig, "_PIECE", piece)
    path = write(tmp_path / "a.bw", [(chrom, start, start + width, level) for chrom, start, _, level, _ in cpgs])
    table = read(path)
    assert table["chrom"].tolist() == [row[0] for row in cpgs]
    assert table["position"].tolist() == [row[1] for row in cpgs]
    np.testing.assert_array_equal(table["level"], [row[3] for row in cpgs])
    assert (table["coverage"] == 1).all()


@pytest.mark.parametrize("piece", [5_000_000, 1_001])
def test_reads_come_from_the_file_beside_it(tmp_path, monkeypatch, cpgs, piece):
    monkeypatch.setattr(_methylation_bigwig, "_PIECE", piece)
    fractions = [row[:4] for row in cpgs]
    reads = [(*row[:3], float(row[4])) for row in cpgs[1:]]  # one is lacking, which is then not measured
    for folder, other in (("one", "one"), ("FractionalMethylation_bigwig", "ReadCoverage_bigwig")):
        path = write(tmp_path / folder / "E003_WGBS_FractionalMethylation.bigwig", fractions)
        write(tmp_path / other / "E003_WGBS_ReadCoverage.bigwig", reads)
        assert read(path)["coverage"].tolist() == [row[4] for row in cpgs[1:]]


def test_a_run_of_cpgs_with_one_value_is_taken_apart(tmp_path):
    path = write(tmp_path / "a.bw", [("chr1", 100, 106, 0.5), ("chr1", 200, 202, 1.0)])
    assert read(path)["position"].tolist() == [100, 102, 104, 200]
    assert read(path)["level"].tolist() == [0.5, 0.5, 0.5, 1.0]


def test_percentages_and_values_that_were_not_measured(tmp_path):
    path = write(tmp_path / "a.bw", [("chr1", 100, 102, 75.0), ("chr1", 200, 202, -1.0), ("chr1", 300, 302, 1.0)])
    table = read(path)
    assert table["position"].tolist() == [100, 300]
    np.testing.assert_allclose(table["level"], [0.75, 0.01])


def test_what_is_no_bigwig_of_cpgs_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a\.bw: the interval chr1:100-300 is too long for CpGs"):
        read(write(tmp_path / "a.bw", [("chr1", 100, 300, 0.5)]))
    with pytest.raises(ValueError, match=r"b\.bw: values up to 250: neither a methylated fraction"):
        read(write(tmp_path / "b.bw", [("chr1", 100, 102, 250.0)]))


def test_read_methylation_tells_it_by_itself(tmp_path):
    path = write(
        tmp_path / "a.bigwig", [("chr1", 900, 902, 0.25), ("chr1", 1_400, 1_402, 1.0), ("chr1", 9_000, 9_002, 0.0)]
    )
    genes = pd.DataFrame({"chrom": ["1"], "tss": [1_000], "strand": ["-"]}, index=["TP53"])
    methylation = attn.io.read_methylation(path, genes)
    np.testing.assert_allclose(methylation.layers["position"], [[-0.2, 0.05]], rtol=1e-6)
    assert methylation.layers["beta"].tolist() == [[1.0, 0.25]]

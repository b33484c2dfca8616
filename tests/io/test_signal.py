"""Signal in bins around the TSS, against a dense array of bases."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epiattn._registry import Entry, signal_formats
from epiattn.io import _signal
from epiattn.io._overlaps import Intervals
from epiattn.io._signal import Track, bin_signal, check_bins, read_signal

LENGTHS = {"chr1": 3_000, "chr2": 2_000}
PAD = 5_000


class Memory(Track):
    """A file whose intervals are in `content`, in pieces of `size`."""

    content: pd.DataFrame
    size = 5
    lengths: Mapping[str, int | None] = LENGTHS
    readings = 0

    @property
    def chromosomes(self):
        return dict(self.lengths)

    def read(self, regions: Mapping[str, np.ndarray]) -> Iterator[tuple[str, Intervals]]:
        type(self).readings += 1
        for i in range(0, len(self.content), self.size):
            for chrom, rows in self.content.iloc[i : i + self.size].groupby("chrom", sort=False):
                if chrom in regions:
                    yield chrom, Intervals(*(rows[name].to_numpy() for name in ("start", "end", "value")))


class Unindexed(Memory):
    indexed = False


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mark.memory"
    path.write_text("x")
    return path


@pytest.fixture(autouse=True)
def _formats(monkeypatch):
    module = ModuleType("memory_formats")
    module.Memory, module.Unindexed = Memory, Unindexed
    monkeypatch.setitem(sys.modules, module.__name__, module)
    here = {name: Entry(f"memory_formats:{name}", "") for name in ("Memory", "Unindexed")}
    monkeypatch.setattr(signal_formats, "_entries", {**signal_formats._entries, **here})
    monkeypatch.setattr(Memory, "readings", 0)
    monkeypatch.setattr(Unindexed, "readings", 0)


@pytest.fixture
def hold(monkeypatch):
    """Say what files of these formats hold."""

    def hold(*rows):
        monkeypatch.setattr(Memory, "content", made(rows), raising=False)
        return made(rows)

    return hold


@pytest.fixture
def log(caplog, monkeypatch):
    from epiattn._logging import logger

    monkeypatch.setattr(logger, "propagate", True)
    return caplog


def made(rows) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["chrom", "start", "end", "value"])
    return table.astype({"start": "int64", "end": "int64", "value": "float64"})


def table_of(rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["chrom", "tss", "strand"], index=[f"g{i}" for i in range(len(rows))])


def naive(content: pd.DataFrame, genes: pd.DataFrame, window: int, bin_size: int, uncovered: float) -> np.ndarray:
    """Base by base."""
    result = []
    for gene in genes.itertuples():
        total, covered = np.zeros(2 * PAD + 3_000), np.zeros(2 * PAD + 3_000, bool)
        for row in content[content["chrom"] == gene.chrom].itertuples():
            if not np.isnan(row.value):
                total[PAD + row.start : PAD + row.end] += row.value
                covered[PAD + row.start : PAD + row.end] = True
        here = slice(PAD + gene.tss - window, PAD + gene.tss + window)
        total, covered = (x[here].reshape(-1, bin_size).sum(1) for x in (total, covered))
        values = total / (bin_size if uncovered == 0 else np.where(covered > 0, covered, np.nan))
        result.append(values[::-1] if gene.strand == "-" else values)
    return np.array(result)


GENES = table_of([("chr2", 700, "-"), ("chr1", 500, "+"), ("chr1", 100, "-"), ("chr1", 2_990, "+"), ("chr2", 720, "+")])

intervals = st.lists(
    st.tuples(
        st.sampled_from(list(LENGTHS)), st.integers(0, 1_900), st.integers(1, 700), st.sampled_from([0, 0.5, 3, np.nan])
    ).map(lambda row: (row[0], row[1], min(row[1] + row[2], LENGTHS[row[0]]), row[3])),
    max_size=25,
)


# --- values ----------------------------------------------------------------------------------------------------------


@settings(deadline=None, derandomize=True, max_examples=60)
@given(intervals, st.sampled_from([0.0, np.nan]), st.sampled_from([1, 4, 100]), st.sampled_from([1, 100]))
def test_bins_are_those_of_the_bases_on_both_strands(tmp_path_factory, rows, uncovered, batch, size):
    file = tmp_path_factory.getbasetemp() / "any.memory"
    file.write_text("x")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_signal, "_BATCH", batch)
        patch.setattr(Memory, "content", made(rows), raising=False)
        patch.setattr(Memory, "size", size)
        bins = bin_signal(file, "Unindexed", GENES, window=600, bin_sizes=(100, 40, 300), uncovered=uncovered)
    assert list(bins) == [100, 40, 300]
    for bin_size, values in bins.items():
        assert values.dtype == np.float32
        expected = naive(made(rows), GENES, 600, bin_size, uncovered)
        np.testing.assert_allclose(values, expected, rtol=1e-6, atol=1e-7)
        np.testing.assert_array_equal(values == 0, expected == 0)


@pytest.mark.parametrize("uncovered", [0.0, np.nan])
@pytest.mark.parametrize("format", ["Memory", "Unindexed"])
def test_each_bin_size_may_have_a_window_of_its_own(file, hold, format, uncovered):
    rng = np.random.default_rng(0)
    content = hold(*[("chr1", start, start + 30, float(rng.integers(0, 9))) for start in range(0, 2_900, 45)])
    sizes, windows = (100, 40, 300, 25), (200, 500, 600, 275)
    bins = bin_signal(file, format, GENES, window=windows, bin_sizes=sizes, uncovered=uncovered)
    for size, window in zip(sizes, windows, strict=True):
        expected = naive(content, GENES, window, size, uncovered)
        np.testing.assert_allclose(bins[size], expected, rtol=1e-6, atol=1e-7)


def test_a_bin_by_hand(file, hold):
    hold(("chr1", 400, 450, 6), ("chr1", 440, 500, 2), ("chr1", 530, 540, np.nan))
    genes = table_of([("chr1", 500, "+"), ("chr1", 500, "-")])
    bins = bin_signal(file, "Memory", genes, window=200, bin_sizes=(100,))[100]
    np.testing.assert_array_equal(bins, np.float32([[0, (50 * 6 + 60 * 2) / 100, 0, 0], [0, 0, 4.2, 0]]))
    bins = bin_signal(file, "Unindexed", genes, window=200, bin_sizes=(100,), uncovered=np.nan)[100]
    np.testing.assert_array_equal(bins, np.float32([[np.nan, 4.2, np.nan, np.nan], [np.nan, np.nan, 4.2, np.nan]]))


@pytest.mark.parametrize("uncovered", [0.0, np.nan])
def test_one_chromosome_of_a_track(file, hold, uncovered):
    content = hold(("chr1", 100, 900, 2), ("chr1", 950, 1_000, 7), ("chr2", 0, 2_000, 9))
    starts = np.array([700, -150, 2_990, 0, 4_000])
    with Memory(file) as track:
        bins = track.bins("chr1", starts, bin_size=50, n_bins=8, uncovered=uncovered)
    genes = table_of([("chr1", start + 200, "+") for start in starts])
    np.testing.assert_allclose(bins, naive(content, genes, 200, 50, uncovered), rtol=1e-6)
    assert bins.dtype == np.float32


def test_a_file_without_an_index_is_read_once_and_another_by_chromosome(file, hold):
    hold(("chr1", 100, 900, 2))
    bin_signal(file, "Unindexed", GENES, window=600, bin_sizes=(100, 300))
    assert Unindexed.readings == 1
    bin_signal(file, "Memory", GENES, window=600, bin_sizes=(100, 300))
    assert Memory.readings == 2


def test_nothing_is_read_far_from_the_genes(file, monkeypatch):
    asked = {}

    def read(self, regions):
        asked.update(regions)
        return iter(())

    monkeypatch.setattr(Memory, "read", read)
    monkeypatch.setattr(Memory, "lengths", {"chr1": 10**8, "chr2": None})
    genes = table_of([("chr1", 5_000_000, "+"), ("chr1", 5_000_900, "-"), ("chr1", 10**8 - 1, "-"), ("chr2", 100, "-")])
    assert not bin_signal(file, "Unindexed", genes, window=1_000, bin_sizes=(100,))[100].any()
    np.testing.assert_array_equal(asked["chr1"], [[4_999_000, 5_001_900], [10**8 - 1_001, 10**8]])
    np.testing.assert_array_equal(asked["chr2"], [[0, 1_100]])


# --- chromosomes and their ends --------------------------------------------------------------------------------------


@pytest.mark.parametrize("uncovered", [0.0, np.nan])
def test_genes_on_chromosomes_that_the_file_lacks_are_uncovered_and_reported(file, hold, log, uncovered):
    hold(("chr1", 0, 3_000, 1))
    genes = table_of([("chr9", 10**9, "+"), ("1", 500, "+")])
    bins = bin_signal(file, "Memory", genes, window=200, bin_sizes=(100,), uncovered=uncovered)[100]
    np.testing.assert_array_equal(bins, [[uncovered] * 4, [1] * 4])
    assert "chr9" in log.text
    assert "beyond" not in log.text


def test_no_shared_chromosome_is_an_error(file, hold):
    hold()
    with pytest.raises(ValueError, match=r"mark.memory: no chromosome of the genes \(chr9\) is in the file"):
        bin_signal(file, "Memory", table_of([("chr9", 5, "+")]), window=200, bin_sizes=(100,))


def test_two_names_of_one_chromosome(file, hold):
    hold(("chr1", 0, 3_000, 1))
    genes = table_of([("chr1", 500, "+"), ("1", 600, "-"), ("chr1", 700, "+")])
    assert (bin_signal(file, "Memory", genes, window=200, bin_sizes=(100,))[100] == 1).all()


@pytest.mark.parametrize("uncovered", [0.0, np.nan])
def test_bins_beyond_the_ends_are_uncovered_and_counted(file, hold, log, uncovered):
    hold(("chr1", 0, 3_000, 1))
    genes = table_of([("chr1", 150, "+"), ("chr1", 2_950, "-"), ("chr1", 400, "+")])
    bins = bin_signal(file, "Memory", genes, window=400, bin_sizes=(100,), uncovered=uncovered)[100]
    part = 0.5 if uncovered == 0 else 1  # the bin across the end
    expected = np.ones((3, 8))
    expected[0, :3] = uncovered, uncovered, part
    expected[1, :4] = uncovered, uncovered, uncovered, part
    np.testing.assert_array_equal(bins, expected)
    assert log.text.count("beyond the end") == 1
    assert "5 bins of 2 genes lie beyond the end of a chromosome" in log.text
    assert "'g0', 'g1'" in log.text


def test_nothing_is_reported_where_nothing_is_beyond(file, hold, log):
    hold(("chr1", 0, 3_000, 1))
    genes = table_of([("chr1", 400, "+"), ("chr1", 2_600, "-")])
    bin_signal(file, "Memory", genes, window=400, bin_sizes=(100,))
    assert not log.records


def test_a_tss_beyond_the_end_is_another_genome_build(file, hold, monkeypatch):
    hold()
    genes = table_of([("chr1", 2_999, "+"), ("chr2", 2_000, "+"), ("chr2", 1_999, "-"), ("chr1", 9_000, "-")])
    message = r"TSS of 2 of 4 genes .*'g1', 'g3'; chr2 has 2,000 bp there, the TSS is at 2,000.*another genome build"
    with pytest.raises(ValueError, match=message):
        bin_signal(file, "Memory", genes, window=200, bin_sizes=(100,))
    monkeypatch.setattr(Memory, "lengths", {"chr1": None, "chr2": None})  # a format that knows no lengths
    assert not bin_signal(file, "Memory", genes, window=200, bin_sizes=(100,))[100].any()


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "shown"), [(-1, "-1"), (np.inf, "inf"), (-1e-9, "-1e-09")])
def test_negative_and_infinite_values_are_refused_by_their_place(file, hold, value, shown):
    hold(("chr1", 400, 450, 6), ("chr1", 460, 470, value))
    with pytest.raises(ValueError, match=rf"mark.memory: chr1:460-470 has the value {shown}\. .*set .* to 0"):
        bin_signal(file, "Memory", GENES, window=200, bin_sizes=(100,))


def test_genes_are_checked(file, hold):
    hold()
    for genes, message in (
        (GENES.drop(columns="tss"), "tss"),
        (GENES.rename(index={"g1": "g0"}), "'g0'"),
        (GENES.assign(strand="x"), "strand"),
        (GENES.assign(tss=-1), "tss"),
        (GENES.iloc[:0], "no rows"),
    ):
        with pytest.raises(ValueError, match=message):
            bin_signal(file, "Memory", genes, window=200, bin_sizes=(100,))


def test_categorical_columns_will_do(file, hold):
    hold(("chr1", 100, 900, 2))
    genes = GENES.astype({"chrom": "category", "strand": "category", "tss": "int32"})
    expected = bin_signal(file, "Memory", GENES, window=200, bin_sizes=(100,))[100]
    np.testing.assert_array_equal(bin_signal(file, "Memory", genes, window=200, bin_sizes=(100,))[100], expected)


@pytest.mark.parametrize(("window", "size"), [(2_000, 300), (100, 0), (0, 100), (-100, 100), (100, -50), (50, 200)])
def test_bins_must_fit_into_the_window(window, size):
    with pytest.raises(ValueError, match=f"Bins of {size} bp do not fit into a window of {window} bp"):
        check_bins(window, (size,))
    with pytest.raises(ValueError, match="do not fit"):
        check_bins(window, (1, size))


def test_an_odd_number_of_bins_is_fine():
    check_bins(150, (100, 300))


@pytest.mark.parametrize("uncovered", [1.0, np.inf, -1])
def test_uncovered_bases_are_0_or_nan(file, hold, uncovered):
    hold()
    with pytest.raises(ValueError, match="uncovered must be 0 or nan"):
        bin_signal(file, "Memory", GENES, window=200, bin_sizes=(100,), uncovered=uncovered)


def test_an_unknown_format(file):
    with pytest.raises(ValueError, match="Unknown signal format 'bigwigg'.*Did you mean 'bigwig'"):
        bin_signal(file, "bigwigg", GENES, window=200, bin_sizes=(100,))


# --- read_signal -----------------------------------------------------------------------------------------------------


@pytest.fixture
def tracks(tmp_path):
    peaks = "chr1\t400\t450\tpeak\t900\t.\t6\t-1\t-1\t10\n"
    (tmp_path / "H3K4me3.rep1.narrowPeak").write_text(peaks)
    (tmp_path / "DNase.bedGraph").write_text("chr1\t450\t550\t2\n")
    return {"H3K4me3": tmp_path / "H3K4me3.rep1.narrowPeak", "DNase": str(tmp_path / "DNase.bedGraph")}


def test_a_layer_for_each_mark(tracks):
    genes = table_of([("chr1", 500, "+"), ("chr1", 500, "-")]).assign(biotype="protein_coding")
    adata = read_signal(tracks, genes, window=200, bin_size=50)
    assert adata.X is None
    assert [name for name in adata.layers if name is not None] == ["H3K4me3", "DNase"]
    pd.testing.assert_frame_equal(adata.obs, genes)
    assert adata.var["start"].tolist() == list(range(-200, 200, 50))
    assert adata.var["end"].tolist() == list(range(-150, 250, 50))
    assert adata.var_names[[0, 4]].tolist() == ["bin_-200_50bp", "bin_+0_50bp"]
    np.testing.assert_array_equal(adata.layers["H3K4me3"], [[0, 0, 6, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 6, 0, 0]])
    np.testing.assert_array_equal(adata.layers["DNase"], [[0, 0, 0, 2, 2, 0, 0, 0]] * 2)
    assert {adata.layers[name].dtype for name in ("H3K4me3", "DNase")} == {np.dtype("float32")}


def test_what_is_given_is_not_changed_with_the_result(tracks):
    genes = table_of([("chr1", 500, "+")])
    adata = read_signal(tracks, genes, window=200)
    adata.obs["tss"] = 3
    assert genes["tss"].tolist() == [500]


def test_one_file_is_named_by_its_name(tracks):
    genes = table_of([("chr1", 500, "+")])
    adata = read_signal(tracks["H3K4me3"], genes, window=200, uncovered=np.nan)
    np.testing.assert_array_equal(adata.layers["H3K4me3"], [[np.nan, 6, np.nan, np.nan]])


def test_formats_for_all_or_for_some(tracks):
    genes = table_of([("chr1", 500, "+")])
    for formats in ({"H3K4me3": "bed"}, {"H3K4me3": "bed", "DNase": "bedgraph"}):
        adata = read_signal(tracks, genes, window=200, formats=formats)
        np.testing.assert_array_equal(adata.layers["H3K4me3"], [[0, 450, 0, 0]])
        np.testing.assert_array_equal(adata.layers["DNase"], [[0, 1, 1, 0]])
    adata = read_signal(tracks["H3K4me3"], genes, window=200, formats="bed")
    np.testing.assert_array_equal(adata.layers["H3K4me3"], [[0, 450, 0, 0]])


def test_files_and_formats_must_go_together(tracks):
    genes = table_of([("chr1", 500, "+")])
    with pytest.raises(ValueError, match=r"formats names \['DNaze'\], but the marks are \['H3K4me3', 'DNase'\]"):
        read_signal(tracks, genes, formats={"DNaze": "bedgraph"})
    with pytest.raises(ValueError, match="files names no file"):
        read_signal({}, genes)
    with pytest.raises(FileNotFoundError, match="nowhere.bw"):
        read_signal("nowhere.bw", genes)
    with pytest.raises(FileNotFoundError, match="nowhere.bw"):
        read_signal("nowhere.bw", genes, formats="bigwig")


def test_the_result_can_be_written(tracks, tmp_path):
    import anndata

    adata = read_signal(tracks, table_of([("chr1", 500, "+"), ("chr2", 50, "-")]), window=200)
    adata.write_h5ad(tmp_path / "signal.h5ad")
    back = anndata.read_h5ad(tmp_path / "signal.h5ad")
    np.testing.assert_array_equal(back.layers["DNase"], adata.layers["DNase"])

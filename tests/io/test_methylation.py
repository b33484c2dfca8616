"""CpGs around each TSS: dialects, strands, windows, and files that are not as they should be."""

from __future__ import annotations

import gzip
from functools import partial

import anndata
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from epiattn._compat import new_mudata
from epiattn._modalities import find_channels
from epiattn._validation import check_values
from epiattn.io import _bismark, _methylation
from epiattn.io._bedmethyl import read_bedmethyl
from epiattn.io._bismark import read_bismark
from epiattn.io._methylation import CpGLists, cpg_lists, make_methylation, pool, read_methylation
from epiattn.io._methylkit import read_methylkit

OPTIONS = {"window": 100, "max_cpgs": 436, "min_coverage": 1, "merge_strands": True}


@pytest.fixture
def log(caplog, monkeypatch):
    from epiattn._logging import logger

    monkeypatch.setattr(logger, "propagate", True)
    return caplog


def make_genes(*rows):
    """``("chr1", 1_000, "+")``, …; their names are g0, g1, …"""
    return pd.DataFrame(rows, columns=["chrom", "tss", "strand"], index=[f"g{i}" for i in range(len(rows))])


def write(folder, lines, name="reads.bismark.cov"):
    path = folder / name
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())
    return path


def bismark(chrom, position, methylated, unmethylated):
    """A line for a 0-based position."""
    total = max(methylated + unmethylated, 1)
    return f"{chrom}\t{position + 1}\t{position + 1}\t{100 * methylated / total:g}\t{methylated}\t{unmethylated}"


def positions_of(path, format, genes, **options):
    """In bp from the TSS."""
    lists = cpg_lists(path, format, genes, **OPTIONS | options)
    return np.rint(lists.position * 100).astype(int).tolist()


def by_gene(lists: CpGLists):
    """``[(beta, position, coverage), …]`` of each gene."""
    ends = np.cumsum(lists.n_cpg)
    columns = [np.split(values, ends[:-1]) for values in lists[1:]]
    return [list(zip(*(part.tolist() for part in parts), strict=True)) for parts in zip(*columns, strict=True)]


# --- dialects: each of these lines says the same ---------------------------------------------------------------------

MODKIT = "chr1\t{0}\t{1}\t{2}\t{3}\t{4}\t{0}\t{1}\t255,0,0\t{3}\t{5}\t3\t1\t0\t0\t0\t0\t0"
MODBAM = "chr1\t{0}\t{1}\t{2}\t{3}\t{4}\t{0}\t{1}\t0,0,0\t{5}\t{6}"
DIALECTS = {
    "modkit": (
        read_bedmethyl,
        [
            MODKIT.format(10, 11, "m", 4, "+", "75.00"),
            MODKIT.format(10, 11, "h", 4, "+", "25.00"),
            MODKIT.format(11, 12, "h", 8, "-", "25.00"),
            MODKIT.format(11, 12, "m", 8, "-", "50.00"),
            MODKIT.format(12, 13, "a", 8, "-", "50.00"),
        ],
    ),
    "modkit, motifs": (
        read_bedmethyl,
        [MODKIT.format(10, 11, "m,CG,0", 4, "+", "75.00"), MODKIT.format(11, 12, "m,CG,0", 8, "-", "50.00")],
    ),
    "modkit, any modification of cytosine": (
        read_bedmethyl,
        ["#chrom\tstart", MODKIT.format(10, 11, "C", 4, "+", "75.00"), MODKIT.format(11, 12, "C", 8, "-", "50.00")],
    ),
    "modkit, blanks": (
        read_bedmethyl,
        [
            " ".join(MODKIT.format(10, 11, "m", 4, "+", "75.00").rsplit("\t", 8)),
            " ".join(MODKIT.format(11, 12, "m", 8, "-", "50.00").rsplit("\t", 8)),
        ],
    ),
    "modbam2bed": (  # half of 8 reads were called, and none of 5
        read_bedmethyl,
        [
            MODBAM.format(10, 11, "5mC", 500, "+", 8, "75.00"),
            MODBAM.format(11, 12, "5mC", 1000, "-", 8, "50.00"),
            MODBAM.format(11, 12, "5hmC", 1000, "-", 8, "50.00"),
            MODBAM.format(20, 21, "5mC", 0, "-", 5, "nan"),
        ],
    ),
    "ENCODE": (
        read_bedmethyl,
        [
            "track name=x",
            MODBAM.format(10, 11, ".", 4, "+", 4, 75),
            MODBAM.format(11, 12, ".", 8, "-", 8, 50),
            MODBAM.format(20, 21, ".", 0, "-", 0, 0),
        ],
    ),
    "methylKit": (
        read_methylkit,
        [
            "chrBase\tchr\tbase\tstrand\tcoverage\tfreqC\tfreqT",
            "chr1.11\tchr1\t11\tF\t4\t75.00\t25.00",
            "chr1.12\tchr1\t12\tR\t8\t50.00\t50.00",
            "chr1.20\tchr1\t20\tR\t0\tNA\tNA",
        ],
    ),
    "methylKit without header": (
        read_methylkit,
        ["chr1.11\tchr1\t11\t+\t4\t75.00\t25.00", "chr1.12\tchr1\t12\t-\t8\t50.00\t50.00"],
    ),
    "Bismark": (
        read_bismark,
        ["chr1\t11\t11\t75\t3\t1", "chr1\t12\t12\t49\t4\t4", "chr1\t13\t13\t0\t0\t0"],
    ),
}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("zipped", [False, True])
def test_every_dialect_gives_the_same_table(tmp_path, dialect, end, zipped):
    read, lines = DIALECTS[dialect]
    path = tmp_path / "file"
    content = end.join([*lines, ""]).encode()
    path.write_bytes(gzip.compress(content) if zipped else content)
    table = pd.concat(read(path))
    strand = [".", "."] if dialect == "Bismark" else ["+", "-"]
    assert table["chrom"].tolist() == ["chr1", "chr1"]
    assert table["position"].tolist() == [10, 11]
    assert table["strand"].tolist() == strand
    assert table["level"].tolist() == [0.75, 0.5]
    assert table["coverage"].tolist() == [4, 8]
    assert [str(table[name].dtype) for name in ("position", "level", "coverage")] == ["int64", "float64", "int64"]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_dialect_is_told_from_the_file_and_strands_are_merged(tmp_path, dialect):
    path = write(tmp_path, DIALECTS[dialect][1], "reads.txt")
    adata = read_methylation(path, make_genes(("chr1", 0, "+")), window=100)
    assert adata.layers["beta"].tolist() == [pytest.approx([7 / 12])]
    assert adata.layers["position"].tolist() == [pytest.approx([0.1])]
    assert adata.layers["coverage"].tolist() == [[12]]


def test_intervals_of_two_bases_are_at_their_start(tmp_path):
    lines = [MODBAM.format(10, 12, "5mC", 1000, ".", 8, "50"), MODBAM.format(14, 16, "5mC", 1000, ".", 8, "50")]
    assert pd.concat(read_bedmethyl(write(tmp_path, lines)))["position"].tolist() == [10, 14]
    path = write(tmp_path, ["chr1\t11\t12\t75\t3\t1", "chr1\t15\t16\t75\t3\t1"])
    assert pd.concat(read_bismark(path))["position"].tolist() == [10, 14]


# --- windows, worked out by hand -------------------------------------------------------------------------------------


def test_lists_run_from_5_to_3_prime_within_the_window(tmp_path):
    positions = [899, 900, 970, 1_000, 1_099, 1_100]
    path = write(tmp_path, [bismark("chr1", p, i, 10 - i) for i, p in enumerate(positions)])
    genes = make_genes(("chr1", 1_000, "+"), ("chr1", 1_000, "-"), ("chr1", 5_000, "+"))
    lists = cpg_lists(path, "bismark", genes, **OPTIONS | {"merge_strands": False})
    assert lists.n_cpg.tolist() == [4, 4, 0]
    plus, minus, none = by_gene(lists)
    expected = [(0.1, -1.0, 10), (0.2, -0.3, 10), (0.3, 0.0, 10), (0.4, 0.99, 10)]
    np.testing.assert_allclose(plus, expected, rtol=1e-6)
    np.testing.assert_allclose(minus, [(beta, -position, reads) for beta, position, reads in expected[::-1]], rtol=1e-6)
    assert none == []
    assert [values.dtype for values in lists] == [np.int64, np.float32, np.float32, np.int32]


def test_the_modality_is_as_the_data_model_says(tmp_path):
    path = write(tmp_path, [bismark("chr1", p, 1, 3) for p in (950, 1_050)])
    genes = make_genes(("chr1", 1_000, "+"), ("chr1", 1_000, "-"), ("chr2", 1_000, "-"), ("chr1", 1_120, "+"))
    adata = read_methylation(path, genes, window=100)
    assert adata.obs_names.tolist() == ["g0", "g1", "g2", "g3"]
    assert adata.var_names.tolist() == ["cpg_000", "cpg_001"]
    assert adata.obs["n_cpg"].tolist() == [2, 2, 0, 1]
    assert adata.uns["window"] == 100
    assert adata.layers["beta"].tolist() == [[0.25, 0.25], [0.25, 0.25], [0, 0], [0.25, 0]]
    np.testing.assert_allclose(adata.layers["position"], [[-0.5, 0.5], [-0.5, 0.5], [0, 0], [-0.7, 0]], rtol=1e-6)
    assert adata.layers["coverage"].tolist() == [[4, 4], [4, 4], [0, 0], [4, 0]]
    assert {layer.dtype for layer in adata.layers.values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("strand", ["+", "-"])
def test_the_nearest_cpgs_stay_and_of_two_the_upstream_one(tmp_path, strand):
    sign = 1 if strand == "+" else -1
    path = write(tmp_path, [bismark("chr1", 1_000 + sign * offset, 1, 0) for offset in (-30, -20, -10, 5, 20)])
    genes = make_genes(("chr1", 1_000, strand))
    assert positions_of(path, "bismark", genes, max_cpgs=3) == [-20, -10, 5]
    assert positions_of(path, "bismark", genes, max_cpgs=4) == [-20, -10, 5, 20]


# --- strands ---------------------------------------------------------------------------------------------------------


def kit(position, strand, coverage, percent):
    return f"x\tchr1\t{position + 1}\t{strand}\t{coverage}\t{percent}\t{100 - percent}"


def test_the_c_of_the_other_strand_joins_the_one_before_it_alone(tmp_path):
    lines = [kit(1_010, "F", 4, 100), kit(1_011, "R", 12, 0), kit(1_021, "R", 5, 40), kit(1_030, "F", 1, 0)]
    lines += [kit(1_031, "F", 1, 100)]  # on the same strand: another C
    path, genes = write(tmp_path, lines, "kit.txt"), make_genes(("chr1", 1_000, "+"))
    lists = cpg_lists(path, "methylkit", genes, **OPTIONS)
    assert np.rint(lists.position * 100).tolist() == [10, 20, 30, 31]
    np.testing.assert_allclose(lists.beta, [0.25, 0.4, 0, 1])
    assert lists.coverage.tolist() == [16, 5, 1, 1]
    assert positions_of(path, "methylkit", genes, merge_strands=False) == [10, 11, 21, 30, 31]


def test_without_strands_neighbours_are_one_cpg(tmp_path):
    # C G . C G C G . . C (only one strand read)
    positions = [1_010, 1_011, 1_013, 1_014, 1_015, 1_016, 1_019]
    path = write(tmp_path, [bismark("chr1", p, 1, 1) for p in positions])
    genes = make_genes(("chr1", 1_000, "+"))
    assert positions_of(path, "bismark", genes) == [10, 13, 15, 19]
    assert positions_of(path, "bismark", genes, merge_strands=False) == [10, 11, 13, 14, 15, 16, 19]


def test_strands_meet_across_the_border_of_a_window(tmp_path):
    genes = make_genes(("chr1", 1_000, "+"))
    lines = [kit(1_099, "F", 1, 100), kit(1_100, "R", 3, 0), kit(899, "F", 1, 0), kit(900, "R", 1, 0)]
    lists = cpg_lists(write(tmp_path, lines, "kit.txt"), "methylkit", genes, **OPTIONS)
    assert (lists.n_cpg.tolist(), lists.coverage.tolist(), lists.beta.tolist()) == ([1], [4], [0.25])
    cov = write(tmp_path, [bismark("chr1", p, 1, 0) for p in (899, 900, 1_099, 1_100)])
    lists = cpg_lists(cov, "bismark", genes, **OPTIONS)
    assert (lists.n_cpg.tolist(), lists.coverage.tolist()) == ([1], [2])


def test_the_least_coverage_is_that_of_both_strands(tmp_path):
    lines = [kit(1_010, "F", 2, 0), kit(1_011, "R", 2, 0), kit(1_020, "F", 3, 0)]
    path, genes = write(tmp_path, lines, "kit.txt"), make_genes(("chr1", 1_000, "+"))
    assert positions_of(path, "methylkit", genes, min_coverage=4) == [10]
    assert positions_of(path, "methylkit", genes, min_coverage=3) == [10, 20]


# --- against a naive implementation ----------------------------------------------------------------------------------


def naive(reads, genes, *, window, max_cpgs, min_coverage):
    """Lists of ``reads`` = ``[(chrom, position, methylated, unmethylated), …]`` with strands merged already."""
    counts: dict[tuple[str, int], list[int]] = {}
    for chrom, position, methylated, unmethylated in reads:
        total = counts.setdefault((chrom.removeprefix("chr"), position), [0, 0])
        total[0] += methylated
        total[1] += methylated + unmethylated
    result = []
    for gene in genes.itertuples():
        sign = 1 if gene.strand == "+" else -1
        found = [
            (sign * (position - gene.tss), methylated / coverage, coverage)
            for (chrom, position), (methylated, coverage) in counts.items()
            if chrom == gene.chrom.removeprefix("chr")
            and gene.tss - window <= position < gene.tss + window
            and coverage >= max(min_coverage, 1)
        ]
        nearest = sorted(found, key=lambda cpg: (abs(cpg[0]), cpg[0]))[:max_cpgs]
        result.append([(beta, distance / window, coverage) for distance, beta, coverage in sorted(nearest)])
    return result


READS = st.lists(
    st.tuples(st.sampled_from(["chr1", "chr2", "chrX"]), st.integers(0, 60), st.integers(0, 3), st.integers(0, 3)),
    min_size=1,
    max_size=60,
)
GENES = st.lists(
    st.tuples(st.sampled_from(["1", "chr2", "7"]), st.integers(0, 150), st.sampled_from("+-")), min_size=1, max_size=8
)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(READS, GENES, st.integers(1, 40), st.integers(1, 6), st.integers(1, 4), st.booleans())
def test_lists_agree_with_a_naive_implementation(
    tmp_path_factory, reads, rows, window, max_cpgs, min_coverage, in_pieces
):
    reads = [("chr1", 0, 1, 1), *((chrom, 2 * position, *counts) for chrom, position, *counts in reads)]
    genes = make_genes(("1", 3, "+"), *rows)
    path = write(tmp_path_factory.getbasetemp(), [bismark(*read) for read in reads])
    options = {"window": window, "max_cpgs": max_cpgs, "min_coverage": min_coverage}
    with pytest.MonkeyPatch.context() as patch:
        if in_pieces:
            patch.setattr(_bismark, "read_chunks", partial(_bismark.read_chunks, chunk_rows=4))
        lists = cpg_lists(path, "bismark", genes, merge_strands=True, **options)
    expected = naive(reads, genes, **options)
    assert lists.n_cpg.tolist() == [len(cpgs) for cpgs in expected]
    for found, cpgs in zip(by_gene(lists), expected, strict=True):
        np.testing.assert_allclose(found, cpgs, rtol=1e-6)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.sampled_from("FR"), st.integers(1, 4), st.integers(0, 4)), min_size=1),
    st.randoms(use_true_random=False),
)
def test_stranded_files_agree_with_a_naive_implementation_in_any_order(tmp_path_factory, reads, random):
    reads = [(2 * p + (strand == "R"), strand, n + m, m) for p, strand, n, m in reads]  # CpGs at even positions
    genes = make_genes(("chr1", 37, "+"), ("chr1", 20, "-"))
    options = {"window": 30, "max_cpgs": 9, "min_coverage": 2}
    expected = naive([("chr1", p - (s == "R"), m, n - m) for p, s, n, m in reads], genes, **options)
    random.shuffle(reads)
    lines = [kit(p, s, n, 100 * m / n) for p, s, n, m in reads]
    lists = cpg_lists(
        write(tmp_path_factory.getbasetemp(), lines, "kit.txt"), "methylkit", genes, merge_strands=True, **options
    )
    assert lists.n_cpg.tolist() == [len(cpgs) for cpgs in expected]
    for found, cpgs in zip(by_gene(lists), expected, strict=True):
        np.testing.assert_allclose(found, cpgs, rtol=1e-5, atol=1e-6)


# --- what is made of lists -------------------------------------------------------------------------------------------


def random_lists(seed, n_genes=30, most=9):
    rng = np.random.default_rng(seed)
    n_cpg = rng.integers(0, most, n_genes) * rng.integers(0, 2, n_genes)
    n = n_cpg.sum()
    offsets = np.concatenate([np.sort(rng.choice(200, size, replace=False)) for size in n_cpg]) - 100
    beta = rng.integers(0, 3, n) / 2
    return CpGLists(
        n_cpg,
        beta.astype(np.float32),
        (offsets / 100).astype(np.float32),
        rng.integers(1, 9, n).astype(np.int32),
    )


def test_large_layers_that_are_mostly_empty_are_csr(monkeypatch, tmp_path):
    lists, names = random_lists(0), pd.Index([f"g{i}" for i in range(30)])
    assert 0 < lists.n_cpg.sum() * 2 < 30 * lists.n_cpg.max()
    dense = make_methylation([lists], names, window=100)
    assert all(isinstance(layer, np.ndarray) for layer in dense.layers.values())
    monkeypatch.setattr(_methylation, "_SMALL", 0)
    csr = make_methylation([lists], names, window=100)
    for name, layer in csr.layers.items():
        assert sparse.issparse(layer)
        assert (layer.format, layer.dtype, layer.nnz) == ("csr", np.float32, lists.n_cpg.sum())  # zeros among them
        np.testing.assert_array_equal(layer.toarray(), dense.layers[name])
    csr.write_h5ad(tmp_path / "methylation.h5ad")
    assert anndata.read_h5ad(tmp_path / "methylation.h5ad").layers["beta"].nnz == lists.n_cpg.sum()
    full = CpGLists(np.full(3, 2), *(np.ones(6, np.float32) for _ in range(3)))
    assert isinstance(make_methylation([full], names[:3], window=100).layers["beta"], np.ndarray)


def test_models_take_csr_layers_as_dense_ones(monkeypatch):
    from epiattn.models._stores import CpGStore

    monkeypatch.setattr(_methylation, "_SMALL", 0)
    lists, names = random_lists(1), pd.Index([f"g{i}" for i in range(30)])
    adata = make_methylation([lists], names, window=100)
    mdata = new_mudata({"methylation": adata}, adata.obs[[]])
    channels = find_channels(mdata)
    assert channels == {"methylation": ["beta", "coverage", "position"]}
    check_values(mdata, channels)
    layers = [adata.layers[name] for name in channels["methylation"]]
    stores = [CpGStore(some, channels["methylation"], lists.n_cpg) for some in (layers, [x.toarray() for x in layers])]
    assert (stores[0].values == stores[1].values).all()
    adata.layers["beta"].data[0] = 2
    with pytest.raises(ValueError, match=r"beta.*outside \[0, 1\]"):
        check_values(mdata, channels)


def test_several_cell_types_are_put_on_top_of_each_other():
    parts = [random_lists(seed, n_genes=4) for seed in (2, 3)]
    index = pd.Index([f"g{i}@{name}" for name in "ab" for i in range(4)])
    adata = make_methylation(parts, index, window=100)
    assert adata.obs["n_cpg"].tolist() == [*parts[0].n_cpg, *parts[1].n_cpg]
    values = adata.layers["position"][np.arange(adata.n_vars) < adata.obs["n_cpg"].to_numpy()[:, None]]
    np.testing.assert_array_equal(values, np.concatenate([part.position for part in parts]))


def test_replicates_are_pooled_by_coverage(tmp_path):
    genes = make_genes(("chr1", 1_000, "+"), ("chr1", 1_050, "-"), ("chr2", 100, "+"))
    lines = [
        [bismark("chr1", p, 1 + p % 2, p % 3) for p in places] for places in ((950, 970, 1_020), (970, 1_020, 1_060))
    ]
    both = [cpg_lists(write(tmp_path, each, f"{i}.cov"), "bismark", genes, **OPTIONS) for i, each in enumerate(lines)]
    together = cpg_lists(write(tmp_path, lines[0] + lines[1]), "bismark", genes, **OPTIONS)
    pooled = pool(both, n_genes=3, max_cpgs=436)
    assert pooled.n_cpg.tolist() == [4, 4, 0]
    for found, expected in zip(pooled, together, strict=True):
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert pool(both, n_genes=3, max_cpgs=2).n_cpg.tolist() == [2, 2, 0]
    assert pool(both[:1], n_genes=3, max_cpgs=436) is both[0]
    none = pool([], n_genes=3, max_cpgs=436)
    assert none.n_cpg.tolist() == [0, 0, 0]
    assert [values.size for values in none[1:]] == [0, 0, 0]


# --- bad input -------------------------------------------------------------------------------------------------------

GOOD = {"bismark": "chr1\t11\t11\t75\t3\t1", "methylkit": kit(10, "F", 4, 75), "bedmethyl": DIALECTS["modkit"][1][0]}


@pytest.mark.parametrize(
    ("format", "line", "message"),
    [
        ("bismark", "chr1\t0\t0\t75\t3\t1", "positions are counted from 1"),
        ("bismark", "chr1\t-5\t-5\t75\t3\t1", "positions are counted from 1"),
        ("bismark", "chr1\t12\t12\t75\t-3\t1", "must not be negative"),
        ("bismark", "chr1\t12\t12\t75\t3", "5 columns, but unmethylated is column 6"),
        ("bismark", "chr1\tx\t12\t75\t3\t1", "must be a whole number, not 'x'"),
        ("bismark", "chr1\t12\t12\t75\tnan\t1", "must be a whole number, not 'nan'"),
        ("methylkit", "x\tchr1\t0\tF\t4\t75\t25", "positions are counted from 1"),
        ("methylkit", "x\tchr1\t9\tW\t4\t75\t25", "strand must be F or R"),
        ("methylkit", "x\tchr1\t9\tF\t-4\t75\t25", "coverage must not be negative"),
        ("methylkit", "x\tchr1\t9\tF\t4\t175\t25", "between 0 and 100"),
        ("methylkit", "x\tchr1\t9\tF\t4\tNA\t25", "between 0 and 100"),
        ("bedmethyl", MODKIT.format(-1, 11, "m", 4, "+", 75), "start must not be negative"),
        ("bedmethyl", MODKIT.format(10, 11, "m", 4, "F/R", 75), "strand .* must be"),
        ("bedmethyl", MODKIT.format(10, 11, "m", -4, "+", 75), "coverage .* must not be negative"),
        ("bedmethyl", MODKIT.format(10, 11, "m", 4, "+", -1), "between 0 and 100"),
        ("bedmethyl", MODKIT.format(10, 11, "m", 4, "+", "nan"), "between 0 and 100"),
        ("bedmethyl", MODKIT.format(10, 11, "m", 4, "+", "x"), "must be a number, not 'x'"),
    ],
)
def test_a_bad_line_is_named(tmp_path, format, line, message):
    path = write(tmp_path, ["# comment", GOOD[format], "", GOOD[format], line, GOOD[format]], "reads.txt")
    with pytest.raises(ValueError, match=rf"reads\.txt:5: .*{message}"):
        cpg_lists(path, format, make_genes(("chr1", 0, "+")), **OPTIONS)


NUMBER = st.integers(0, 90).map(str)
LINES = {
    "bismark": [st.just("chr1"), *[NUMBER] * 5],
    "methylkit": [st.just("x"), st.just("chr1"), NUMBER, st.sampled_from("FR"), *[NUMBER] * 3],
    "bedmethyl": [
        st.just("chr1"),
        *[NUMBER] * 2,
        st.sampled_from("mh"),
        NUMBER,
        st.sampled_from("+-."),
        *[NUMBER] * 12,
    ],
}
DAMAGE = ["", "-", "-1", "x", "nan", "inf", "1e3", "1e400", "9" * 20, "1_0", "#", '"', "\x00", "é", "0x1", "5 5", "+"]


@settings(deadline=None, derandomize=True, max_examples=150)
@given(st.data(), st.sampled_from(sorted(LINES)), st.booleans())
def test_a_damaged_file_is_read_or_named(tmp_path_factory, data, format, merge_strands):
    rows = [list(row) for row in data.draw(st.lists(st.tuples(*LINES[format]), min_size=1, max_size=5))]
    for _ in range(data.draw(st.integers(1, 2))):
        row = data.draw(st.sampled_from(rows))
        place = data.draw(st.integers(0, max(len(row) - 1, 0)))
        row[place : place + data.draw(st.integers(0, 2))] = [data.draw(st.sampled_from(DAMAGE))]
    path = write(tmp_path_factory.getbasetemp(), ["\t".join(row) for row in rows], "damaged.txt")
    genes = make_genes(("chr1", 20, "+"), ("chr1", 60, "-"))
    try:
        lists = cpg_lists(path, format, genes, **OPTIONS | {"window": 40, "merge_strands": merge_strands})
    except ValueError as error:
        if "damaged.txt" not in str(error):
            raise
        return
    assert lists.n_cpg.sum() == len(lists.beta) == len(lists.position) == len(lists.coverage)
    assert ((lists.beta >= 0) & (lists.beta <= 1)).all()
    assert (np.abs(lists.position) <= 1).all()
    assert (lists.coverage > 0).all()


def test_a_file_without_5mc_is_refused(tmp_path):
    path = write(tmp_path, [MODKIT.format(10, 11, "h", 4, "+", 75), MODKIT.format(10, 11, "a", 4, "+", 75)])
    with pytest.raises(ValueError, match=r"no line is of 5-methylcytosine; column 4 names only \['a', 'h'\]"):
        list(read_bedmethyl(path))


def test_files_that_cannot_be_read(tmp_path):
    genes = make_genes(("chr1", 0, "+"))
    with pytest.raises(FileNotFoundError, match=r"nowhere\.cov"):
        read_methylation(tmp_path / "nowhere.cov", genes)
    with pytest.raises(ValueError, match=r"empty\.cov: the file is empty"):
        read_methylation(write(tmp_path, [], "empty.cov"), genes)
    lines = [bismark("chr1", 7 * p, p % 5, p % 11) for p in range(20_000)]
    cut = tmp_path / "cut.cov.gz"
    cut.write_bytes(gzip.compress("\n".join(lines).encode())[:40_000])
    with pytest.raises(ValueError, match=r"cut\.cov\.gz: the gzip stream is broken or cut off"):
        read_methylation(cut, genes)
    with pytest.raises(ValueError, match=r"peaks\.txt"):
        read_methylation(write(tmp_path, ["chr1\t1\t5\tpeak\t3\t+"], "peaks.txt"), genes)
    with pytest.raises(ValueError, match="Unknown methylation format 'bismarck'.*'bismark'"):
        read_methylation(write(tmp_path, [bismark("chr1", 1, 1, 1)]), genes, format="bismarck")
    for format in GOOD:
        with pytest.raises(ValueError, match=r"head\.txt: .*no (data|line)"):
            cpg_lists(write(tmp_path, ["# only a comment"], "head.txt"), format, genes, **OPTIONS)


def test_chromosomes_are_matched_and_their_lack_is_reported(tmp_path, log):
    path = write(tmp_path, [bismark("chr1", 10, 1, 1), bismark("chrM", 10, 1, 1)])
    genes = make_genes(("1", 0, "+"), ("2", 0, "+"), ("MT", 0, "-"))
    assert read_methylation(path, genes).obs["n_cpg"].tolist() == [1, 0, 1]
    assert "has no 2" in log.text
    with pytest.raises(ValueError, match=r"no chromosome of the genes \(7, 8\) is in the file \(chr1, chrM\)"):
        read_methylation(path, make_genes(("7", 0, "+"), ("8", 0, "+")))


def test_a_tss_far_from_all_cpgs_has_none_and_it_is_said(tmp_path, log):
    path = write(tmp_path, [bismark("chr1", 10, 1, 1)])
    adata = read_methylation(path, make_genes(("chr1", 300_000_000, "+")))
    assert (adata.obs["n_cpg"].tolist(), adata.shape, adata.layers["beta"].tolist()) == ([0], (1, 1), [[0]])
    assert "no CpG lies within 2000 bp of a TSS" in log.text
    assert "same genome build" in log.text


@pytest.mark.parametrize("option", ["window", "max_cpgs", "min_coverage"])
def test_sizes_must_be_positive(tmp_path, option):
    path = write(tmp_path, [bismark("chr1", 10, 1, 1)])
    with pytest.raises(ValueError, match=rf"Sizes must be positive, got \{{'{option}': 0\}}"):
        read_methylation(path, make_genes(("chr1", 0, "+")), **{option: 0})


@pytest.mark.parametrize(
    ("genes", "message"),
    [
        (make_genes(("chr1", 0, "."), ("chr1", 5, "+")), r"strand must be '\+' or '-'.*'g0'"),
        (make_genes(("chr1", -1, "+")), "tss must be a whole number, 0 or more.*'g0'"),
        (make_genes(), "genes has no rows"),
        (make_genes(("chr1", 0, "+")).drop(columns="tss"), r"lacks the columns \['tss'\]"),
        (make_genes(("chr1", 0, "+"), ("chr1", 9, "+")).rename(index={"g1": "g0"}), "each gene once.*'g0'"),
    ],
)
def test_genes_are_checked(tmp_path, genes, message):
    with pytest.raises(ValueError, match=message):
        read_methylation(write(tmp_path, [bismark("chr1", 10, 1, 1)]), genes)

"""DeepChrome's archive from a local server: what is read is what was simulated."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

import epiattn as attn
from epiattn.datasets._deepchrome import ARCHIVE, RECORD
from epiattn.datasets._mirror import write_deepchrome


@pytest.fixture(scope="module")
def truth():
    marks = ["H3K4me3", "H3K27me3"]
    return attn.datasets.simulate(n_genes=12, cell_types=["E003", "E123"], marks=marks, n_bins=100, n_tfs=2, seed=4)


@pytest.fixture
def served(truth, server):
    write_deepchrome(server.folder, truth)
    return server


def deepchrome(served, *arguments, **options):
    return attn.datasets.deepchrome(*arguments, base_url=served.url, **options)


@pytest.mark.parametrize("in_place", [False, True])
def test_counts_labels_and_parts_are_those_of_the_files(served, truth, in_place, cache):
    mdata = attn.datasets.deepchrome(base_url=served.folder if in_place else served.url)
    order = [f"{name}/{int(gene)}" for name, gene in zip(mdata.obs["cell_type"], mdata.obs["gene_id"], strict=True)]
    rows = [f"{name}/{i % 12 + 1}" for i, name in enumerate(truth.obs["cell_type"])]
    at = [rows.index(each) for each in order]
    assert sorted(at) == list(range(24))
    assert sorted(mdata["histone"].layers.keys()) == ["H3K27me3", "H3K36me3", "H3K4me1", "H3K4me3", "H3K9me3"]
    for mark in ("H3K4me3", "H3K27me3"):
        np.testing.assert_array_equal(mdata["histone"].layers[mark], truth["histone"].layers[mark][at])
    assert mdata.obs["label"].astype(str).tolist() == truth.obs["label"].astype(str).iloc[at].tolist()
    assert mdata.obs["split"].value_counts().to_dict() == {"train": 8, "validation": 8, "test": 8}
    assert len(served.of("GET", "data.tar.gz")) == (0 if in_place else 1)


def test_chosen_cell_types_are_unpacked_once(served, cache):
    mdata = deepchrome(served, {"E123": "K562"})
    assert mdata.obs["cell_type"].unique().tolist() == ["K562"]
    assert sorted(path.name for path in (cache / "deepchrome" / "data").iterdir()) == ["E123"]
    (cache / "deepchrome" / ARCHIVE.path).unlink()
    deepchrome(served, "E123")  # needs the archive no more
    deepchrome(served, ["E003", "E123"])
    assert len(served.of("GET", "data.tar.gz")) == 2


def test_a_download_that_breaks_off_is_resumed(served):
    served.faults[ARCHIVE.path] = [("cut", 500), 503]
    deepchrome(served)
    assert served.of("GET", "data.tar.gz") == ["", "bytes=500-", "bytes=500-"]


def test_the_published_checksum_is_compared(server, truth, cache):
    write_deepchrome(server.folder, truth, checksum="md5:" + "0" * 32)
    with pytest.raises(ValueError, match=r"data\.tar\.gz from http.* is not the published file"):
        deepchrome(server)
    assert not list(cache.rglob("data.tar.gz*"))
    right = hashlib.md5((server.folder / ARCHIVE.path).read_bytes()).hexdigest()
    assert deepchrome(server, checksum=right).n_obs == 24


def test_without_a_published_checksum_it_goes_on(served):
    (served.folder / RECORD.path).write_text('{"files": []}')
    assert deepchrome(served).n_obs == 24


def test_a_cell_type_that_is_not_there(served, cache):
    with pytest.raises(ValueError, match=r"cell_types names \['E999'\], but the archive has \['E003', 'E123'\]"):
        deepchrome(served, ["E003", "E999"])
    assert not (cache / "deepchrome" / "unpacking").exists()


def test_no_archive(server):
    with pytest.raises(FileNotFoundError, match=r"There is no http.*data\.tar\.gz\. Get the archive from elsewhere"):
        deepchrome(server)


def test_a_damaged_archive_in_the_cache_is_named(served, cache):
    place = cache / "deepchrome" / ARCHIVE.path
    place.parent.mkdir(parents=True)
    place.write_bytes((served.folder / ARCHIVE.path).read_bytes()[:-300])
    with pytest.raises(ValueError, match=r"data\.tar\.gz could not be unpacked: .*Delete it to download it again"):
        deepchrome(served)
    assert not (cache / "deepchrome" / "data" / "E123").exists()
    assert not (cache / "deepchrome" / "unpacking").exists()


def test_no_network(nowhere):
    with pytest.raises(ConnectionError, match="could not be downloaded"):
        attn.datasets.deepchrome(base_url=nowhere)

"""Chromosome names."""

from __future__ import annotations

import pytest

from epiattn._logging import logger
from epiattn.io._chromosomes import match_chromosomes, plain_name


@pytest.fixture
def log(caplog, monkeypatch):
    monkeypatch.setattr(logger, "propagate", True)
    with caplog.at_level("INFO", logger="epiattn"):
        yield caplog


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("chr1", "1"),
        ("1", "1"),
        ("Chr2", "2"),
        ("CHRX", "X"),
        ("chrM", "MT"),
        ("M", "MT"),
        ("MT", "MT"),
        ("chrMT", "MT"),
        ("chrUn_KI270742v1", "Un_KI270742v1"),
        ("GL000220.1", "GL000220.1"),
        ("chromosome", "omosome"),
    ],
)
def test_plain_names(name, plain):
    assert plain_name(name) == plain


def test_the_names_of_the_file_are_found(log):
    matched = match_chromosomes(["chr1", "chrX", "chrM"], ["1", "2", "X", "MT"], where="a.bw")
    assert matched == {"chr1": "1", "chrX": "X", "chrM": "MT"}
    assert [record.getMessage() for record in log.records] == [
        "a.bw: chromosomes are named otherwise there (chr1 is 1, …)."
    ]
    log.clear()
    assert match_chromosomes(["1", "MT"], ["chr1", "chrM", "chr2"], where="a.bw") == {"1": "chr1", "MT": "chrM"}


def test_equal_names_are_not_worth_a_word(log):
    assert match_chromosomes(["chr1", "chr1"], ["chr2", "chr1"], where="a.bw") == {"chr1": "chr1"}
    assert log.records == []


@pytest.mark.parametrize("found", [["1", "chr1"], ["chr1", "1"]])
def test_an_exact_match_comes_first(found):
    matched = match_chromosomes(["1", "chr1"], found, where="a.bw")
    assert matched == {"1": "1", "chr1": "chr1"}


def test_what_the_file_lacks_is_reported(log):
    assert match_chromosomes(["chr1", "chr7", "chr8"], ["chr1"], where="a.bw") == {"chr1": "chr1"}
    (record,) = log.records
    assert record.levelname == "WARNING"
    assert record.getMessage() == "a.bw: has no chr7, chr8; the genes there count as uncovered."
    log.clear()
    match_chromosomes(["chr1", "chr7"], ["chr1"], where="a.bed", lacking="nothing is dropped there")
    assert log.records[0].getMessage() == "a.bed: has no chr7; nothing is dropped there."
    log.clear()
    match_chromosomes(["chr1", "chr7"], ["chr1"], where="a.bed", lacking=None)
    assert log.records == []


def test_nothing_in_common_is_an_error_that_shows_both():
    with pytest.raises(
        ValueError, match=r"a\.bw: no chromosome of the genes \(chr1, chr2\) is in the file \(I, II, III, IV, …\)"
    ):
        match_chromosomes(["chr2", "chr1"], ["I", "II", "III", "IV", "V"], where="a.bw")
    with pytest.raises(ValueError, match="in the file \\(which names none\\)"):
        match_chromosomes(["chr1"], [], where="a.bw")

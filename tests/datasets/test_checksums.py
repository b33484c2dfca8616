"""Checksums as people have them."""

from __future__ import annotations

import pytest

from epiattn.datasets._checksums import read_checksums

MD5, SHA = "0123456789abcdef" * 2, "0123456789ABCDEF" * 4


def test_algorithms_are_told_by_the_length():
    assert read_checksums({"a": MD5, "b": f"md5:{MD5}", "c": SHA}) == {
        "a": f"md5:{MD5}",
        "b": f"md5:{MD5}",
        "c": f"sha256:{SHA.lower()}",
    }
    assert read_checksums(None) == {}


def test_files_of_md5sum_and_sha256sum(tmp_path):
    path = tmp_path / "SUMS"
    path.write_text(f"{MD5}  signal/a.bigwig\n\n{SHA} *b.gz\n")
    assert read_checksums(path) == {"a.bigwig": f"md5:{MD5}", "b.gz": f"sha256:{SHA.lower()}"}


@pytest.mark.parametrize("wrong", ["12", f"sha256:{MD5}", "g" * 32])
def test_what_is_no_checksum_is_refused(wrong):
    with pytest.raises(ValueError, match=r"checksums\['a'\]: .* is no checksum"):
        read_checksums({"a": wrong})


def test_a_wrong_line_is_named(tmp_path):
    path = tmp_path / "SUMS"
    path.write_text(f"{MD5}  a\na  {MD5}.\nno\n")
    with pytest.raises(ValueError, match=r"SUMS:2: 'a' is no checksum"):
        read_checksums(path)
    path.write_text("no\n")
    with pytest.raises(ValueError, match=r"SUMS:1: a line must be"):
        read_checksums(path)

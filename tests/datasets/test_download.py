"""Downloads: whole and right, or not there; broken off ones go on where they were."""

from __future__ import annotations

import errno
import hashlib
import logging
import shutil

import numpy as np
import pytest

import epiattn as attn
from epiattn.datasets._download import RETRIES, Remote, fetch, part_of

CONTENT = np.random.default_rng(0).bytes(10_000)
MD5 = "md5:" + hashlib.md5(CONTENT).hexdigest()
FILE = Remote("signal/a.bigwig")


@pytest.fixture
def served(server):
    (server.folder / "signal").mkdir()
    (server.folder / FILE.path).write_bytes(CONTENT)
    return server


def get(server, folder, remote=FILE):
    return fetch([remote], base_url=server.url, folder=folder)[remote]


def files_below(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_file_comes_once_and_lies_where_the_server_has_it(served, cache):
    for _ in range(2):
        path = get(served, cache)
        assert path == cache / FILE.path
        assert path.read_bytes() == CONTENT
    assert served.of("GET") == [""]
    assert files_below(cache) == [FILE.path]


def test_what_was_cut_off_is_resumed_not_begun_again(served, cache):
    served.faults[FILE.path] = [("cut", 4_000)]
    assert get(served, cache).read_bytes() == CONTENT
    assert served.of("GET") == ["", "bytes=4000-"]
    assert files_below(cache) == [FILE.path]


def test_attempts_that_bring_something_do_not_count(served, cache):
    served.faults[FILE.path] = [("cut", 900)] * (2 * RETRIES)
    assert get(served, cache).read_bytes() == CONTENT
    assert len(served.of("GET")) == 2 * RETRIES + 1


def test_a_later_call_goes_on_where_the_first_gave_up(served, cache):
    served.faults[FILE.path] = [("cut", 4_000)] + [("cut", 0)] * (RETRIES + 1)
    with pytest.raises(ConnectionError, match=r"a\.bigwig could not be downloaded from http.*4,000 bytes are kept"):
        get(served, cache)
    assert part_of(cache / FILE.path).read_bytes() == CONTENT[:4_000]
    assert not (cache / FILE.path).exists()
    served.faults.clear()
    assert get(served, cache).read_bytes() == CONTENT
    assert served.of("GET")[-1] == "bytes=4000-"
    assert files_below(cache) == [FILE.path]


def test_a_whole_part_is_not_asked_for_again(served, cache):
    part = part_of(cache / FILE.path)
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT)
    assert get(served, cache, FILE._replace(hash=MD5)).read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_thrown_away(served, cache):
    part = part_of(cache / FILE.path)
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT + b"more")
    assert get(served, cache).read_bytes() == CONTENT


def test_a_file_that_changed_meanwhile_begins_anew(served, cache):
    served.faults[FILE.path] = [("cut", 4_000)] + [("cut", 0)] * (RETRIES + 1)
    with pytest.raises(ConnectionError):
        get(served, cache)
    served.faults.clear()
    (served.folder / FILE.path).write_bytes(CONTENT[::-1])
    served.version = '"2"'
    assert get(served, cache).read_bytes() == CONTENT[::-1]


def test_a_server_without_ranges_sends_all_again(served, cache):
    served.ranges = False
    served.faults[FILE.path] = [("cut", 4_000)]
    assert get(served, cache).read_bytes() == CONTENT


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(served, cache, status):
    served.faults[FILE.path] = [status, status]
    assert get(served, cache).read_bytes() == CONTENT
    assert len(served.of("GET")) == 3


def test_a_server_that_stays_busy_is_given_up_and_named(served, cache):
    served.faults[FILE.path] = [503] * 99
    with pytest.raises(ConnectionError, match=rf"{served.url}/{FILE.path}: the server answers 503.*place the file at"):
        get(served, cache)
    assert len(served.of("GET")) == RETRIES + 1
    assert files_below(cache) == []


def test_a_file_that_the_server_lacks_is_none(served, cache):
    assert get(served, cache, Remote("signal/none.bigwig")) is None
    served.head = False
    assert get(served, cache, Remote("signal/none.bigwig")) is None
    assert files_below(cache) == []


def test_a_server_that_refuses_is_named(served, cache):
    served.faults[FILE.path] = [403]
    with pytest.raises(PermissionError, match=r"answers 403.*place the file at .*a\.bigwig by hand"):
        get(served, cache)


def test_a_server_need_not_tell_sizes_beforehand(served, cache):
    served.head = False
    assert get(served, cache).read_bytes() == CONTENT


def test_no_network(cache, nowhere):
    with pytest.raises(ConnectionError, match=rf"a\.bigwig could not be downloaded from {nowhere}.*base_url"):
        fetch([FILE], base_url=nowhere, folder=cache)


def test_a_right_checksum_passes(served, cache):
    assert get(served, cache, FILE._replace(hash=MD5)).read_bytes() == CONTENT


def test_of_a_file_with_a_wrong_checksum_nothing_is_kept(served, cache):
    wrong = FILE._replace(hash="md5:" + "0" * 32)
    with pytest.raises(ValueError, match=r"a\.bigwig from http.* is not the published file: .*Nothing was kept"):
        get(served, cache, wrong)
    assert files_below(cache) == []


def test_a_wrong_file_in_the_cache_is_replaced(served, cache):
    (cache / "signal").mkdir(parents=True)
    (cache / FILE.path).write_bytes(b"something else")
    assert get(served, cache, FILE._replace(hash=MD5)).read_bytes() == CONTENT


def test_a_file_that_was_placed_by_hand_is_taken(cache, nowhere):
    (cache / "signal").mkdir(parents=True)
    (cache / FILE.path).write_bytes(CONTENT)
    assert fetch([FILE], base_url=nowhere, folder=cache)[FILE] == cache / FILE.path


def test_a_full_disk_is_noticed_before(served, cache, monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=9_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OSError, match=r"GB to download, but .* free: choose another folder") as caught:
        get(served, cache)
    assert caught.value.errno == errno.ENOSPC
    assert served.of("GET") == []


def test_how_much_there_is_to_download_is_told(served, cache, caplog, monkeypatch):
    attn.settings.verbosity = "info"
    monkeypatch.setattr(logging.getLogger("epiattn"), "propagate", True)
    with caplog.at_level(logging.INFO, logger="epiattn"):
        get(served, cache)
    assert "To download: 1 files, 0.00 GB" in caplog.text


def test_a_folder_is_read_in_place(served, cache):
    found = fetch([FILE, Remote("none")], base_url=served.folder, folder=cache)
    assert found == {FILE: served.folder / FILE.path, Remote("none"): None}
    assert not cache.exists()
    with pytest.raises(ValueError, match=r"a\.bigwig is not the published file"):
        fetch([FILE._replace(hash="md5:" + "0" * 32)], base_url=served.folder, folder=cache)
    with pytest.raises(FileNotFoundError, match="No folder"):
        fetch([FILE], base_url=served.folder / "elsewhere", folder=cache)

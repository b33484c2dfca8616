"""The engine: every task once, wherever it runs; what is done survives what goes wrong."""

from __future__ import annotations

import importlib
import os
from logging.handlers import BufferingHandler

import numpy as np
import pandas as pd
import pytest

from epiattn._engine import Pieces, Task, fingerprint, run
from epiattn._logging import logger
from epiattn._settings import settings

#: Other processes must be able to import what they do.
MODULE = """
import os
from pathlib import Path

import numpy as np


def square(i, log):
    with Path(log).open("a") as file:
        file.write(f"{i} {os.getpid()}\\n")
    if i == 13:
        raise ValueError("thirteen")
    if i == 7:
        from epiattn._logging import logger

        logger.warning("seven is %s", "prime")
        logger.info("seven is odd")
    return {"square": np.array([i * i])}
"""


@pytest.fixture(autouse=True)
def _module(tmp_path, monkeypatch):
    (tmp_path / "squares_of_tests.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


def tasks(numbers, log) -> list[Task]:
    square = importlib.import_module("squares_of_tests").square
    return [Task(f"number {i}", fingerprint(i), square, (i, str(log))) for i in numbers]


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log.txt"


@pytest.fixture
def pieces(tmp_path):
    (tmp_path / "pieces").mkdir()
    return Pieces(tmp_path / "pieces")


def done(log) -> list[int]:
    return sorted(int(line.split()[0]) for line in log.read_text().splitlines())


@pytest.mark.parametrize("n_jobs", [1, 2, -1])
def test_every_task_is_done_once_and_its_result_kept(n_jobs, log, pieces):
    run(tasks(range(9), log), pieces, n_jobs=n_jobs)
    assert done(log) == list(range(9))
    assert [pieces.load(task)["square"].item() for task in tasks(range(9), log)] == [i * i for i in range(9)]
    assert len(list(pieces.folder.iterdir())) == 9


def test_two_jobs_are_other_processes(log, pieces):
    run(tasks(range(8), log), pieces, n_jobs=2)
    assert str(os.getpid()) not in {line.split()[1] for line in log.read_text().splitlines()}


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("verbosity", ["info", "warning", "error"])
def test_what_a_task_says_is_said_here(n_jobs, verbosity, log, pieces, monkeypatch, capfd):
    """Nobody may see what another process prints."""
    heard = BufferingHandler(9)
    monkeypatch.setattr(logger, "handlers", [heard])
    settings.verbosity = verbosity
    run(tasks([6, 7, 8], log), pieces, n_jobs=n_jobs)
    said = ["seven is prime", "seven is odd"]
    expected = {"info": said, "warning": said[:1], "error": []}[verbosity]
    assert [record.getMessage() for record in heard.buffer] == expected
    assert "seven" not in capfd.readouterr().err


def test_tasks_that_are_the_same_are_one(log, pieces, capsys):
    settings.verbosity = "info"
    run(tasks([1, 1, 2, 1], log), pieces, title="Working")
    assert done(log) == [1, 2]
    bar = capsys.readouterr().err
    assert "0/2" in bar
    assert "2/2" in bar


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_error_names_its_task_and_what_was_done_is_not_done_again(n_jobs, log, pieces):
    with pytest.raises(ValueError, match="thirteen") as error:
        run(tasks([1, 2, 13, 3], log), pieces, n_jobs=n_jobs)
    assert "In: number 13." in error.value.__notes__
    assert not pieces.has(tasks([13], log)[0])
    kept = [i for i in (1, 2, 3) if pieces.has(tasks([i], log)[0])]
    assert 1 in kept or n_jobs > 1
    log.unlink()
    run(tasks([1, 2, 3, 4], log), pieces, n_jobs=n_jobs)
    assert done(log) == [i for i in (1, 2, 3, 4) if i not in kept]


def test_a_broken_result_is_made_again(log, pieces):
    (task,) = tasks([5], log)
    run([task], pieces)
    whole = pieces.path(task).read_bytes()
    pieces.path(task).write_bytes(whole[: len(whole) // 2])
    run([task], pieces)
    assert pieces.load(task)["square"] == 25
    assert done(log) == [5, 5]


def test_a_result_is_never_half_there(log, pieces, monkeypatch):
    def full(file, **_):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        run(tasks([1], log), pieces)
    assert list(pieces.folder.iterdir()) == []


@pytest.mark.parametrize("n_jobs", [0, -2])
def test_number_of_jobs_must_make_sense(n_jobs, log, pieces):
    with pytest.raises(ValueError, match="n_jobs must be"):
        run(tasks([1], log), pieces, n_jobs=n_jobs)


def test_fingerprints_follow_the_input(tmp_path):
    file = tmp_path / "a"
    file.write_text("1")
    table = pd.DataFrame({"a": [1, 2]})
    parts = ("x", 2, (100, 500), np.arange(3), table, file)
    key = fingerprint(*parts)
    assert key == fingerprint(*parts)
    changed = [
        ("y", *parts[1:]),
        (*parts[:3], np.arange(4), *parts[4:]),
        (*parts[:4], table.rename(columns={"a": "b"}), file),
        (*parts[:4], table + 1, file),
    ]
    assert all(fingerprint(*other) != key for other in changed)
    file.write_text("12")
    assert fingerprint(*parts) != key


def test_on_a_dask_cluster_of_two_processes(log, pieces):
    distributed = pytest.importorskip("dask.distributed")
    with (
        distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=":0") as cluster,
        distributed.Client(cluster) as client,
    ):
        run(tasks(range(12), log), pieces, client=client)
        with pytest.raises(ValueError, match="thirteen"):
            run(tasks([13], log), pieces, client=client)
    assert done(log)[:12] == list(range(12))
    assert len({line.split()[1] for line in log.read_text().splitlines()} - {str(os.getpid())}) == 2
    assert all(pieces.load(task)["square"] == i * i for i, task in enumerate(tasks(range(12), log)))

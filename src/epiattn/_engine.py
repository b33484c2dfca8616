"""Work in pieces: here, in several processes, or on a Dask cluster. Finished pieces survive an interruption."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from tqdm import tqdm

from epiattn._logging import heard, logger
from epiattn._registry import Entry, call_with, registered
from epiattn._settings import settings

if TYPE_CHECKING:
    from dask.distributed import Client

Arrays = dict[str, np.ndarray]

#: Observations from which on more processes pay for a training: starting one takes some seconds.
_MANY = 4_000
#: Pieces that wait for each worker, so that none is idle and few are in memory.
_AHEAD = 3


class Task(NamedTuple):
    """A piece of work.

    ``function(*arguments)`` returns arrays by name; it and its arguments can be sent to another process. ``name`` says
    what it is, for people. ``key`` names its result: the same for the same input, other for another.
    """

    name: str
    key: str
    function: Callable[..., Arrays]
    arguments: tuple


def fingerprint(*parts: Any) -> str:
    """A key for a result: of plain values, arrays, tables, and files (their path, size and time of change)."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(_describe(part))
        digest.update(b"\0")
    return digest.hexdigest()[:32]


def _describe(part: Any) -> bytes:
    import pandas as pd

    if isinstance(part, Path):
        status = part.stat()
        return f"{part.resolve()} {status.st_size} {status.st_mtime_ns}".encode()
    if isinstance(part, pd.DataFrame):
        return pd.util.hash_pandas_object(part).to_numpy().tobytes() + repr(list(part)).encode()
    if isinstance(part, np.ndarray):
        return part.tobytes() + repr((part.dtype, part.shape)).encode()
    return repr(part).encode()


class Pieces:
    """Results of tasks, each a file in a folder; written under another name first, so that all are whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, task: Task) -> Path:
        """Where the result of a task is, or will be."""
        return self.folder / f"{task.key}.npz"

    def save(self, task: Task, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep a result."""
        temporary = self.path(task).with_suffix(f".{os.getpid()}.tmp")
        try:
            with temporary.open("wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
            temporary.replace(self.path(task))
        except OSError as error:
            msg = f"What was read could not be kept in {self.folder}: {error}"
            raise OSError(msg) from error
        finally:
            temporary.unlink(missing_ok=True)

    def load(self, task: Task) -> Arrays:
        """A result."""
        with np.load(self.path(task)) as arrays:
            return dict(arrays)

    def has(self, task: Task) -> bool:
        """Whether there is a whole one."""
        return self.path(task).exists() and zipfile.is_zipfile(self.path(task))


def n_processes(n_tasks: int, n_obs: int) -> int:
    """As many as pay for trainings on so many observations, one for each core that this process may use at most."""
    return min(_n_cores(), n_tasks) if n_obs >= _MANY and n_tasks > 1 else 1


def _n_cores() -> int:
    """Cores that this process may use, which a scheduler may have made fewer than the machine has."""
    from joblib import cpu_count

    return cpu_count()


def n_workers(n_jobs: int, n_tasks: int) -> int:
    """Processes that work at a time; 1: this one alone.

    Raises
    ------
    ValueError
        If that is no number of processes.
    """
    if n_jobs == 0 or n_jobs < -1:
        msg = f"n_jobs must be a number of processes, or -1 for one on each core, not {n_jobs}."
        raise ValueError(msg)
    return max(1, min(_n_cores() if n_jobs == -1 else n_jobs, n_tasks))


def run(
    tasks: Sequence[Task], pieces: Pieces, *, n_jobs: int = 1, client: Client | None = None, title: str = ""
) -> None:
    """Do all tasks whose result is not there yet.

    Parameters
    ----------
    tasks
        What to do.
    pieces
        Where results are kept.
    n_jobs
        Processes on this machine; -1: one for each core.
    client
        Dask client; its workers do the work, this process keeps the results.
    title
        Shown before the progress bar.

    Raises
    ------
    Exception
        What a task raised, with the task's name as a note; results that are there already stay.
    """
    each = {task.key: task for task in tasks}
    todo = [task for task in each.values() if not pieces.has(task)]
    bar = tqdm(
        total=len(each),
        initial=len(each) - len(todo),
        desc=title,
        unit="piece",
        disable=not settings.progress,
        dynamic_ncols=True,
    )
    with bar, _executor(n_jobs, client, len(todo)) as (executor, n_at_a_time):
        for task, result in _results(executor, n_at_a_time, todo):
            try:
                pieces.save(task, result())
            except Exception as error:
                error.add_note(f"In: {task.name}.")
                raise
            bar.update()


def _results(
    executor: Executor | None, n_at_a_time: int, tasks: Iterable[Task]
) -> Iterator[tuple[Task, Callable[[], Arrays]]]:
    """Tasks as they are done, each with a function that gives or raises what came of it."""
    if executor is None:
        for task in tasks:
            yield task, partial(task.function, *task.arguments)
        return
    waiting: dict[Future, Task] = {}
    remaining = iter(tasks)
    try:
        while True:
            for next_task in islice(remaining, _AHEAD * n_at_a_time - len(waiting)):
                future = executor.submit(_elsewhere, registered(), next_task.function, next_task.arguments)
                waiting[future] = next_task
            if not waiting:
                return
            done = wait(waiting, return_when=FIRST_COMPLETED).done
            for future in sorted(done, key=lambda future: future.exception() is not None):  # keep what is good first
                yield waiting.pop(future), partial(_result, future)
    finally:
        for future in waiting:
            future.cancel()


def _elsewhere(
    added: Mapping[str, Mapping[str, Entry]], function: Callable[..., Arrays], arguments: tuple
) -> tuple[Arrays, list[tuple[int, str]]]:
    """Do a task in another process, whose log nobody may see, and which does not know what was registered here."""
    with heard() as said:
        return call_with(added, function, *arguments), said


def _result(future: Future) -> Arrays:
    """What came of such a task; what it said is said here."""
    arrays, said = future.result()
    for level, message in said:
        logger.log(level, "%s", message)
    return arrays


@contextmanager
def _executor(n_jobs: int, client: Client | None, n_tasks: int) -> Iterator[tuple[Executor | None, int]]:
    """Where tasks run, and how many at a time; ``None``: in this process."""
    if client is not None:
        with client.get_executor() as executor:
            yield executor, max(sum(client.nthreads().values()), 1)
        return
    n = n_workers(n_jobs, n_tasks)
    if n == 1:
        yield None, 1
        return
    from joblib.externals.loky import ProcessPoolExecutor  # needs no `if __name__ == "__main__"` in scripts

    executor = ProcessPoolExecutor(n)
    try:
        yield executor, n
    finally:
        executor.shutdown(wait=True, kill_workers=True)

"""The package's logger."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from rich.console import Console
from rich.logging import RichHandler

logger = logging.getLogger("epiattn")
logger.addHandler(
    RichHandler(console=Console(stderr=True), show_path=False, show_time=False, markup=False, highlighter=None)
)
logger.propagate = False

_heard: ContextVar[list[tuple[int, str]] | None] = ContextVar("heard", default=None)


def _show(record: logging.LogRecord) -> bool:
    heard = _heard.get()
    if heard is None:
        return True
    heard.append((record.levelno, record.getMessage()))
    return False


logger.addFilter(_show)


@contextmanager
def heard() -> Iterator[list[tuple[int, str]]]:
    """Keep what is said in this thread, as levels and messages, instead of showing it."""
    said: list[tuple[int, str]] = []
    token = _heard.set(said)
    try:
        yield said
    finally:
        _heard.reset(token)

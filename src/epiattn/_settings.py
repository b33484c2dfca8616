"""Settings of the package: ``attn.settings``."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from ._logging import logger

CACHE_VARIABLE = "EPIATTN_CACHE_DIR"
_LEVELS = {"error": logging.ERROR, "warning": logging.WARNING, "info": logging.INFO, "debug": logging.DEBUG}


class Settings:
    """How much the package says, and where it keeps what it downloads.

    Examples
    --------
    >>> import epiattn as attn
    >>> attn.settings.verbosity = "warning"  # no progress bars, no information
    >>> attn.settings.verbosity = "info"
    >>> attn.settings.cache_dir = "/scratch/epiattn"  # for downloads
    >>> attn.settings.cache_dir = None  # the default again
    """

    def __init__(self) -> None:
        self.verbosity = "info"
        self.cache_dir = None

    @property
    def verbosity(self) -> str:
        """One of ``"error"``, ``"warning"``, ``"info"`` (default; progress bars are shown) and ``"debug"``."""
        return self._verbosity

    @verbosity.setter
    def verbosity(self, level: str) -> None:
        if level not in _LEVELS:
            msg = f"settings.verbosity must be one of {list(_LEVELS)}, not {level!r}."
            raise ValueError(msg)
        self._verbosity = level
        logger.setLevel(_LEVELS[level])

    @property
    def progress(self) -> bool:
        """Whether progress bars are shown."""
        return logger.isEnabledFor(logging.INFO)

    @property
    def cache_dir(self) -> Path:
        """Folder of downloads: what was set; else the environment variable ``EPIATTN_CACHE_DIR``; else the user's.

        The user's is the folder that the system has for caches, such as ``~/.cache/epiattn``. Set it to ``None`` for
        the default.
        """
        if self._cache_dir is not None:
            return self._cache_dir
        if given := os.environ.get(CACHE_VARIABLE):
            return Path(given).expanduser()
        import pooch

        return Path(pooch.os_cache("epiattn"))

    @cache_dir.setter
    def cache_dir(self, folder: str | Path | None) -> None:
        self._cache_dir = None if folder is None else Path(folder).expanduser().absolute()

    def __repr__(self) -> str:
        return f"Settings(verbosity={self.verbosity!r}, cache_dir={str(self.cache_dir)!r})"


settings = Settings()

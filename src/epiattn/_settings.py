"""Settings of the package: ``attn.settings``."""

from __future__ import annotations

import logging

from ._logging import logger

_LEVELS = {"error": logging.ERROR, "warning": logging.WARNING, "info": logging.INFO, "debug": logging.DEBUG}


class Settings:
    """How much the package says.

    Examples
    --------
    >>> import epiattn as attn
    >>> attn.settings.verbosity = "warning"  # no progress bars, no information
    >>> attn.settings.verbosity = "info"
    """

    def __init__(self) -> None:
        self.verbosity = "info"

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

    def __repr__(self) -> str:
        return f"Settings(verbosity={self.verbosity!r})"


settings = Settings()

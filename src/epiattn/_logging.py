"""The package's logger."""

from __future__ import annotations

import logging

from rich.logging import RichHandler

logger = logging.getLogger("epiattn")
logger.addHandler(RichHandler(show_path=False, show_time=False, markup=False, highlighter=None))
logger.propagate = False

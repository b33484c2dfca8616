"""The package's logger."""

from __future__ import annotations

import logging

from rich.console import Console
from rich.logging import RichHandler

logger = logging.getLogger("epiattn")
logger.addHandler(
    RichHandler(console=Console(stderr=True), show_path=False, show_time=False, markup=False, highlighter=None)
)
logger.propagate = False

"""Learn how epigenetic marks regulate genes, cell type by cell type (``import epiattn as attn``)."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from ._registry import register
from ._settings import settings

if TYPE_CHECKING:
    from . import baselines, datasets, get, io, metrics, models, nn, pl, pp, tl

__version__ = version("epiattn")
__all__ = ["baselines", "datasets", "get", "io", "metrics", "models", "nn", "pl", "pp", "register", "settings", "tl"]


def __getattr__(name: str) -> Any:
    """Import a namespace when it is first used (PEP 562): ``import epiattn`` itself stays light."""
    if name in __all__:
        return import_module(f"{__name__}.{name}")
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

"""Plots of the data and of what the tools wrote; they return Axes or a Figure, and compute no model."""

from ._attention import attention
from ._benchmark import benchmark
from ._by_cell_type import by_cell_type
from ._calibration import calibration
from ._curves import precision_recall, roc
from ._faithfulness import faithfulness
from ._history import history
from ._latent import latent
from ._profile import profile

__all__ = [
    "attention",
    "benchmark",
    "by_cell_type",
    "calibration",
    "faithfulness",
    "history",
    "latent",
    "precision_recall",
    "profile",
    "roc",
]

"""Plots of the data and of what the tools wrote; they return Axes or a Figure, and compute no model."""

from ._ablation import ablation
from ._attention import attention
from ._benchmark import benchmark
from ._by_cell_type import by_cell_type
from ._calibration import calibration
from ._curves import precision_recall, roc
from ._differential_regulation import differential_regulation
from ._faithfulness import faithfulness
from ._gene import gene
from ._history import history
from ._latent import latent
from ._marks import marks
from ._modality import modality
from ._perturbation import perturbation
from ._profile import profile
from ._tf_network import tf_network

__all__ = [
    "ablation",
    "attention",
    "benchmark",
    "by_cell_type",
    "calibration",
    "differential_regulation",
    "faithfulness",
    "gene",
    "history",
    "latent",
    "marks",
    "modality",
    "perturbation",
    "precision_recall",
    "profile",
    "roc",
    "tf_network",
]

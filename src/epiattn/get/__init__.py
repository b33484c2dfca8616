"""Tidy tables of what the tools wrote."""

from ._ablation import ablation
from ._attention import attention
from ._benchmark import benchmark
from ._differential_regulation import differential_regulation
from ._perturbation import perturbation

__all__ = ["ablation", "attention", "benchmark", "differential_regulation", "perturbation"]

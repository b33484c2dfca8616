"""Tidy tables of what the tools wrote."""

from ._attention import attention
from ._benchmark import benchmark
from ._differential_regulation import differential_regulation
from ._faithfulness import faithfulness

__all__ = ["attention", "benchmark", "differential_regulation", "faithfulness"]

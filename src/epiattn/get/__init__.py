"""Tidy tables of what the tools wrote."""

from ._attention import attention
from ._benchmark import benchmark
from ._differential_regulation import differential_regulation

__all__ = ["attention", "benchmark", "differential_regulation"]

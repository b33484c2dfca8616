"""Tidy tables of what the tools wrote."""

from ._attention import attention
from ._benchmark import benchmark

__all__ = ["attention", "benchmark"]

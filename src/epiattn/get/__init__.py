"""Tidy tables of what the tools wrote."""

from ._benchmark import benchmark

__all__ = ["benchmark"]

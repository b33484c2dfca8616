"""Data to try the package on."""

from ._simulate import simulate

__all__ = ["simulate"]

"""Simple models to compare with: each is a function of the object, and returns a score for every observation."""

from ._logistic import logistic

__all__ = ["logistic"]

"""Plots of the data and of what the tools wrote; they return Axes or a Figure, and compute no model."""

from ._attention import attention
from ._history import history
from ._latent import latent
from ._profile import profile

__all__ = ["attention", "history", "latent", "profile"]

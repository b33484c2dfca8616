"""Plots of what the package wrote. They return Axes or a Figure and compute nothing."""

__all__: list[str] = []

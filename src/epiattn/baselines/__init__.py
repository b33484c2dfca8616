"""Simple models to compare with."""

__all__: list[str] = []

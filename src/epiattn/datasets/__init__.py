"""Data to try the package on, and public data to download."""

from ._deepchrome import deepchrome
from ._roadmap import roadmap
from ._roadmap_files import EPIGENOMES
from ._simulate import simulate

__all__ = ["EPIGENOMES", "deepchrome", "roadmap", "simulate"]

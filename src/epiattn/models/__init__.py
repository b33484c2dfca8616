"""scvi-tools models of gene regulation, on one base."""

from ._base import RegulatoryModel
from ._multi_attention import MultiAttention

__all__ = ["MultiAttention", "RegulatoryModel"]

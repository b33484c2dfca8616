"""scvi-tools models of gene regulation, on one base."""

from ._attentive_chrome import AttentiveChrome
from ._base import RegulatoryModel
from ._chromoformer import Chromoformer
from ._deep_chrome import DeepChrome
from ._gated_attention import GatedAttention
from ._hm_crnn import HMCRNN
from ._multi_attention import MultiAttention

__all__ = [
    "AttentiveChrome",
    "Chromoformer",
    "DeepChrome",
    "GatedAttention",
    "HMCRNN",
    "MultiAttention",
    "RegulatoryModel",
]

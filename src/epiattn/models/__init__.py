"""scvi-tools models of gene regulation, on one base."""

from ._attentive_chrome import AttentiveChrome
from ._base import RegulatoryModel
from ._chromoformer import Chromoformer
from ._deep_chrome import DeepChrome
from ._histone_model import HistoneModel
from ._hm_crnn import HMCRNN
from ._kang2020 import Kang2020
from ._multi_attention import MultiAttention

__all__ = [
    "AttentiveChrome",
    "Chromoformer",
    "DeepChrome",
    "HMCRNN",
    "HistoneModel",
    "Kang2020",
    "MultiAttention",
    "RegulatoryModel",
]

"""Networks in pure PyTorch: encoders, attention, fusion, heads and losses. Knows nothing of AnnData."""

from ._attention import AdditiveAttention, masked_softmax
from ._attentive_chrome import AttentiveChromeRNN, ContextAttention
from ._chromoformer import EmbeddingTransformer, PairwiseInteractionTransformer, RegulationTransformer
from ._chromoformer_network import ChromoformerNetwork, DistalEncoder, PromoterEncoder, RegulationFusion
from ._decoder import AttendedDecoder, attended_mean
from ._deep_chrome import DeepChromeCNN
from ._fusion import GatedFusion, MultiAttentionFusion
from ._heads import ScoreHead
from ._histone import HistoneCRNN
from ._histone_attention import HistoneAttention
from ._levels import SignalLevels
from ._losses import bce_loss, focal_loss, huber_loss, pairwise_loss
from ._methylation import MethylationRNN
from ._network import RegulatoryNetwork
from ._rnn import DynamicBiLSTM, flip_valid
from ._sets import CpGAttention, TFAttention
from ._simple import Concatenation, LinearHead
from ._tf import TFSelfAttention
from ._transformer import MultiHeadAttention, TransformerLayer
from ._types import Embedding, Mixture, ModalityBatch

__all__ = [
    "AdditiveAttention",
    "AttendedDecoder",
    "AttentiveChromeRNN",
    "ChromoformerNetwork",
    "Concatenation",
    "ContextAttention",
    "CpGAttention",
    "DeepChromeCNN",
    "DistalEncoder",
    "DynamicBiLSTM",
    "Embedding",
    "EmbeddingTransformer",
    "GatedFusion",
    "HistoneAttention",
    "HistoneCRNN",
    "LinearHead",
    "MethylationRNN",
    "Mixture",
    "ModalityBatch",
    "MultiAttentionFusion",
    "MultiHeadAttention",
    "PairwiseInteractionTransformer",
    "PromoterEncoder",
    "RegulationFusion",
    "RegulationTransformer",
    "RegulatoryNetwork",
    "ScoreHead",
    "SignalLevels",
    "TFAttention",
    "TFSelfAttention",
    "TransformerLayer",
    "attended_mean",
    "bce_loss",
    "flip_valid",
    "focal_loss",
    "huber_loss",
    "masked_softmax",
    "pairwise_loss",
]

"""Networks in pure PyTorch: encoders, attention, fusion, heads and losses. Knows nothing of AnnData."""

from ._attention import AdditiveAttention, masked_softmax
from ._decoder import AttendedDecoder, attended_mean
from ._fusion import MultiAttentionFusion
from ._heads import ScoreHead
from ._histone import HistoneCRNN
from ._losses import bce_loss, focal_loss, huber_loss, pairwise_loss
from ._methylation import MethylationRNN
from ._network import RegulatoryNetwork
from ._rnn import DynamicBiLSTM, flip_valid
from ._tf import TFSelfAttention
from ._types import Embedding, ModalityBatch

__all__ = [
    "AdditiveAttention",
    "AttendedDecoder",
    "DynamicBiLSTM",
    "Embedding",
    "HistoneCRNN",
    "MethylationRNN",
    "ModalityBatch",
    "MultiAttentionFusion",
    "RegulatoryNetwork",
    "ScoreHead",
    "TFSelfAttention",
    "attended_mean",
    "bce_loss",
    "flip_valid",
    "focal_loss",
    "huber_loss",
    "masked_softmax",
    "pairwise_loss",
]

"""Tools: what a user calls. They write their results into the MuData."""

from ._attention import attention
from ._attribute import attribute
from ._benchmark import benchmark
from ._cross_validate import cross_validate
from ._differential_regulation import differential_regulation
from ._embed import embed
from ._faithfulness import faithfulness
from ._fit import fit

__all__ = [
    "attention",
    "attribute",
    "benchmark",
    "cross_validate",
    "differential_regulation",
    "embed",
    "faithfulness",
    "fit",
]

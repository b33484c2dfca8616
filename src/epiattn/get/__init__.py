"""Tidy tables of what the tools wrote."""

from ._ablation import ablation
from ._attention import attention
from ._benchmark import benchmark
from ._cell_types import cell_types
from ._differential_regulation import differential_regulation
from ._enrich import enrich
from ._faithfulness import faithfulness
from ._perturbation import perturbation
from ._rank_marks_groups import rank_marks_groups
from ._specific_genes import specific_genes

__all__ = [
    "ablation",
    "attention",
    "benchmark",
    "cell_types",
    "differential_regulation",
    "enrich",
    "faithfulness",
    "perturbation",
    "rank_marks_groups",
    "specific_genes",
]

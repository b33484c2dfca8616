"""Tools: what a user calls. They write their results into the MuData."""

from ._ablate import ablate
from ._attention import attention
from ._attribute import attribute
from ._benchmark import benchmark
from ._cluster import cluster
from ._cross_validate import cross_validate
from ._differential_regulation import differential_regulation
from ._edits_lists import Demethylate, KnockOut, Methylate
from ._edits_signal import ScaleSignal, SetSignal, ShiftSignal, SwapCellType, SwapMarks
from ._embed import embed
from ._enrich import enrich
from ._faithfulness import faithfulness
from ._fit import fit
from ._perturb import perturb
from ._rank_marks_groups import rank_marks_groups
from ._save import save
from ._specific_genes import specific_genes

__all__ = [
    "Demethylate",
    "KnockOut",
    "Methylate",
    "ScaleSignal",
    "SetSignal",
    "ShiftSignal",
    "SwapCellType",
    "SwapMarks",
    "ablate",
    "attention",
    "attribute",
    "benchmark",
    "cluster",
    "cross_validate",
    "differential_regulation",
    "embed",
    "enrich",
    "faithfulness",
    "fit",
    "perturb",
    "rank_marks_groups",
    "save",
    "specific_genes",
]

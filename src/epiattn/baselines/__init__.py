"""Simple models to compare with: each is a function of the object, and returns a score for every observation."""

from ._best_mark import best_mark
from ._cpg_count import cpg_count
from ._gene_mean import gene_mean
from ._gradient_boosting import gradient_boosting
from ._logistic import logistic
from ._nearest_cell_type import nearest_cell_type
from ._prevalence import prevalence
from ._ridge import ridge
from ._tf_count import tf_count

__all__ = [
    "best_mark",
    "cpg_count",
    "gene_mean",
    "gradient_boosting",
    "logistic",
    "nearest_cell_type",
    "prevalence",
    "ridge",
    "tf_count",
]

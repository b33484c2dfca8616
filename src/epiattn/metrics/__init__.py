"""Measures of agreement between predictions and truth, as plain functions of arrays, with intervals and comparisons."""

from ._binary import average_precision, mcc, roc_auc
from ._calibration import CalibrationCurve, brier, calibration_curve, ece, temperature
from ._conformal import conformal_half_width, coverage
from ._differences import difference_correlation, sign_agreement
from ._differing import differing_gene_auc, label_differs
from ._gene_tables import WithinGene
from ._intervals import Interval, interval
from ._paired import PairedDifference, paired_difference
from ._regression import kendall_tau, mae, mse, pearson, r2, spearman
from ._residual import residual_correlation, training_gene_mean
from ._within_gene import within_gene_correlation

__all__ = [
    "CalibrationCurve",
    "Interval",
    "PairedDifference",
    "WithinGene",
    "average_precision",
    "brier",
    "calibration_curve",
    "conformal_half_width",
    "coverage",
    "difference_correlation",
    "differing_gene_auc",
    "ece",
    "interval",
    "kendall_tau",
    "label_differs",
    "mae",
    "mcc",
    "mse",
    "paired_difference",
    "pearson",
    "r2",
    "residual_correlation",
    "roc_auc",
    "sign_agreement",
    "spearman",
    "temperature",
    "training_gene_mean",
    "within_gene_correlation",
]

"""The regulatory programs that the simulator plants: which marks, where, and what they do to expression."""

from __future__ import annotations

from typing import NamedTuple


class Peak(NamedTuple):
    """Signal of a mark: a bell around a place near the TSS.

    ``center`` and ``width`` (one standard deviation) are in bp relative to the TSS, downstream is positive; ``height``
    is the mean number of reads per bin of 100 bp on top of the background. ``effect`` is +1 where the peak activates
    the gene, -1 where it represses it, and 0 where it only comes along; causal peaks scale with the program's strength.
    """

    mark: str
    center: float
    width: float
    height: float
    effect: int = 0


class Program(NamedTuple):
    """How a gene is regulated in a cell type.

    ``expression`` is the mean log2-expression at strength 1 and ``slope`` its change when the strength doubles;
    ``methylation`` is the methylated share at the promoter. ``share`` is the program's share of the genes.
    """

    share: float
    expression: float
    slope: float
    methylation: float
    peaks: tuple[Peak, ...]


SILENCE = 3.0  # log2-expression that parts active from silent programs

_OPEN = (Peak("DNase", -60, 130, 2.5), Peak("ATAC", -60, 130, 2.5))

PROGRAMS = {
    "promoter": Program(
        0.17,
        5.0,
        0.9,
        0.08,
        (
            Peak("H3K4me3", 280, 230, 10, +1),
            Peak("H3K4me3", -340, 160, 6, +1),
            Peak("H3K27ac", 320, 260, 8, +1),
            Peak("H3K9ac", 300, 260, 6),
            Peak("DNase", -60, 130, 5),
            Peak("ATAC", -60, 130, 5),
            Peak("H3K36me3", 1700, 500, 1.5),
        ),
    ),
    "enhancer": Program(
        0.11,
        4.6,
        0.9,
        0.20,
        (
            Peak("H3K4me1", -1100, 320, 6, +1),
            Peak("H3K27ac", -1100, 240, 7, +1),
            Peak("H3K9ac", -1100, 240, 2),
            Peak("H3K4me3", 200, 230, 2.5),
            Peak("DNase", -1100, 120, 3),
            Peak("ATAC", -1100, 120, 3),
            *_OPEN,
        ),
    ),
    "gene_body": Program(
        0.10,
        4.7,
        0.9,
        0.12,
        (
            Peak("H3K36me3", 1500, 600, 6, +1),
            Peak("H3K4me3", 200, 230, 2.5),
            *_OPEN,
        ),
    ),
    "tf": Program(0.23, 4.7, 0.0, 0.30, (*_OPEN, Peak("H3K4me1", -200, 500, 1.5))),
    "bivalent": Program(
        0.14,
        1.3,
        -0.8,
        0.10,
        (
            Peak("H3K4me3", 280, 260, 7),
            Peak("H3K4me3", -340, 160, 4),
            Peak("H3K27me3", 0, 700, 4, -1),
            *_OPEN,
        ),
    ),
    "polycomb": Program(0.13, 0.7, -0.6, 0.25, (Peak("H3K27me3", 0, 1000, 5, -1),)),
    "methylated": Program(0.12, 0.9, -0.6, 0.85, (Peak("H3K9me3", -300, 900, 1.5), *_OPEN)),
}

#: What a gene of the program ``tf`` falls back to where its TFs are not expressed.
_QUIESCENT = Program(0.0, 1.4, 0.0, 0.30, PROGRAMS["tf"].peaks)

# Programs are numbered by their place here.
NAMES = [*PROGRAMS, "quiescent"]
TABLE = [*PROGRAMS.values(), _QUIESCENT]
TF, METHYLATED, QUIESCENT = (NAMES.index(name) for name in ("tf", "methylated", "quiescent"))

#: A neighbouring gene's promoter: it has no effect on this gene.
NEIGHBOUR = (
    Peak("H3K4me3", 0, 200, 9),
    Peak("H3K27ac", 0, 220, 7),
    Peak("H3K9ac", 0, 220, 5),
    Peak("DNase", 0, 120, 4),
    Peak("ATAC", 0, 120, 4),
)

#: Reads per bin of 100 bp where a mark has no peak.
BACKGROUND = {"H3K9me3": 1.0, "H3K27me3": 0.8, "H3K36me3": 0.6}

#: Marks of a data set by default; ``H3K9ac`` and ``ATAC`` are known as well, any other mark is background.
MARKS = ("H3K4me3", "H3K27ac", "H3K4me1", "H3K36me3", "H3K27me3", "H3K9me3", "DNase")

"""Where the files of the Roadmap Epigenomics consortium lie, and what they are called."""

from __future__ import annotations

from ._download import Remote

BASE_URL = "https://egg2.wustl.edu/roadmap/data"
#: Every one of the 127 epigenomes has these.
CORE_MARKS = ("H3K4me1", "H3K4me3", "H3K27me3", "H3K36me3", "H3K9me3")
ACCESSIBILITY = ("DNase",)
EXPRESSION = Remote("byDataType/rna/expression/57epigenomes.RPKM.pc.gz", what="expression")
#: GENCODE 10 without tRNAs, by which the consortium counted reads; hg19.
ANNOTATION = Remote("byDataType/rna/annotations/gen10.long.gtf.gz", what="annotation")


class Epigenomes(dict[str, str]):
    """Eighteen Roadmap epigenomes that have everything, by the consortium's short names: a mapping for ``roadmap``.

    The first ones, by number, with RNA-seq (a column of the table of RPKM), whole genome bisulfite sequencing, the five
    core marks and H3K27ac.
    """


EPIGENOMES = Epigenomes(
    {
        "E003": "ESC.H1",
        "E004": "ESDR.H1.BMP4.MESO",
        "E005": "ESDR.H1.BMP4.TROP",
        "E006": "ESDR.H1.MSC",
        "E007": "ESDR.H1.NEUR.PROG",
        "E011": "ESDR.CD184.ENDO",
        "E012": "ESDR.CD56.ECTO",
        "E013": "ESDR.CD56.MESO",
        "E016": "ESC.HUES64",
        "E050": "BLD.MOB.CD34.PC.F",
        "E065": "VAS.AOR",
        "E066": "LIV.ADLT",
        "E079": "GI.ESO",
        "E084": "GI.L.INT.FET",
        "E085": "GI.S.INT.FET",
        "E094": "GI.STMC.GAST",
        "E095": "HRT.VENT.L",
        "E096": "LNG",
    }
)

_SIGNAL = "byFileType/signal/consolidated/macs2signal"
_PATHS = {
    "pvalue": f"{_SIGNAL}/pval/{{name}}-{{mark}}.pval.signal.bigwig",
    "fold_change": f"{_SIGNAL}/foldChange/{{name}}-{{mark}}.fc.signal.bigwig",
    "peaks": "byFileType/peaks/consolidated/narrowPeak/{name}-{mark}.narrowPeak.gz",
}
SIGNALS = tuple(_PATHS)
BISULFITE = ("WGBS", "RRBS")


def signal_file(epigenome: str, mark: str, signal: str) -> Remote:
    """Signal or peaks of a mark."""
    peaks_of_dnase = signal == "peaks" and mark in ACCESSIBILITY
    name = f"{mark}.macs2" if peaks_of_dnase else mark
    return Remote(_PATHS[signal].format(name=epigenome, mark=name), what=f"{mark} of {epigenome}")


def methylation_file(epigenome: str, assay: str, kind: str = "FractionalMethylation") -> Remote:
    """Methylated fractions, or with ``kind="ReadCoverage"`` the reads."""
    path = f"byDataType/dnamethylation/{assay}/{kind}_bigwig/{epigenome}_{assay}_{kind}.bigwig"
    return Remote(path, what=f"{assay} of {epigenome}")

"""Every name that is read from or written into a MuData, in this one place."""

from __future__ import annotations

SCHEMA_VERSION = "1"
PACKAGE = "epiattn"  # `uns["epiattn"]` of the object and of a modality

# Modalities
HISTONE = "histone"
METHYLATION = "methylation"
TF = "tf"
RNA = "rna"
DISTAL = "distal"  # signal of the regions that a promoter touches

# Columns of `mdata.obs`
GENE_ID = "gene_id"
GENE_NAME = "gene_name"
CELL_TYPE = "cell_type"
CHROM = "chrom"
TSS = "tss"
STRAND = "strand"
LABEL = "label"
SPLIT = "split"

# Inside modalities
BETA = "beta"
POSITION = "position"
N_CPG = "n_cpg"
COVERAGE = "coverage"  # reads of a CpG
BINDING, MODE, EXPRESSION = "binding", "mode", "expression"  # channels of TFs made from regulons
START, END = "start", "end"  # of a bin, bp relative to the TSS; in `var`
FREQUENCY = "frequency"  # of an interaction; a layer of `distal`
MEASURED = "measured"  # in `obsm`: boolean DataFrame, observations x channels; absent: all were measured

# Values
LOW, HIGH = "low", "high"  # `HIGH` is the positive class, by name
TRAIN, VALIDATION, TEST = PARTS = ("train", "validation", "test")


def truth(what: str) -> str:
    """Planted truth of a simulation: a column of ``obs``, or a layer of a modality, which is then no channel."""
    return f"truth_{what}"


def normalized(channel: str) -> str:
    """Normalised signal that ``pp.normalize`` writes, in ``layers``."""
    return f"{channel}_normalized"


# What `tl.fit` and `tl.embed` write under `key_added`
def latent(key: str) -> str:
    """Fused embedding, in ``obsm``."""
    return f"X_{key}"


def context(key: str, modality: str) -> str:
    """Context vector of a modality, in ``obsm``."""
    return f"X_{key}_{modality}"


def modality_weights(key: str) -> str:
    """Weight of each modality, in ``obsm``."""
    return f"{key}_modality"


#: How attention over bins and CpGs may be stored. That over TFs is sparse, and SciPy has no sparse half precision.
ATTENTION_DTYPES = ("float32", "float16")


def attention(key: str) -> str:
    """Attention over the positions of a modality, in the modality's ``layers``."""
    return f"{key}_attention"


def mark_attention(key: str, mark: str) -> str:
    """Part of one mark in the attention, where a model keeps the marks apart; in the modality's ``layers``."""
    return f"{attention(key)}_{mark}"


def unbound(key: str) -> str:
    """Attention on all TFs without evidence, in ``mdata["tf"].obs``."""
    return f"{key}_unbound"


def score(key: str) -> str:
    """Probability of high expression, or predicted expression, in ``obs``."""
    return f"{key}_score"


def score_sd(key: str) -> str:
    """Standard deviation of the score between the members of an ensemble, in ``obs``."""
    return f"{score(key)}_sd"


def score_low(key: str) -> str:
    """Lower end of the interval of predicted expression, in ``obs``."""
    return f"{score(key)}_low"


def score_high(key: str) -> str:
    """Upper end of the interval of predicted expression, in ``obs``."""
    return f"{score(key)}_high"


def fold(key: str) -> str:
    """The fold in which an observation was tested, in ``obs``."""
    return f"{key}_fold"


def scores(key: str) -> str:
    """Out-of-fold scores of several models, in ``obsm``."""
    return f"{key}_scores"


def prediction(key: str) -> str:
    """Predicted class, in ``obs``."""
    return f"{key}_prediction"


# What tools write about a run
def attribution(key: str) -> str:
    """Attribution to CpGs and TFs, in the modality's ``layers``; total of each feature, in ``obsm``; its record."""
    return f"{key}_attribution"


def specific(key: str) -> str:
    """Genes that are specific to a cell type, in ``uns``."""
    return f"{key}_specific"


def cluster(key: str) -> str:
    """Clusters of the latent space: in ``obs``, and their record."""
    return f"{key}_cluster"


def umap(key_added: str) -> str:
    """UMAP of the latent space, in ``obsm``."""
    return f"X_{key_added}_umap"


def neighbors(key_added: str, what: str) -> str:
    """``"connectivities"`` or ``"distances"`` of the neighbours, in ``obsp``; scanpy's names."""
    return f"{key_added}_{what}"


def rank_marks(key: str) -> str:
    """Marks, CpGs, TFs and expression of groups, in ``uns``."""
    return f"{key}_rank_marks_groups"


def differential(key: str) -> str:
    """Differences of regulation between groups, in ``uns``."""
    return f"{key}_differential"


def faithfulness(key: str) -> str:
    """Tests of explanations, in ``uns``."""
    return f"{key}_faithfulness"


def enrichment(key: str) -> str:
    """Gene sets in lists of genes, in ``uns``."""
    return f"{key}_enrich"


def perturbation(key: str) -> str:
    """Effect of each perturbation on the output, in ``obsm``; its record."""
    return f"{key}_perturbation"


def ablation(key: str) -> str:
    """Effect of taking away each modality and mark, in ``obsm``; its record."""
    return f"{key}_ablation"


def part_of(key_added: str, what: str) -> str:
    """A further table of a tool, in ``obsm``."""
    return f"{key_added}_{what}"


def pairs_of_group(key_added: str, group: str) -> str:
    """Attention between TFs in a group of observations, in ``varp``; a slash would be a folder in a file."""
    return f"{key_added}_{group.replace('%', '%25').replace('/', '%2F')}"


def mark_layer(key_added: str, mark: str) -> str:
    """What a tool says of the bins of one mark, in the modality's ``layers``."""
    return f"{key_added}_{mark}"


def feature(modality: str, channel: str | None = None) -> str:
    """Name of a mark, of methylation or of the TFs in tables: ``H3K4me3``, ``histone_500bp:H3K4me3``, ``tf``."""
    if channel is None:
        return modality
    return channel if modality == HISTONE else f"{modality}:{channel}"

"""The one registry: what can be chosen by name. A new model is one file and one line here, or a call of `register`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any, NamedTuple

from ._messages import did_you_mean


class Entry(NamedTuple):
    """A class or function, or ``module:name`` to find it by when first used, what it is, and its options."""

    target: str | Callable
    description: str
    options: Mapping[str, Any] = {}

    def load(self) -> Any:
        """Import it."""
        if not isinstance(self.target, str):
            return self.target
        module, name = self.target.split(":")
        return getattr(import_module(module), name)


class Registry(Mapping[str, Entry]):
    """Entries by name; prints itself as a table."""

    def __init__(self, kind: str, entries: Mapping[str, Entry]) -> None:
        self.kind = kind
        self._entries = dict(entries)
        #: What was registered from outside of the package.
        self.added: dict[str, Entry] = {}

    def __getitem__(self, name: str) -> Entry:
        if name not in self._entries:
            hint = did_you_mean(name, self._entries)
            msg = f"Unknown {self.kind} {name!r}; known are {list(self._entries)}.{hint}"
            raise ValueError(msg)
        return self._entries[name]

    def add(self, added: Mapping[str, Entry]) -> None:
        """Add entries from outside of the package, or replace such ones."""
        self.added |= added
        self._entries |= added

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        width = max(map(len, self._entries))
        return "\n".join(f"{name:<{width}}  {entry.description}" for name, entry in self._entries.items())


#: Functions of the object, see `epiattn.baselines`.
baselines = Registry(
    "baseline",
    {
        "prevalence": Entry("epiattn.baselines:prevalence", "the share of high genes, or the mean expression"),
        "gene_mean": Entry("epiattn.baselines:gene_mean", "mean of the gene over the other training cell types"),
        "nearest_cell_type": Entry(
            "epiattn.baselines:nearest_cell_type", "the gene in the training cell type with the most similar marks"
        ),
        "best_mark": Entry("epiattn.baselines:best_mark", "regression on the total of the best mark"),
        "logistic": Entry("epiattn.baselines:logistic", "logistic regression on the total of each mark"),
        "ridge": Entry("epiattn.baselines:ridge", "ridge (labels: logistic) regression on all bins of all marks"),
        "gradient_boosting": Entry(
            "epiattn.baselines:gradient_boosting", "boosted trees on all bins, and on CpGs and TFs in a few numbers"
        ),
        "cpg_count": Entry("epiattn.baselines:cpg_count", "regression on the number of CpGs"),
        "tf_count": Entry("epiattn.baselines:tf_count", "regression on the number of TFs"),
    },
)

models = Registry(
    "model",
    {
        "multi_attention": Entry(
            "epiattn.models:MultiAttention", "the default: attention over marks, bins, CpGs, TFs and modalities"
        ),
        "kang2020": Entry("epiattn.models:Kang2020", "Kang et al. 2020 as published, corrected"),
        "hm_crnn": Entry("epiattn.models:HMCRNN", "histone branch of Kang et al. 2020 alone"),
        "attentive_chrome": Entry("epiattn.models:AttentiveChrome", "Singh et al. 2017: attention per mark and bin"),
        "deep_chrome": Entry("epiattn.models:DeepChrome", "Singh et al. 2016: convolution, no attention"),
        "chromoformer": Entry(
            "epiattn.models:Chromoformer", "Lee et al. 2022: transformers, with distal regions if given"
        ),
    },
)

#: Encoders that `models.MultiAttention` can be made of, by the kind of modality: modules as those of `epiattn.nn`.
histone_encoders = Registry(
    "encoder of histone marks",
    {
        "attention": Entry("epiattn.nn:HistoneAttention", "the default: attention over marks and bins; knows places"),
        "crnn": Entry("epiattn.nn:HistoneCRNN", "Kang et al. 2020: convolution, BiLSTM, one additive attention"),
    },
)

methylation_encoders = Registry(
    "encoder of methylation",
    {
        "attention": Entry("epiattn.nn:CpGAttention", "the default: CpGs as a set"),
        "rnn": Entry("epiattn.nn:MethylationRNN", "Kang et al. 2020: BiLSTM over the CpGs, one additive attention"),
    },
)

tf_encoders = Registry(
    "encoder of TFs",
    {
        "attention": Entry("epiattn.nn:TFAttention", "the default: bound TFs as a set, each with an embedding"),
        "self_attention": Entry("epiattn.nn:TFSelfAttention", "Kang et al. 2020: self-attention over all TFs"),
    },
)

#: What joins the modalities in `models.MultiAttention`.
fusions = Registry(
    "fusion",
    {
        "gated": Entry("epiattn.nn:GatedFusion", "the default: attention over modalities around a residual"),
        "multi_attention": Entry("epiattn.nn:MultiAttentionFusion", "Kang et al. 2020: ten attentions over features"),
        "concatenation": Entry("epiattn.nn:Concatenation", "side by side, nothing learned"),
    },
)

#: Files of signal along the genome: subclasses of `epiattn.io._signal.Track`.
signal_formats = Registry(
    "signal format",
    {
        "bigwig": Entry("epiattn.io._bigwig:BigWig", "bigWig"),
        "bigbed": Entry("epiattn.io._bigwig:BigBed", "bigBed: score, or narrowPeak's signal"),
        "bedgraph": Entry("epiattn.io._bed:BedGraph", "bedGraph: column 4"),
        "bed": Entry("epiattn.io._bed:Bed", "BED: score (column 5), or 1 where there is none"),
        "narrowpeak": Entry("epiattn.io._bed:NarrowPeak", "narrowPeak: signal (column 7)"),
        "broadpeak": Entry("epiattn.io._bed:BroadPeak", "broadPeak: signal (column 7)"),
        "bam": Entry("epiattn.io._bam:Bam", "BAM with an index: reads (needs the extra 'bam')"),
    },
)

#: Files of DNA methylation: functions that yield tables of CpGs, see `epiattn.io._methylation`.
methylation_formats = Registry(
    "methylation format",
    {
        "bedmethyl": Entry("epiattn.io._bedmethyl:read_bedmethyl", "bedMethyl of modkit, modbam2bed or ENCODE"),
        "bismark": Entry("epiattn.io._bismark:read_bismark", "Bismark coverage"),
        "methylkit": Entry("epiattn.io._methylkit:read_methylkit", "methylKit"),
        "bigwig": Entry("epiattn.io._methylation_bigwig:read_bigwig", "bigWig: fractions or percentages, by CpG"),
    },
)

#: Changes of the inputs that `tl.perturb` can make: subclasses of `epiattn.tl._edits.Edit`.
edits = Registry(
    "edit",
    {
        "set_signal": Entry("epiattn.tl:SetSignal", "signal of a mark becomes a value, a quantile or a mean"),
        "scale_signal": Entry("epiattn.tl:ScaleSignal", "a mark's signal is multiplied"),
        "shift_signal": Entry("epiattn.tl:ShiftSignal", "a mark's signal is moved along the window"),
        "swap_marks": Entry("epiattn.tl:SwapMarks", "two marks exchange their signal"),
        "swap_cell_type": Entry("epiattn.tl:SwapCellType", "a mark gets the signal of the same gene in a cell type"),
        "methylate": Entry("epiattn.tl:Methylate", "CpGs become methylated"),
        "demethylate": Entry("epiattn.tl:Demethylate", "CpGs become unmethylated"),
        "knock_out": Entry("epiattn.tl:KnockOut", "TFs are no longer bound"),
    },
)

#: What `register` takes as its kind.
_KINDS = {
    "model": models,
    "baseline": baselines,
    "histone_encoder": histone_encoders,
    "methylation_encoder": methylation_encoders,
    "tf_encoder": tf_encoders,
    "fusion": fusions,
    "signal_format": signal_formats,
    "methylation_format": methylation_formats,
}


def register(kind: str, name: str, thing: Any, *, description: str = "") -> None:
    """Make a model, a part of one, a baseline or a reader of your own known by name, as those of the package are.

    It holds for this session, and for the processes or workers that it starts. To use a saved model that is made of
    your own parts in another session, register them there first. A name that you registered before is replaced.

    Parameters
    ----------
    kind
        ``"model"``, ``"baseline"``, ``"histone_encoder"``, ``"methylation_encoder"``, ``"tf_encoder"``, ``"fusion"``,
        ``"signal_format"`` or ``"methylation_format"``.
    name
        What to call it: letters, digits and ``_``.
    thing
        The class or function; the guide "Extend it" says what each kind must be able to do.
    description
        What it is, in a few words.

    Raises
    ------
    ValueError
        If there is no such kind, the name is not of letters, digits and ``_``, or the package itself has it.
    TypeError
        If ``thing`` cannot be called.

    Examples
    --------
    >>> import epiattn as attn
    >>> def coin(mdata, *, seed=0, **_):
    ...     import numpy as np
    ...
    ...     return np.random.default_rng(seed).random(mdata.n_obs)
    >>> attn.register("baseline", "coin", coin, description="tosses a coin")
    >>> mdata = attn.datasets.simulate(n_genes=200, cell_types=1)
    >>> table = attn.tl.benchmark(mdata, models=["coin"], n_folds=2)
    >>> sorted(set(table["model"]))
    ['coin']
    """
    if kind not in _KINDS:
        msg = f"kind must be one of {list(_KINDS)}, not {kind!r}."
        raise ValueError(msg)
    if not re.fullmatch(r"\w+", name):
        msg = f"The name of a {kind} must be of letters, digits and '_', not {name!r}."
        raise ValueError(msg)
    if not callable(thing):
        msg = f"The {kind} {name!r} must be a class or a function, not {thing!r}."
        raise TypeError(msg)
    shared = (models, baselines) if kind in ("model", "baseline") else (_KINDS[kind],)
    if any(name in registry and not (registry is _KINDS[kind] and name in registry.added) for registry in shared):
        msg = f"The name {name!r} is taken, by the package or by another kind: choose another one for your {kind}."
        raise ValueError(msg)
    _KINDS[kind].add({name: Entry(thing, description or (thing.__doc__ or "").strip().partition("\n")[0])})


def call_with(added: Mapping[str, Mapping[str, Entry]], function: Callable, *arguments: Any) -> Any:
    """Call a function in another process, where what was registered here is not known yet; see `registered`."""
    for kind, entries in added.items():
        _KINDS[kind].add(entries)
    return function(*arguments)


def registered() -> dict[str, dict[str, Entry]]:
    """What `register` was called for, by kind."""
    return {kind: registry.added for kind, registry in _KINDS.items() if registry.added}

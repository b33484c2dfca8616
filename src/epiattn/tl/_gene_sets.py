"""Sets of genes, from a GMT file or a dictionary."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from epiattn.io._text import check_file, open_text

GeneSets = Mapping[str, Iterable[str]]


def read_gene_sets(gene_sets: GeneSets | str | Path) -> dict[str, set[str]]:
    """Genes of each set, by its name.

    Parameters
    ----------
    gene_sets
        A dictionary, or a GMT file (plain or gzipped): a set a line, tab-separated name, description and genes.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If there is no set, a line has no genes, a name is twice in a file, or a dictionary holds a text for genes.
    """
    if not isinstance(gene_sets, Mapping):
        return _read_gmt(check_file(gene_sets))
    if texts := [str(name) for name, genes in gene_sets.items() if isinstance(genes, str)]:
        msg = f"gene_sets[{texts[0]!r}] is a text; it must hold the genes, such as ['GATA1', 'TAL1']."
        raise ValueError(msg)
    if not gene_sets:
        msg = "gene_sets is empty."
        raise ValueError(msg)
    return {str(name): {str(gene) for gene in genes} for name, genes in gene_sets.items()}


def _read_gmt(path: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    with open_text(path) as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            name, *rest = line.rstrip("\r\n").split("\t")
            genes = {gene.strip() for gene in rest[1:]} - {""}
            if not genes:
                msg = f"{path}, line {number}: {name[:40]!r} has no genes; GMT is name, description and genes, by tabs."
                raise ValueError(msg)
            if name in found:
                msg = f"{path}, line {number}: the set {name!r} is there twice."
                raise ValueError(msg)
            found[name] = genes
    return found

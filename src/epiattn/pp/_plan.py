"""The part of every observation in one split."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from epiattn import _keys as k
from epiattn._validation import check_choice

from ._parts import (
    PRESETS,
    balanced,
    fill_fold_in_order,
    fill_in_order,
    fill_largest_first,
    genes_of,
    groups_of,
    natural,
    preset_folds,
    preset_gaps,
    shown,
)

if TYPE_CHECKING:
    import pandas as pd
    from mudata import MuData


@dataclass
class Plan:
    """A split that was asked for; see :func:`epiattn.pp.split`. ``make`` notes in ``remarks`` what to tell the user."""

    by: str
    validation: Collection[str] | None = None
    test: Collection[str] | None = None
    n_folds: int | None = None
    fold: int | None = None
    preset: str | None = None
    seed: int = 0
    remarks: list[tuple[int, str]] = field(default_factory=list)  # level of logging, sentence

    def make(self, mdata: MuData) -> tuple[pd.Categorical, dict[str, object]]:
        """Make the column of parts and the record; nothing is written."""
        import pandas as pd

        self._check()
        values, groups = self._hybrid(mdata) if self.by == "hybrid" else self._by_group(mdata)
        if self.by in (k.CHROM, "hybrid"):
            values = self._keep_genes_together(mdata, values)
        self._check_parts(values, groups)
        categories = pd.Categorical(values, categories=list(k.PARTS))
        record: dict[str, object] = {"by": self.by, "seed": self.seed}
        asked = {"n_folds": self.n_folds, "fold": self.fold, "preset": self.preset}
        record |= {name: value for name, value in asked.items() if value is not None}
        record |= {f"n_{part}": int((categories == part).sum()) for part in k.PARTS}
        if n_left_out := int(categories.isna().sum()):
            record["n_left_out"] = n_left_out
        if self.by != "random":
            record |= {part: sorted(names, key=natural) for part, names in groups.items() if names or part in k.PARTS}
        return categories, record

    def _check(self) -> None:
        if self.preset is not None:
            check_choice("preset", self.preset, PRESETS)
            if self.by != k.CHROM:
                msg = f"preset={self.preset!r} is a split by chromosome, but by={self.by!r}."
                raise ValueError(msg)
            n_folds = len(PRESETS[self.preset])
            if self.n_folds not in (None, n_folds):
                msg = f"preset={self.preset!r} has {n_folds} folds, not n_folds={self.n_folds}."
                raise ValueError(msg)
            self.n_folds = n_folds
        if self.n_folds is None:
            if self.fold is not None:
                msg = f"fold={self.fold} needs the number of folds, such as n_folds=4, or a preset."
                raise ValueError(msg)
            return
        if self.n_folds < 2:
            msg = f"n_folds must be 2 or more, not {self.n_folds}."
            raise ValueError(msg)
        if self.fold is None or not 0 <= self.fold < self.n_folds:
            msg = f"fold= must name the fold to test on, 0 to {self.n_folds - 1}; it is {self.fold}."
            raise ValueError(msg)
        if self.test is not None:
            msg = "test= names groups and fold= chooses them: give one of the two."
            raise ValueError(msg)

    # --- by one column -----------------------------------------------------------------------------------------------

    def _by_group(self, mdata: MuData) -> tuple[np.ndarray, dict[str, list[str]]]:
        """Part of each observation (missing: left out), and the groups of each part."""
        groups = groups_of(mdata, self.by)
        named = {k.VALIDATION: _named(self.validation, "validation"), k.TEST: _named(self.test, "test")}
        sizes = groups.value_counts()
        _check_named(named, sizes, self.by)
        if self.by == "random":
            order = np.random.default_rng(self.seed).permutation(sorted(sizes.index))
            if self.n_folds is None or self.fold is None:
                return _apply(groups, fill_in_order(order, sizes))
            return _apply(groups, fill_fold_in_order(order, sizes, n_folds=self.n_folds, fold=self.fold))
        if self.n_folds is not None and self.fold is not None:
            found = self._folds(mdata, groups, self.n_folds)
            named[k.TEST] = found[self.fold]
            sizes = sizes[sizes.index.isin([name for names in found for name in names])]
            _check_named(named, sizes, self.by)
        one_left = len(sizes) - 1 == len(named[k.TEST]) > 0 and not named[k.VALIDATION]
        if self.by == k.CELL_TYPE and one_left and k.CHROM in mdata.obs:
            return self._within_one_type(mdata, groups, named[k.TEST])
        return _apply(groups, fill_largest_first(sizes, named))

    def _folds(self, mdata: MuData, groups: pd.Series, n_folds: int) -> list[list[str]]:
        """The test groups of each fold."""
        if self.preset is not None:
            chromosomes = groups.unique().tolist()
            absent, beyond = preset_gaps(self.preset, chromosomes)
            if absent:
                remark = f"preset={self.preset!r}: no gene is on chromosome {shown(absent)}."
                self.remarks.append((logging.INFO, remark))
            if beyond:
                remark = f"preset={self.preset!r} does not know {shown(beyond)}: the genes there are left out."
                self.remarks.append((logging.WARNING, remark))
            return preset_folds(self.preset, chromosomes)
        return _balanced(mdata, groups, self.by, n_folds)

    def _within_one_type(
        self, mdata: MuData, groups: pd.Series, test: list[str]
    ) -> tuple[np.ndarray, dict[str, list[str]]]:
        """Where one cell type is all there is to learn from: its chromosomes make the validation part."""
        rest = ~groups.isin(test).to_numpy()
        chromosomes = groups_of(mdata, k.CHROM)[rest]
        assigned = fill_largest_first(chromosomes.value_counts(), {}, (k.TRAIN, k.VALIDATION))
        values = np.full(mdata.n_obs, k.TEST, dtype=object)
        values[rest], found = _apply(chromosomes, assigned)
        only = groups[rest].iloc[0]
        remark = f"Only {only} is left to learn from: validation is {shown(found[k.VALIDATION])} of it."
        self.remarks.append((logging.WARNING, remark))
        return values, {k.TRAIN: [only], k.VALIDATION: [only], "validation_chrom": found[k.VALIDATION], k.TEST: test}

    # --- held-out cell types x held-out chromosomes ------------------------------------------------------------------

    def _hybrid(self, mdata: MuData) -> tuple[np.ndarray, dict[str, list[str]]]:
        columns = {column: groups_of(mdata, column) for column in (k.CELL_TYPE, k.CHROM)}
        sizes = {column: groups.value_counts() for column, groups in columns.items()}
        n_types = len(sizes[k.CELL_TYPE])
        if n_types < 2:
            msg = f"by='hybrid' holds cell types out, but there is one only: {columns[k.CELL_TYPE].iloc[0]!r}."
            raise ValueError(msg)
        named = {column: dict(self._named_in(columns, column)) for column in columns}
        if self.n_folds is not None and self.fold is not None:
            for column, groups in columns.items():
                n = min(self.n_folds, n_types) if column == k.CELL_TYPE else self.n_folds
                named[column][k.TEST] = _balanced(mdata, groups, column, n)[self.fold % n]
        for column in columns:
            _check_named(named[column], sizes[column], column)
        n_test = max(1, len(named[k.CELL_TYPE][k.TEST]))
        few = n_types - n_test == 1 and not named[k.CELL_TYPE][k.VALIDATION]
        by_type = fill_largest_first(sizes[k.CELL_TYPE], named[k.CELL_TYPE], (k.TRAIN, k.TEST) if few else k.PARTS)
        by_chromosome = fill_largest_first(sizes[k.CHROM], named[k.CHROM])
        types = columns[k.CELL_TYPE].map(by_type).to_numpy(dtype=object)
        chromosomes = columns[k.CHROM].map(by_chromosome).to_numpy(dtype=object)
        if few:
            types = np.where((types == k.TRAIN) & (chromosomes == k.VALIDATION), k.VALIDATION, types)
            only = [name for name, part in by_type.items() if part == k.TRAIN]
            remark = f"Only {shown(only)} is left to learn from: validation is other chromosomes of it."
            self.remarks.append((logging.WARNING, remark))
        found = {
            f"{part}_{column}": [name for name, value in assigned.items() if value == part]
            for column, assigned in ((k.CELL_TYPE, by_type), (k.CHROM, by_chromosome))
            for part in k.PARTS
        }
        return _leave_out(chromosomes, types != chromosomes), found

    def _named_in(self, columns: dict[str, pd.Series], column: str) -> Iterator[tuple[str, list[str]]]:
        """Those of the named groups that are in a column, for both parts; checks that each is in one."""
        names_in = {name: set(groups) for name, groups in columns.items()}
        for part, groups in ((k.VALIDATION, self.validation), (k.TEST, self.test)):
            names = _named(groups, part)
            for name in names:
                if (n := sum(name in there for there in names_in.values())) != 1:
                    what = "neither a cell type nor a chromosome" if n == 0 else "a cell type and a chromosome"
                    msg = f"{part}= names {name!r}, which is {what} here."
                    raise ValueError(msg)
            yield part, [name for name in names if name in names_in[column]]

    # --- all of them -------------------------------------------------------------------------------------------------

    def _keep_genes_together(self, mdata: MuData, values: np.ndarray) -> np.ndarray:
        """Leave out of training (and validation) what belongs to a gene that is in a held-out part too."""
        import pandas as pd

        rank = pd.Series(pd.Categorical(values, categories=list(k.PARTS)).codes.astype(int))  # -1: left out
        last = rank.groupby(genes_of(mdata).to_numpy()).transform("max")
        torn = ((rank >= 0) & (rank < last)).to_numpy()
        if not torn.any():
            return values
        genes = genes_of(mdata)[torn].unique()
        remark = (
            f"{len(genes)} genes, such as {genes[0]}, lie on chromosomes of different parts: {int(torn.sum())} of "
            "their observations are left out, so that no gene is on both sides."
        )
        self.remarks.append((logging.WARNING, remark))
        return _leave_out(values, torn)

    def _check_parts(self, values: np.ndarray, groups: dict[str, list[str]]) -> None:
        if not (empty := [part for part in k.PARTS if not (values == part).any()]):
            return
        names = {name for part in k.PARTS for name in groups.get(part, [])}
        if self.by == "hybrid":
            found = "; ".join(f"{what}: {shown(names)}" for what, names in groups.items() if names)
            msg = f"The split by 'hybrid' leaves {empty} empty ({found}); name other cell types or chromosomes."
        else:
            msg = (
                f"The split by {self.by!r} leaves {empty} empty: there are {len(names)} groups ({shown(names)}); name "
                "fewer of them, or split by='random'."
            )
        raise ValueError(msg)


def _balanced(mdata: MuData, groups: pd.Series, column: str, n_folds: int) -> list[list[str]]:
    """Groups in folds of about as many genes."""
    n_genes = genes_of(mdata).groupby(groups.to_numpy()).nunique().to_dict()
    return balanced(n_genes, n_folds, what=f"obs[{column!r}]")


def _apply(groups: pd.Series, assigned: dict[str, str]) -> tuple[np.ndarray, dict[str, list[str]]]:
    """Part of each observation (NaN: none), and the groups of each part."""
    found = {part: [name for name, value in assigned.items() if value == part] for part in k.PARTS}
    return groups.map(assigned).astype(object).to_numpy(), found


def _leave_out(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    values = values.copy()
    values[rows] = None
    return values


def _named(groups: Collection[str] | None, part: str) -> list[str]:
    if groups is None:
        return []
    names = [groups] if isinstance(groups, str) else list(dict.fromkeys(str(group) for group in groups))
    if not names:
        msg = f"{part}=() names no group; leave it out (None) to have the part filled."
        raise ValueError(msg)
    return names


def _check_named(named: dict[str, list[str]], sizes: pd.Series, by: str) -> None:
    for part, names in named.items():
        if names and by == "random":
            msg = f"{part}= names groups, which by='random' does not have."
            raise ValueError(msg)
        if unknown := [name for name in names if name not in sizes.index]:
            msg = f"{part}= names {unknown}, not in obs[{by!r}]: it has {shown(sizes.index)}."
            raise ValueError(msg)
    if both := sorted(set(named[k.VALIDATION]) & set(named[k.TEST])):
        msg = f"{both} are named both in validation= and in test=."
        raise ValueError(msg)

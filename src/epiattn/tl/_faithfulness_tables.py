"""Tables of a test of faithfulness, each with intervals over chromosomes or genes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from epiattn import _keys as k
from epiattn import metrics

from ._explanations import SIGNAL, Scores, is_signed, rank_correlation
from ._planted import precision_of_each
from ._removal import Ground, Walk, area, order_by, walk

if TYPE_CHECKING:
    import pandas as pd

    from ._trained import Trained

Row = dict[str, Any]
RANDOM, REVERSED = "random", "reversed"
CURVES = ("deletion", "insertion")


def mean_of_differences(y_true: np.ndarray, y_score: np.ndarray) -> float:
    """Mean of the second less the first."""
    return float(np.mean(y_score - y_true))


class Sample(NamedTuple):
    """The observations of a test, and what makes them depend on each other."""

    trained: Trained
    rows: np.ndarray
    chrom: np.ndarray | None
    gene: np.ndarray

    @classmethod
    def of(cls, trained: Trained, rows: np.ndarray, obs: pd.DataFrame) -> Sample:
        """Read chromosomes and genes."""
        known = k.CHROM in obs and obs[k.CHROM].notna().all()
        gene = obs[k.GENE_ID].astype(str) if k.GENE_ID in obs else obs.index.to_series()
        return cls(trained, rows, obs[k.CHROM].astype(str).to_numpy()[rows] if known else None, gene.to_numpy()[rows])

    def compare(
        self, values: np.ndarray, others: np.ndarray | float = 0.0, *, bounds: tuple[float, float] | None = None
    ) -> Row:
        """Mean difference of observations with its 95 % interval (within bounds); NaN is left out."""
        others = np.broadcast_to(np.asarray(others, dtype=float), values.shape)
        known = np.isfinite(values) & np.isfinite(others)
        n = int(known.sum())
        if n < 2:
            value = float((values - others)[known].mean()) if n else np.nan
            return {"value": value, "low": np.nan, "high": np.nan, "n_obs": n, "interval": ""}
        found = metrics.interval(
            mean_of_differences,
            others[known],
            values[known],
            groups=None if self.chrom is None else self.chrom[known],
            gene=self.gene[known],
        )
        low, high = (found.low, found.high) if bounds is None else np.clip((found.low, found.high), *bounds)
        return {"value": found.value, "low": float(low), "high": float(high), "n_obs": n, "interval": found.method}

    def standard_error(self, values: np.ndarray) -> np.ndarray:
        """Of the mean over the observations, shape ``(n_columns,)``; those of one gene may depend on each other."""
        _, code = np.unique(self.gene, return_inverse=True)
        sums = np.zeros((code.max() + 1, values.shape[1]))
        np.add.at(sums, code, values - values.mean(0))
        return np.sqrt((sums**2).sum(0)) / len(values)

    def part(self, which: np.ndarray) -> Sample:
        """Some of the observations."""
        return Sample(
            self.trained, self.rows[which], None if self.chrom is None else self.chrom[which], self.gene[which]
        )


class Trial(NamedTuple):
    """Orders in which the values of a modality are taken away, and what comes of it."""

    sample: Sample
    modality: str
    ground: Ground
    n_points: int
    rng: np.random.Generator

    def toward(self, method: str, scores: np.ndarray, ground: Ground | None = None) -> np.ndarray:
        """Scores with the sign of how the modality as a whole moves the output, where they have a sign."""
        direction = (self.ground if ground is None else ground).direction
        return scores * direction if is_signed(method) else scores

    def walk_by(self, scores: np.ndarray) -> Walk:
        """The largest scores first."""
        rank = order_by(scores, self.ground.there, self.rng)
        return walk(self.sample.trained, self.sample.rows, self.modality, self.ground, rank, self.n_points)

    def walk_at_random(self, n_random: int) -> Walk:
        """Mean outputs of several random orders."""
        walks = [self.walk_by(np.zeros(self.ground.there.shape)) for _ in range(n_random)]
        return Walk(*(np.mean([each[i] for each in walks], axis=0) for i in (0, 1)))

    def heights(self, walk: Walk) -> dict[str, np.ndarray]:
        """Deletion and insertion curves, shape ``(n_rows, n_points + 1)``."""
        return dict(zip(CURVES, (walk.deletion(self.ground), walk.insertion(self.ground)), strict=True))

    def tests_of(self, method: str, walk: Walk, random: Walk) -> Iterator[Row]:
        """Areas of deletion and insertion, against the random and the reversed order."""
        ours = self.heights(walk)
        for name, other in {RANDOM: random, REVERSED: walk.reversed()}.items():
            theirs = self.heights(other)
            for curve in CURVES:
                areas = area(ours[curve]), area(theirs[curve])
                found = self.sample.compare(*areas)
                yield {
                    "modality": self.modality,
                    "method": method,
                    "curve": curve,
                    "against": name,
                    "area": float(areas[0].mean()),
                    "area_against": float(areas[1].mean()),
                    "difference": found.pop("value"),
                    **found,
                }

    def curves_of(self, method: str, walk: Walk) -> Iterator[Row]:
        """Mean curves and their standard errors."""
        for curve, values in self.heights(walk).items():
            errors = self.sample.standard_error(values)
            for i, (mean, error) in enumerate(zip(values.mean(0), errors, strict=True)):
                share = i / self.n_points
                yield {
                    "modality": self.modality,
                    "method": method,
                    "curve": curve,
                    "share": share,
                    "mean": float(mean),
                    "error": float(error),
                }

    def sanity_of(
        self, check: str, method: str, scores: np.ndarray, walk: Walk, others: np.ndarray, ground: Ground
    ) -> Row:
        """What the explanation of a model that learned nothing has in common with that of the model."""
        theirs = self.walk_by(self.toward(method, others, ground))
        areas = area(walk.deletion(self.ground)), area(theirs.deletion(self.ground))
        found = self.sample.compare(*areas)
        correlation = self.sample.compare(rank_correlation(scores, others, self.ground.there), bounds=(-1, 1))
        return {
            "check": check,
            "modality": self.modality,
            "method": method,
            "correlation": correlation["value"],
            "correlation_low": correlation["low"],
            "correlation_high": correlation["high"],
            "area": float(areas[0].mean()),
            "area_against": float(areas[1].mean()),
            "difference": found.pop("value"),
            **found,
            "passes": bool(found["low"] > 0),
        }

    def agreement_of(self, scores: Mapping[str, np.ndarray]) -> Iterator[Row]:
        """Rank correlation of the sizes of scores, between methods."""
        for one, other in combinations(scores, 2):
            found = self.sample.compare(rank_correlation(scores[one], scores[other], self.ground.there), bounds=(-1, 1))
            names = {"modality": self.modality, "method": one, "other": other}
            yield {**names, "correlation": found.pop("value"), **found}

    def stability_of(self, scores: Sequence[Mapping[str, np.ndarray]]) -> Iterator[Row]:
        """The same between models that differ in their seed, mean over their pairs."""
        pairs = list(combinations(range(len(scores)), 2))
        for method in scores[0] if pairs else ():
            found = [rank_correlation(scores[i][method], scores[j][method], self.ground.there) for i, j in pairs]
            result = self.sample.compare(np.mean(found, axis=0), bounds=(-1, 1))
            names = {"modality": self.modality, "method": method, "n_models": len(scores)}
            yield {**names, "correlation": result.pop("value"), **result}

    def planted_in(self, scores: Mapping[str, np.ndarray], causes: np.ndarray, candidates: np.ndarray) -> Iterator[Row]:
        """Average precision of planted causes: of each observation that has any, and of all of these together."""
        which = (causes & candidates).any(1)
        if not which.any():
            return
        causes, candidates = causes[which], candidates[which]
        sample = self.sample.part(which)
        for method, values in scores.items():
            toward = self.toward(method, values)[which]
            found = sample.compare(precision_of_each(causes, candidates, toward), bounds=(0, 1))
            yield {
                "modality": self.modality,
                "method": method,
                "average_precision": found.pop("value"),
                **found,
                "pooled": metrics.average_precision(causes[candidates], toward[candidates]),
                "chance": float(causes[candidates].mean()),
            }


def verdicts(tests: pd.DataFrame, sanity: pd.DataFrame | None = None) -> pd.DataFrame:
    """Which explanations beat the random order, by deletion as well as by insertion.

    Parameters
    ----------
    tests
        Rows of :meth:`Trial.tests_of`.
    sanity
        Rows of :meth:`Trial.sanity_of`; ``None``: there was no such check.

    Returns
    -------
    One row for each modality and method: ``deletion`` and ``insertion``, the differences of the areas; ``passes``:
    whether both have an interval above 0; with ``sanity``, ``sane``: whether the explanation beats those of all models
    that learned nothing.
    """
    import pandas as pd

    rows = []
    against = tests[(tests["against"] == RANDOM) & (tests["method"] != SIGNAL)]
    for (modality, method), group in against.groupby(["modality", "method"], sort=False):
        by_curve = group.set_index("curve")
        names = {"modality": str(modality), "method": str(method)}
        differences = {curve: float(by_curve.loc[curve, "difference"]) for curve in CURVES}
        checked = {}
        if sanity is not None:
            same = (sanity["modality"].astype(str) == str(modality)) & (sanity["method"].astype(str) == str(method))
            checked = {"sane": bool(sanity.loc[same, "passes"].all())}
        rows.append({**names, **differences, "passes": bool((by_curve["low"] > 0).all()), **checked})
    return pd.DataFrame(rows)


def mean_scores(members: Sequence[Mapping[str, Scores]]) -> dict[str, Scores]:
    """Scores of an ensemble, by method and modality."""
    return {
        method: {name: np.mean([each[method][name] for each in members], axis=0) for name in of_method}
        for method, of_method in members[0].items()
    }


def in_modality(scores: Mapping[str, Scores], modality: str) -> dict[str, np.ndarray]:
    """Scores of one modality, by those methods that have any."""
    return {method: of_method[modality] for method, of_method in scores.items() if modality in of_method}

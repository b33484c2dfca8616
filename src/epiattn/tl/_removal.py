"""How an output changes while values are taken away, or put back, in the order that an explanation gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from epiattn.models._explainer import Change, Explainer

    from ._trained import Trained


class Ground(NamedTuple):
    """What there is to take away from a modality."""

    there: np.ndarray
    """Values that differ from the baseline: boolean, shape ``(n_rows, n_values)``."""
    full: np.ndarray
    """Output with all of them, shape ``(n_rows,)``."""
    empty: np.ndarray
    """Output with none of them, the other modalities as they are, shape ``(n_rows,)``."""

    @property
    def direction(self) -> np.ndarray:
        """1 where the modality as a whole raises the output, -1 where it lowers it; shape ``(n_rows, 1)``."""
        return np.where(self.full >= self.empty, 1.0, -1.0)[:, None]


class Walk(NamedTuple):
    """Outputs while values are taken away in an order, and in the reversed one, shape ``(n_rows, n_points + 1)``."""

    forward: np.ndarray
    backward: np.ndarray

    def deletion(self, ground: Ground) -> np.ndarray:
        """How far the output has come from the full to the empty one, the first in the order taken away first."""
        return ground.direction * (ground.full[:, None] - self.forward)

    def insertion(self, ground: Ground) -> np.ndarray:
        """How far it has come from the empty to the full one, the first in the order put back first."""
        return ground.direction * (self.backward[:, ::-1] - ground.empty[:, None])

    def reversed(self) -> Walk:
        """The same, the last in the order first."""
        return Walk(self.backward, self.forward)


def area(curve: np.ndarray) -> np.ndarray:
    """Mean height of curves, shape ``(n_rows,)``, by the trapezoidal rule."""
    return (curve[:, 1:] + curve[:, :-1]).mean(1) / 2


def output_without(trained: Trained, rows: np.ndarray, modality: str, gone: np.ndarray) -> np.ndarray:
    """Output of observations without some values of a modality, the mean over the members.

    Parameters
    ----------
    trained
        The models.
    rows
        Observations, sorted.
    modality
        Whose values.
    gone
        Which: boolean, shape ``(n_rows, n_values)``.
    """
    total = np.zeros(len(rows))
    for where, local, members in trained.inside(rows):
        for member in members:
            total[where] += member.output(local, _taking_away(member, modality, local, gone[where])) / len(members)
    return total


def _taking_away(explainer: Explainer, modality: str, rows: np.ndarray, gone: np.ndarray) -> Change:
    from epiattn.models._erasure import erased

    return lambda batch, which: erased(explainer, batch, modality, gone[np.searchsorted(rows, which)])


def ground_of(trained: Trained, rows: np.ndarray, modality: str, differences: np.ndarray) -> Ground:
    """Find what there is to take away.

    Parameters
    ----------
    trained
        The models.
    rows
        Observations, sorted.
    modality
        Whose values.
    differences
        How far each is from the baseline, shape ``(n_rows, n_values)``.
    """
    there = differences != 0
    full, empty = (output_without(trained, rows, modality, gone) for gone in (np.zeros_like(there), there))
    return Ground(there, full, empty)


def order_by(scores: np.ndarray, there: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Number of each value when the largest scores come first, ties at random; values that are not there come last.

    Parameters
    ----------
    scores, there
        Shape ``(n_rows, n_values)``.
    rng
        Breaks ties.
    """
    order = np.lexsort((rng.random(scores.shape), np.where(there, -scores, np.inf)), axis=1)
    rank = np.empty(scores.shape, np.int32)
    np.put_along_axis(rank, order, np.arange(scores.shape[1], dtype=np.int32)[None], axis=1)
    return rank


def walk(trained: Trained, rows: np.ndarray, modality: str, ground: Ground, rank: np.ndarray, n_points: int) -> Walk:
    """Take values away in an order and in the reversed one, in equal shares of what each observation has.

    Parameters
    ----------
    trained
        The models.
    rows
        Observations, sorted.
    modality
        Whose values.
    ground
        What there is.
    rank
        Of :func:`order_by`.
    n_points
        Shares.
    """
    n = ground.there.sum(1, keepdims=True)
    ways = []
    for number in (rank, n - 1 - rank):
        outputs = [ground.full]
        for share in np.arange(1, n_points) / n_points:
            gone = ground.there & (number < np.rint(share * n))
            outputs.append(output_without(trained, rows, modality, gone))
        ways.append(np.stack([*outputs, ground.empty], axis=1))
    return Walk(*ways)

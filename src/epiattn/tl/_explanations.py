"""What explanations of a model say of every value, and how much they agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from epiattn._results import ATTENTION
from epiattn.models._erasure import attention_of, differences_of

if TYPE_CHECKING:
    from epiattn.models._erasure import Values
    from epiattn.models._explainer import Explainer

    from ._trained import Trained

#: Size of the input, scaled as the network reads it: what one would point at who does not know the model.
SIGNAL = "signal"

#: By modality, shape ``(n_rows, n_values)``: marks x bins, CpG slots, or TFs.
Scores = dict[str, np.ndarray]


def is_signed(method: str) -> bool:
    """Whether scores say in which direction a value moves the output."""
    return method not in (ATTENTION, SIGNAL)


def scores_of(trained: Trained, rows: np.ndarray, method: str, *, member: int | None = None, **options: Any) -> Scores:
    """Score of every value by a method, the mean over the members.

    Parameters
    ----------
    trained
        The models.
    rows
        Observations, sorted.
    method
        ``"attention"``, ``"signal"``, or a method of attribution.
    member
        Ask this one only.
    **options
        ``n_steps``, ``smooth`` and ``seed``, as for :func:`epiattn.tl.attribute`.
    """
    if method == ATTENTION:
        return _gathered(trained, rows, attention_of, member)
    if method == SIGNAL:
        return _gathered(trained, rows, differences_of, member)
    return _gathered(
        trained,
        rows,
        lambda explainer, local: explainer.attribute(local, method=method, **options).values,
        member,
    )


def _gathered(
    trained: Trained, rows: np.ndarray, ask: Callable[[Explainer, np.ndarray], Values], member: int | None
) -> Scores:
    found: Scores = {}
    for where, local, members in trained.inside(rows):
        asked = members if member is None else [members[member]]
        for explainer in asked:
            for name, values in ask(explainer, local).items():
                each: Any = values
                flat = each.toarray() if sparse.issparse(each) else each.reshape(len(local), -1)
                total = found.setdefault(name, np.zeros((len(rows), flat.shape[1])))
                total[where] += flat / len(asked)
    return found


def rank_correlation(one: np.ndarray, other: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Spearman correlation of the sizes of two explanations' scores, observation by observation.

    Parameters
    ----------
    one, other
        Scores, shape ``(n_rows, n_values)``.
    there
        Values to compare.

    Returns
    -------
    Shape ``(n_rows,)``; NaN where there are fewer than three values, or all have the same score.
    """
    from scipy.stats import rankdata

    found = np.full(len(there), np.nan)
    for i, values in enumerate(there):
        if values.sum() < 3:
            continue
        ranks = [rankdata(np.abs(each[i, values])) for each in (one, other)]
        x, y = (each - each.mean() for each in ranks)
        if (size := np.sqrt((x @ x) * (y @ y))) > 0:
            found[i] = x @ y / size
    return found


def between_members(
    trained: Trained, rows: np.ndarray, methods: Sequence[str], **options: Any
) -> list[dict[str, Scores]]:
    """Scores of each member by itself, by method."""
    return [
        {method: scores_of(trained, rows, method, member=i, **options) for method in methods}
        for i in range(trained.n_members)
    ]

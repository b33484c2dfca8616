"""What several messages say."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: object, known: Iterable[object]) -> str:
    """The known name that is closest, as a sentence after a space; nothing where none is close."""
    close = difflib.get_close_matches(str(name), [str(other) for other in known], n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
